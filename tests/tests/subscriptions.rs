//! What a listener reads: several topics, topics by a pattern, also those that come later, and patterns that are none.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{Ended, RunningApp, StartErrorKind, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// The topics and offsets that were handled.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<(String, i64)>>);

impl Seen {
    async fn until(&self, topics: &[String], records: i64) {
        let expected: BTreeSet<_> =
            topics.iter().flat_map(|topic| (0..records).map(move |offset| (topic.clone(), offset))).collect();
        eventually_async(DEADLINE, "the records of all topics", || async {
            let seen = self.0.lock().unwrap();
            if *seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
}

#[kafka_listener(id = "several", topics = ["${test.prefix}-a", "${test.prefix}-b"], group = "${test.prefix}")]
async fn several(meta: RecordMeta, seen: Bean<Arc<Seen>>) {
    seen.0.lock().unwrap().insert((meta.topic().to_owned(), meta.offset()));
}

#[kafka_listener(id = "matching", pattern = "${test.prefix}-[ab]", group = "${test.prefix}")]
async fn matching(meta: RecordMeta, seen: Bean<Arc<Seen>>) {
    seen.0.lock().unwrap().insert((meta.topic().to_owned(), meta.offset()));
}

fn app(which: App, prefix: &str, seen: &Arc<Seen>, options: LoadOptions) -> App {
    let mut options = options;
    options.arguments.push(format!("--test.prefix={prefix}"));
    which.without_discovery().without_logging().load_options(options).bean(Arc::clone(seen))
}

async fn start(kafka: &Kafka, which: App, prefix: &str, seen: &Arc<Seen>, more: &[&str]) -> RunningApp {
    app(which, prefix, seen, options(kafka, more.iter().copied())).start().await.unwrap()
}

fn seeded(kafka: &Kafka, topic: &str) -> String {
    kafka.create_topic(topic, 1).unwrap();
    Seeding::new(topic, 5).produce(kafka.bootstrap_servers()).unwrap();
    topic.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_reads_several_topics() {
    let Some(kafka) = Kafka::shared() else { return };
    let prefix = unique_name("several");
    let topics = ["a", "b"].map(|name| seeded(kafka, &format!("{prefix}-{name}")));
    let seen = Arc::new(Seen::default());
    let app = start(kafka, App::new().listeners(listeners![several]), &prefix, &seen, &[]).await;
    seen.until(&topics, 5).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_comes_later_and_matches_is_read_from_its_beginning() {
    let Some(kafka) = Kafka::shared() else { return };
    let prefix = unique_name("matching");
    let first = seeded(kafka, &format!("{prefix}-a"));
    seeded(kafka, &format!("{prefix}-other"));
    let seen = Arc::new(Seen::default());
    let more = ["kafka.listeners.matching.properties.topic.metadata.refresh.interval.ms=200"];
    let app = start(kafka, App::new().listeners(listeners![matching]), &prefix, &seen, &more).await;
    seen.until(std::slice::from_ref(&first), 5).await;
    let second = seeded(kafka, &format!("{prefix}-b"));
    seen.until(&[first, second], 5).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

/// Found at the start, before anything is connected: what the attribute holds is only known then.
#[tokio::test]
async fn a_pattern_that_is_none_does_not_start() {
    for (prefix, expected) in
        [("orders-(", "a group is not closed"), ("*orders", "there is nothing that `*` could repeat")]
    {
        let options = LoadOptions {
            arguments: vec!["--kafka.bootstrap-servers=localhost:1".into()],
            own_sections: vec!["test".to_owned()],
            ..LoadOptions::default()
        };
        let which = App::new().listeners(listeners![matching]);
        let error = app(which, prefix, &Arc::default(), options).start().await.err().unwrap();
        assert_eq!(error.kind(), StartErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("kafka.listeners.matching.topic-pattern"), "{error}");
    }
}
