//! The loops that are compared. Each runs in a process of its own.

use crate::task::Task;
use crate::{Result, USAGE};

pub(crate) mod framework;
pub(crate) mod json;
pub(crate) mod keys;
mod latency;
mod many;
mod poisoned;
mod progress;
pub(crate) mod raw_consume;
pub(crate) mod raw_produce;

/// Runs the contender that `arguments` name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (name, task) = arguments.split_first().ok_or(USAGE)?;
    let task = Task::parse(task)?;
    let run: fn(&Task) -> Result<()> = match name.as_str() {
        "stream-consumer" => raw_consume::stream_consumer,
        "base-consumer" => raw_consume::base_consumer,
        "client-poll" => raw_consume::client_poll,
        "framework" | "framework-async" => framework::consume_records,
        "json-ignored" => json::ignored,
        "json-decoded" => json::decoded,
        "serde-alone" => json::serde_alone,
        "framework-string" => framework::consume_strings,
        "keys-bare" => keys::bare,
        "keys-framework" => keys::framework,
        "keys-poisoned" => |task| poisoned::framework(task, POISONED_KEYS),
        "keys-threads" => keys::framework_on_threads,
        "future-producer" => raw_produce::future_producer,
        "template" => framework::produce,
        "raw-latency" => latency::raw,
        "framework-latency" => latency::framework,
        "many-listeners" => many::listeners,
        "raw-startup" => raw_consume::first_record,
        "framework-startup" => framework::first_record,
        "embedded-startup" => framework::first_record_embedded,
        _ => return Err(format!("there is no contender `{name}`").into()),
    };
    run(&task)
}

/// What a start-up contender prints with its first record.
pub(crate) const FIRST_RECORD: &str = "first record";

/// How many keys there are where one of them is poisoned.
pub(crate) const POISONED_KEYS: u64 = 1_000;

/// The bytes of every value.
pub(crate) const VALUE_BYTES: usize = 100;

/// How many sends a producer loop has under way: as much as keeps librdkafka busy, and half of what it takes.
const WINDOW: usize = 50_000;

/// A value made for one record: fresh memory, as a service's own serialization has it.
fn value(number: u64) -> Vec<u8> {
    let mut value = vec![b'.'; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
