//! Listeners without order by partition, as applications in this process: a poisoned key, plain functions, metadata that
//! somebody else wrote, and combinations that make no sense.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{Ended, HealthStatus, RunningApp, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::{Seeding, Stamp};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const DEADLINE: Duration = Duration::from_mins(2);

/// What was handled: numbers by key, in the order in which they were.
#[derive(Default)]
struct Seen {
    by_key: Mutex<HashMap<String, Vec<u64>>>,
}

impl Seen {
    fn add(&self, record: &Record<String>) -> Result<()> {
        let stamp = Stamp::parse(record.value().as_bytes()).ok_or("no stamp")?;
        let key = record.key_str().unwrap_or_default().to_owned();
        self.by_key.lock().unwrap().entry(key).or_default().push(stamp.seq);
        Ok(())
    }

    fn count(&self) -> usize {
        self.by_key.lock().unwrap().values().map(Vec::len).sum()
    }

    fn assert_in_order(&self, each: u64) {
        for (key, numbers) in &*self.by_key.lock().unwrap() {
            assert_eq!(*numbers, (0..each).collect::<Vec<_>>(), "{key}");
        }
    }
}

#[kafka_listener(
    id = "by-key",
    topic = "${test.topic}",
    group = "${test.topic}",
    ordering = "key",
    max_in_flight = 16
)]
async fn by_key(record: Record<String>, seen: Bean<Arc<Seen>>) -> Result<()> {
    if record.key_str() == Some("key-3") {
        return Err("this key is poisoned".into());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    seen.add(&record)
}

#[kafka_listener(
    id = "plain",
    topic = "${test.topic}",
    group = "${test.topic}",
    ordering = "key",
    max_in_flight = 8
)]
fn plain(record: Record<String>, seen: Bean<Arc<Seen>>) -> Result<()> {
    std::thread::sleep(Duration::from_millis(1));
    seen.add(&record)
}

#[kafka_listener(id = "batches", topic = "${test.topic}", group = "${test.topic}")]
async fn batches(_batch: Batch<String>) -> Result<()> {
    Ok(())
}

fn app(listeners: kafka_boot::App, seen: &Arc<Seen>, options: LoadOptions) -> kafka_boot::App {
    listeners.without_discovery().without_logging().load_options(options).bean(Arc::clone(seen))
}

async fn start(
    kafka: &Kafka,
    topic: &str,
    which: kafka_boot::App,
    seen: &Arc<Seen>,
    more: &[&str],
) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let arguments = std::iter::once(topic.as_str()).chain(more.iter().copied());
    app(which, seen, options(kafka, arguments)).start().await.unwrap()
}

/// A key whose record always fails holds its own records and no others, and is named by the health.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_key_holds_no_other_and_is_named() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("poisoned");
    kafka.create_topic(&topic, 2).unwrap();
    Seeding::new(&topic, 2_000).keys(20).produce(kafka.bootstrap_servers()).unwrap();
    let seen = Arc::new(Seen::default());
    let more = [
        "kafka.listeners.by-key.error.attempts=1000000",
        "kafka.listeners.by-key.error.backoff.max=100ms",
        "kafka.listeners.by-key.stuck-after=300ms",
    ];
    let app = start(kafka, &topic, App::new().listeners(listeners![by_key]), &seen, &more).await;
    eventually_async(DEADLINE, "all other keys to be done", || async { seen.count() == 1_900 }).await;
    seen.assert_in_order(100);
    assert!(!seen.by_key.lock().unwrap().contains_key("key-3"));
    eventually_async(DEADLINE, "the record to be named", || async {
        let info = app.listeners().get("by-key").unwrap();
        let report = app.health().report();
        info.stuck.iter().any(|record| record.key.as_deref() == Some("key-3"))
            && report.status == HealthStatus::Down
            && report.to_string().contains("(key `key-3`) is open for")
    })
    .await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_functions_keep_the_order_of_each_key() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("plain");
    kafka.create_topic(&topic, 2).unwrap();
    Seeding::new(&topic, 2_000).keys(20).produce(kafka.bootstrap_servers()).unwrap();
    let seen = Arc::new(Seen::default());
    // Little room for bytes: partitions are paused and resumed all the time.
    let more =
        ["kafka.listeners.plain.max-in-flight-bytes=64KiB", "kafka.listeners.plain.max-poll-records=20"];
    let app = start(kafka, &topic, App::new().listeners(listeners![plain]), &seen, &more).await;
    eventually_async(DEADLINE, "all to be done", || async { seen.count() == 2_000 }).await;
    assert_eq!(app.stop().await, Ended::Clean);
    seen.assert_in_order(100);
}

/// Text that another program keeps beside the offset, or that was damaged, costs nothing but a line in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_is_not_an_offset_map_is_ignored() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("foreign");
    kafka.create_topic(&topic, 2).unwrap();
    let seeded = Seeding::new(&topic, 400).keys(2).produce(kafka.bootstrap_servers()).unwrap();
    let mut offsets = TopicPartitionList::new();
    for (partition, metadata) in [(0, "what another program keeps here"), (1, "kbm1.cugHAfMDZAG857Zx")] {
        offsets.add_partition_offset(&topic, partition, Offset::Offset(10)).unwrap();
        offsets.find_partition(&topic, partition).unwrap().set_metadata(metadata);
    }
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", &topic)
        .create()
        .unwrap();
    client.commit(&offsets, CommitMode::Sync).unwrap();
    drop(client);
    let expected = seeded.acked.iter().filter(|record| record.offset >= 10).count();

    let seen = Arc::new(Seen::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![plain]), &seen, &[]).await;
    eventually_async(DEADLINE, "the rest to be done", || async { seen.count() == expected }).await;
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(seen.count(), expected);
}

/// What cannot work is refused at the start, with the listener and the remedy; nothing is connected for that.
#[tokio::test]
async fn combinations_that_make_no_sense_do_not_start() {
    let cases: [(kafka_boot::App, &str, &str); 4] = [
        (
            App::new().listeners(listeners![batches]),
            "batches.ordering=key",
            "takes a batch, and its ordering",
        ),
        (
            App::new().listeners(listeners![batches]),
            "batches.ordering=none",
            "takes a batch, and its ordering",
        ),
        (App::new().listeners(listeners![plain]), "plain.max-in-flight=2000", "above 1024"),
        (
            App::new().listeners(listeners![by_key]),
            "by-key.concurrency=17",
            "must not be less than `concurrency`",
        ),
    ];
    let mut messages = BTreeSet::new();
    for (which, setting, expected) in cases {
        let arguments =
            ["kafka.bootstrap-servers=localhost:1", "test.topic=t", &format!("kafka.listeners.{setting}")]
                .map(|argument| format!("--{argument}"))
                .to_vec();
        let options =
            LoadOptions { arguments, own_sections: vec!["test".to_owned()], ..LoadOptions::default() };
        let error = app(which, &Arc::default(), options).start().await.err().unwrap().to_string();
        assert!(error.contains(expected), "{setting}: {error}");
        messages.insert(error);
    }
    assert_eq!(messages.len(), 3, "both orderings of the batch listener are refused alike");
}
