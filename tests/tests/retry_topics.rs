//! Retry topics: the way of a record through them, its headers on each stage, due times, and what survives a restart.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{Ended, ListenerRegistry, OnFailure, Retryable, RunningApp, listeners};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::recent_ms;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// Fails at the first so many deliveries: `2` is handled at the third. What is no number fails always.
fn judge(record: &Record<String>, notes: &Notes) -> Result<()> {
    notes.add(format!("{} of {}#{}", record.value(), stage(record.topic()), record.attempt()));
    match record.value().parse::<u32>() {
        Ok(failures) if record.attempt() > failures => Ok(()),
        _ => Err(format!("not yet, {}", record.value()).into()),
    }
}

/// What is behind the topic's own name.
fn stage(topic: &str) -> &str {
    topic.split_once("-retry").map_or("main", |(_, stage)| if stage.is_empty() { "retry" } else { stage })
}

#[kafka_listener(
    id = "in-order",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
async fn in_order(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    judge(&record, &notes)
}

#[kafka_listener(
    id = "plain",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
fn plain(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    judge(&record, &notes)
}

#[kafka_listener(
    id = "by-key",
    topic = "${test.topic}",
    group = "${test.topic}",
    ordering = "key",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
async fn by_key(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    judge(&record, &notes)
}

#[kafka_listener(
    id = "manual",
    topic = "${test.topic}",
    group = "${test.topic}",
    ack_mode = "manual",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
async fn manual(record: Record<String>, notes: Bean<Arc<Notes>>, ack: Ack) -> Result<()> {
    judge(&record, &notes)?;
    ack.acknowledge();
    Ok(())
}

/// Fails as a whole if any of its records fails.
#[kafka_listener(
    id = "batches",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
async fn batches(batch: Batch<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    let outcomes: Vec<Result<()>> = batch.iter().map(|record| judge(record, &notes)).collect();
    outcomes.into_iter().collect()
}

async fn start(kafka: &Kafka, app: App, topic: &str, notes: &Arc<Notes>, more: &[&str]) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let options = options(kafka, std::iter::once(topic.as_str()).chain(more.iter().copied()));
    let app = app.without_discovery().without_logging().load_options(options).bean(Arc::clone(notes));
    app.start().await.unwrap()
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

async fn records(kafka: &Kafka, topic: &str, count: usize) -> Vec<Consumed> {
    let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
    eventually_async(DEADLINE, &format!("{count} records in `{topic}`"), async || {
        let (servers, topic) = (servers.clone(), topic.clone());
        let read = move || read_topic(&servers, &topic, DEADLINE);
        let read = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
        if read.len() >= count { Ok(read) } else { Err(format!("{} are there", read.len())) }
    })
    .await
}

async fn send(app: &RunningApp, topic: &str, partition: i32, value: &str) {
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    let record = ProducerRecord::new(topic).partition(partition).key("k").payload(value.to_owned());
    template.send_record(record.header("trace", "7").timestamp(recent_ms())).await.unwrap();
}

/// Every kind of listener: what fails waits in its topics while what follows is handled, each for its time, and what is never
/// handled is a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_waits_in_its_retry_topics_while_others_are_handled() {
    let Some(kafka) = Kafka::shared() else { return };
    for listeners in [listeners![in_order], listeners![plain], listeners![by_key], listeners![manual]] {
        let id = listeners[0].id;
        let topic = unique_name(&format!("retried.{id}"));
        kafka.create_topic(&topic, 2).unwrap();
        let notes = Arc::new(Notes::default());
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &[]).await;
        let began = Instant::now();
        for value in ["bad", "0", "2"] {
            send(&app, &topic, 1, value).await;
        }
        let letters = records(kafka, &format!("{topic}-dlt"), 1).await;
        assert!(
            began.elapsed() >= Duration::from_millis(700),
            "{id}: 100 + 200 + 400 ms, {:?}",
            began.elapsed()
        );
        let mut seen = notes.first(8).await;
        let in_main: Vec<&String> = seen.iter().filter(|note| note.ends_with("main#1")).collect();
        assert_eq!(in_main, ["bad of main#1", "0 of main#1", "2 of main#1"], "{id}");
        let place = |note: &str| seen.iter().position(|seen| seen == note).unwrap();
        assert!(place("2 of main#1") < place("bad of -400#4"), "{id}: nothing waits for the first: {seen:?}");
        seen.sort();
        let expected = [
            "0 of main#1",
            "2 of -100#2",
            "2 of -200#3",
            "2 of main#1",
            "bad of -100#2",
            "bad of -200#3",
            "bad of -400#4",
            "bad of main#1",
        ];
        assert_eq!(seen, expected, "{id}");
        assert_eq!(letters.iter().map(Consumed::text).collect::<Vec<_>>(), ["bad"], "{id}");
        let registry = app.beans().named::<ListenerRegistry>("").unwrap();
        let ids: Vec<String> = registry.list().into_iter().map(|listener| listener.id).collect();
        assert_eq!(ids, ["", "-retry-100", "-retry-200", "-retry-400"].map(|suffix| format!("{id}{suffix}")));
        let second = registry.get(&format!("{id}-retry-200")).unwrap();
        assert_eq!(second.settings.group_id(), format!("{topic}-retry-200"));
        assert_eq!(second.assigned[0].len(), 2, "as many partitions as the topic itself");
        stop(app).await;
    }
}

