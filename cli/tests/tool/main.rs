//! The tool, command by command, against the embedded broker: what it says, and with which exit code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod commands;
mod failures;
mod local;
mod many_groups;
mod new;
mod on_kafka;
mod process;
mod records;
mod seed_session;
mod support;
