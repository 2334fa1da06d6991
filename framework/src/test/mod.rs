//! The test kit: an application with a broker of its own for one test, and the conditions to wait for.
//!
//! 1. Everything of one test runs on a runtime of its own, so that its log, its threads and its end are its own.
//! 2. Nothing waits without a deadline, and what a deadline says names what is still open.
//! 3. What a test started is stopped before the test is over, also after a panic.

mod app;
mod builder;
mod log;
mod offsets;
mod outcome;
mod real_broker;
mod session;
mod settled;

pub use app::TestApp;
pub use builder::TestAppBuilder;
pub use outcome::{TestOutcome, run_test};
pub use settled::{Unsettled, UnsettledPartition};

#[cfg(test)]
mod tests;