/// Header by header, on each stage, as Spring's `@RetryableTopic` writes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_headers_are_those_of_spring_on_every_stage() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("staged");
    kafka.create_topic(&topic, 2).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![in_order]), &topic, &notes, &[]).await;
    send(&app, &topic, 1, "bad").await;
    let dead = records(kafka, &format!("{topic}-dlt"), 1).await.remove(0);
    stop(app).await;
    let mut stages = Vec::new();
    for suffix in ["-retry-100", "-retry-200", "-retry-400"] {
        stages.extend(records(kafka, &format!("{topic}{suffix}"), 1).await);
    }
    stages.push(dead);
    let big_integer = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    for (index, record) in stages.iter().enumerate() {
        assert_eq!((record.partition, record.key.as_deref(), record.text()), (1, Some(&b"k"[..]), "bad"));
        let first: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).take(11).collect();
        let mut expected = vec!["trace"];
        if index == 0 {
            expected.extend([
                "kafka_exception-fqcn",
                "kafka_exception-cause-fqcn",
                "kafka_exception-message",
            ]);
            expected.extend([
                "kafka_exception-stacktrace",
                "kafka_original-topic",
                "kafka_original-partition",
            ]);
            expected.extend([
                "kafka_original-offset",
                "kafka_original-timestamp",
                "kafka_original-timestamp-type",
            ]);
            expected.push("kafka_dlt-original-consumer-group");
            assert_eq!(first, expected);
        }
        for (name, value) in [
            ("kafka_original-topic", topic.as_bytes()),
            ("kafka_original-partition", &[0, 0, 0, 1]),
            ("kafka_original-offset", &[0; 8]),
            ("kafka_original-timestamp", &recent_ms().to_be_bytes()),
            ("kafka_original-timestamp-type", b"CreateTime"),
            ("kafka_dlt-original-consumer-group", topic.as_bytes()),
            ("kafka_exception-message", b"not yet, bad"),
        ] {
            let values: Vec<&[u8]> = record
                .headers
                .iter()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| value.as_deref().unwrap())
                .collect();
            assert_eq!(values, [value], "{index}: {name}");
        }
        let attempts: Vec<&[u8]> = record
            .headers
            .iter()
            .filter(|(name, _)| name == "retry_topic-attempts")
            .map(|(_, value)| value.as_deref().unwrap())
            .collect();
        let all: Vec<[u8; 4]> = (2..=u32::try_from(index).unwrap() + 2).map(u32::to_be_bytes).collect();
        assert_eq!(attempts, all, "the values of all stages are kept");
        let original = record.header("retry_topic-original-timestamp").unwrap();
        assert_eq!(original.len(), 6, "as few bytes as there can be");
        assert_eq!(big_integer(original), u64::try_from(recent_ms()).unwrap());
        let due = big_integer(record.header("retry_topic-backoff-timestamp").unwrap());
        let delay = [100, 200, 400, 0][index];
        let written = u64::try_from(record.timestamp).unwrap();
        assert!((written + delay).abs_diff(due) < 2_000, "{index}: {written} + {delay} and {due}");
    }
}

/// What failed together goes its own way record by record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_fails_as_a_whole_goes_through_the_topics_record_by_record() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("retried.batches");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let template = ["kafka.consumer.auto-startup=false"];
    let app = start(kafka, App::new().listeners(listeners![batches]), &topic, &notes, &template).await;
    for value in ["1", "bad", "0"] {
        send(&app, &topic, 0, value).await;
    }
    let registry = app.beans().named::<ListenerRegistry>("").unwrap();
    for listener in registry.list() {
        registry.start(&listener.id).await.unwrap();
    }
    let letters = records(kafka, &format!("{topic}-dlt"), 1).await;
    assert!(letters.iter().any(|letter| letter.text() == "bad"));
    let attempts: Vec<&[u8]> =
        letters.iter().map(|letter| letter.header("retry_topic-attempts").unwrap()).collect();
    assert!(attempts.iter().all(|attempts| *attempts == [0, 0, 0, 5]), "{attempts:?}");
    assert!(notes.all().contains(&"bad of -400#4".to_owned()));
    stop(app).await;
}

#[derive(Debug)]
struct Hopeless;

impl std::fmt::Display for Hopeless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hopeless")
    }
}

impl std::error::Error for Hopeless {}

impl Retryable for Hopeless {
    fn on_failure(&self) -> OnFailure {
        OnFailure::DeadLetter
    }
}

