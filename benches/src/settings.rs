//! The settings of all contenders: what the framework renders for its own clients, given to the raw ones as they are.

use kafka_boot::config::{LoadOptions, Settings};
use rdkafka::ClientConfig;

use crate::Result;
use crate::task::Task;

/// The id of the listener that the framework's contenders run.
const LISTENER: &str = "consume";

/// What the framework is configured with beyond its defaults, for an application with a listener. What the task sets
/// comes last, and wins.
pub(crate) fn load_options(task: &Task) -> LoadOptions {
    let listener = [
        format!("--kafka.listeners.{LISTENER}.topics={}", task.topic),
        "--kafka.consumer.commit=sync".to_owned(),
        "--kafka.consumer.ack-mode=batch".to_owned(),
    ];
    let mut options = sender_options(task);
    options.arguments.splice(..0, listener);
    options
}

/// The same for an application that only sends.
pub(crate) fn sender_options(task: &Task) -> LoadOptions {
    let arguments = [
        format!("--kafka.bootstrap-servers={}", task.servers),
        format!("--kafka.consumer.group-id={}", task.group),
        "--logging.level.root=warn".to_owned(),
    ];
    let arguments = arguments.into_iter().chain(task.settings.iter().cloned()).collect();
    LoadOptions { arguments, ..LoadOptions::default() }
}

/// As [`load_options`], tuned for the time that one record takes rather than for many records.
pub(crate) fn latency_options(task: &Task) -> LoadOptions {
    let mut options = load_options(task);
    options.arguments.push("--kafka.producer.linger=0ms".to_owned());
    options
}

/// The settings of the framework's consumer; offsets are committed by librdkafka's timer if `auto_commit`.
pub(crate) fn consumer(options: LoadOptions, auto_commit: bool) -> Result<Vec<(String, String)>> {
    let settings = Settings::load(options)?;
    let mut client = settings.consumer_client(&settings.listener(LISTENER, &[])?);
    if auto_commit {
        client.set("enable.auto.commit", "true");
        client.set("enable.auto.offset.store", "true");
    }
    Ok(client.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The settings of the framework's producer.
pub(crate) fn producer(options: LoadOptions) -> Result<Vec<(String, String)>> {
    let settings = Settings::load(options)?;
    let client = settings.producer_client(None).ok_or("the default cluster has no producer")?;
    Ok(client.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The same, as the `rdkafka` crate takes them.
pub(crate) fn rdkafka(settings: Vec<(String, String)>) -> ClientConfig {
    settings.into_iter().collect()
}
