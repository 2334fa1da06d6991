//! What judges the framework: a real Apache Kafka, evidence that survives a kill, and the oracle that reads it.
//!
//! The modules, in reading order:
//!
//! | module | is |
//! |---|---|
//! | [`kafka`] | one or three real brokers as child processes, with faults, and Kafka's own command-line tools |
//! | [`java`] | programs in Java, compiled when they have changed |
//! | [`process`] | a service under test as a child process: its output lines, signals, exit status, memory |
//! | [`service`] | an application inside the test process, and the gate that holds its handlers |
//! | [`produce`] | topics, and fast seeding with an acknowledged-records ledger |
//! | [`consume`] | what is in a topic, byte for byte |
//! | [`ledger`] | one line a handler attempt, written before the attempt returns |
//! | [`observer`] | committed offsets and watermarks, sampled from outside |
//! | [`oracle`] | pure functions from those histories to violations of the invariants I1–I9 |
//! | [`scenario`] | the service under test in one or several processes, what is done to them, and the verdict |
//! | [`fault_table`] | the row that each test of a fault prints |
//! | [`proxy`] | a TCP proxy with faults, between a service and a broker |
//! | [`simulation`] | the engine against a simulated cluster, seed after seed |
//! | [`volume`] | how much a test does for a change, and for a release |
//! | [`wait`], [`seed`], [`error`] | waiting on conditions, reproducible randomness, failures of the harness itself |
//!
//! Nothing in this crate retries a failed expectation: a flaky test is a bug with a seed.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may unwrap what it expects"))]

pub mod consume;
pub mod error;
pub mod fault_table;
pub mod java;
pub mod kafka;
pub mod ledger;
pub mod observer;
pub mod oracle;
pub mod process;
pub mod produce;
pub mod proxy;
pub mod scenario;
pub mod seed;
pub mod service;
pub mod simulation;
pub mod volume;
pub mod wait;

pub use error::{Error, ErrorKind, Result};