#[kafka_listener(
    id = "choosy",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry(not_on(std::num::ParseIntError)),
    retry_topics(attempts = 5, backoff = "10ms", timeout = "10m")
)]
async fn choosy(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{} of {}#{}", record.value(), stage(record.topic()), record.attempt()));
    match record.value().as_str() {
        "hopeless" => Err(kafka_boot::HandlerError::retryable(Hopeless)),
        "x" => Err("x".parse::<u32>().unwrap_err().into()),
        _ => Err("again".into()),
    }
}

/// One topic for equal waits; errors that are not tried again, and what is too late, go to the dead letters at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_get_better_or_is_too_late_skips_the_rest_of_its_retries() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("choosy");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![choosy]), &topic, &notes, &[]).await;
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for value in ["hopeless", "x", "again"] {
        template.send(&topic, value).await.unwrap();
    }
    // Its time says that it was first delivered long ago.
    let late = ProducerRecord::new(topic.as_str()).payload("late").timestamp(recent_ms() - 3_600_000);
    template.send_record(late).await.unwrap();
    records(kafka, &format!("{topic}-dlt"), 4).await;
    let mut seen = notes.all();
    seen.sort();
    let expected = [
        "again of main#1",
        "again of retry#2",
        "again of retry#3",
        "again of retry#4",
        "again of retry#5",
        "hopeless of main#1",
        "late of main#1",
        "x of main#1",
    ];
    assert_eq!(seen, expected);
    stop(app).await;
}

/// The time of a record is kept by pausing its partition: nothing is handled early, the membership is kept, and a shutdown does
/// not wait. After the restart the record is where it was, with its count of deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_keeps_its_time_and_its_count_over_a_restart() {
    let Some(kafka) = Kafka::shared() else { return };
    for listeners in [listeners![in_order], listeners![plain], listeners![by_key]] {
        let id = listeners[0].id;
        let topic = unique_name("kept");
        kafka.create_topic(&topic, 1).unwrap();
        let notes = Arc::new(Notes::default());
        let backoff = format!("kafka.listeners.{id}.error.retry-topics.backoff");
        let (initial, max) = (format!("{backoff}.initial=4s"), format!("{backoff}.max=4s"));
        let more = [initial.as_str(), &max, &format!("kafka.listeners.{id}.error.retry-topics.attempts=3")];
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &more).await;
        let began = Instant::now();
        send(&app, &topic, 0, "2").await;
        records(kafka, &format!("{topic}-retry"), 1).await;
        let stopped = Instant::now();
        stop(app).await;
        assert!(stopped.elapsed() < Duration::from_secs(4), "{id}: {:?}", stopped.elapsed());
        assert_eq!(notes.all(), ["2 of main#1"]);

        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &more).await;
        assert_eq!(notes.first(2).await[1], "2 of retry#2");
        assert!(began.elapsed() >= Duration::from_secs(4), "{id}: never early, {:?}", began.elapsed());
        assert_eq!(notes.first(3).await[2], "2 of retry#3");
        assert!(began.elapsed() >= Duration::from_secs(8), "{id}: {:?}", began.elapsed());
        stop(app).await;
    }
}

#[kafka_listener(id = "by-pattern", pattern = "${test.topic}", group = "g", retry_topics(attempts = 2))]
async fn by_pattern(_record: Record<String>) {}

#[kafka_listener(id = "shipping", topic = "${test.topic}", group = "shipping", retry_topics(attempts = 2))]
async fn shipping(_record: Record<String>) {}

#[kafka_listener(id = "billing", topic = "${test.topic}", group = "billing", retry_topics(attempts = 2))]
async fn billing(_record: Record<String>) {}

#[tokio::test]
async fn retry_topics_that_cannot_be_refuse_to_start() {
    let Some(kafka) = Kafka::shared() else { return };
    let table: [(&'static [&'static kafka_boot::__private::ListenerDescriptor], &[&str], &str); 5] = [
        (listeners![by_pattern], &[], "a listener with `topic-pattern` cannot have retry topics"),
        (
            listeners![in_order],
            &["kafka.listeners.in-order.error.retry-topics.suffix=-dlt"],
            "retry topics and dead letters would have the same suffix, `-dlt`",
        ),
        (
            listeners![in_order],
            &["kafka.listeners.in-order.error.retry-topics.attempts=1"],
            "without `attempts` above 1 there are no retry topics",
        ),
        (
            listeners![billing, shipping],
            &[],
            "and `billing` have one retry topic, `orders-retry`: each would handle again what only the other failed to",
        ),
        (
            listeners![batches],
            &["kafka.listeners.batches.error.then=stop"],
            "of records that fail together some may have deliveries left",
        ),
    ];
    for (listeners, more, expected) in table {
        let arguments = std::iter::once("test.topic=orders").chain(more.iter().copied());
        let app = App::new().listeners(listeners).without_discovery().without_logging();
        let app = app.load_options(options(kafka, arguments)).bean(Arc::new(Notes::default()));
        let error = app.start().await.err().unwrap();
        assert_eq!(error.exit_code(), 78, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
