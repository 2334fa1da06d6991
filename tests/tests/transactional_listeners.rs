//! Listeners with `commit = "transaction"`: what is sent for a record is seen once, by those who read committed records, and only
//! with its offset.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{Ended, RunningApp, listeners};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::observer::look;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(1);

/// Where the listeners of a test send to.
struct Output(String);

/// What a handler has kept of its first attempt.
type Kept = Mutex<Option<Transaction>>;

/// Fails always for values that begin with `bad`, at first for those that begin with `shy`, and three times with `late`.
fn judge(value: &str, attempt: Attempt) -> Result<()> {
    let is_bad = value.starts_with("bad")
        || (value.starts_with("shy") && attempt.0 == 1)
        || (value.starts_with("late") && attempt.0 <= 3);
    if is_bad { Err(format!("cannot bear {value}").into()) } else { Ok(()) }
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
async fn copies(
    record: Record<String>,
    attempt: Attempt,
    tx: Transaction,
    output: Bean<Output>,
    notes: Bean<Arc<Notes>>,
) -> Result<()> {
    tx.send(&output.0, record.value().clone()).await?;
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value(), attempt)
}

#[kafka_listener(
    topic = "${test.topic}",
    group = "${test.topic}",
    commit = "transaction",
    ack_mode = "record"
)]
async fn copies_one_by_one(
    record: Record<String>,
    attempt: Attempt,
    tx: Transaction,
    output: Bean<Output>,
    notes: Bean<Arc<Notes>>,
) -> Result<()> {
    // Not awaited: the commit is what waits.
    drop(tx.enqueue(ProducerRecord::new(output.0.as_str()).payload(record.value().clone())).await?);
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value(), attempt)
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
#[send_to("${test.output}")]
async fn replies(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<String> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value(), attempt)?;
    Ok(record.into_value())
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
#[send_to("${test.output}")]
fn plain(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<String> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value(), attempt)?;
    Ok(record.into_value())
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
async fn batches(
    batch: Batch<String>,
    attempt: Attempt,
    tx: Transaction,
    output: Bean<Output>,
    notes: Bean<Arc<Notes>>,
) -> Result<()> {
    for (index, record) in batch.iter().enumerate() {
        tx.send(&output.0, record.value().clone()).await?;
        notes.add(format!("{}#{attempt}", record.value()));
        judge(record.value(), attempt).map_err(|error| BatchError::at(index, error))?;
    }
    Ok(())
}

/// The application with these listeners, its topic of one partition, and the topic it sends to.
async fn start(kafka: &Kafka, app: App, topic: &str, notes: &Arc<Notes>) -> RunningApp {
    let output = format!("{topic}.out");
    kafka.create_topic(topic, 1).unwrap();
    kafka.create_topic(&output, 1).unwrap();
    let arguments = [
        format!("test.topic={topic}"),
        format!("test.output={output}"),
        "kafka.error.attempts=3".to_owned(),
        "kafka.error.backoff.initial=1ms".to_owned(),
        "kafka.error.backoff.max=20ms".to_owned(),
    ];
    let options = options(kafka, arguments.iter().map(String::as_str));
    let app = app.without_discovery().without_logging().load_options(options);
    app.bean(Output(output)).bean(Arc::clone(notes)).start().await.unwrap()
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

/// Sends these values, in one batch so that they are polled together.
async fn send_all(app: &RunningApp, topic: &str, values: &[&str]) {
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    let mut pending = Vec::new();
    for value in values {
        pending
            .push(template.enqueue(ProducerRecord::new(topic).payload((*value).to_owned())).await.unwrap());
    }
    for sent in pending {
        sent.await.unwrap();
    }
}

async fn read(kafka: &Kafka, topic: &str) -> Vec<Consumed> {
    let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_topic(&servers, &topic, DEADLINE)).await.unwrap().unwrap()
}

fn texts(records: &[Consumed]) -> Vec<&str> {
    records.iter().map(Consumed::text).collect()
}

/// Waits until the group, which is named like its topic, has committed so many records.
async fn until_committed(kafka: &Kafka, topic: &str, count: i64) {
    eventually_async(DEADLINE, &format!("{count} records of `{topic}` to be committed"), async || {
        let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
        let looked = tokio::task::spawn_blocking(move || look(&servers, &topic, &topic, 1)).await.unwrap();
        let committed = looked.map_err(|error| error.to_string())?[0].committed;
        if committed == Some(count) { Ok(()) } else { Err(format!("{committed:?} is")) }
    })
    .await;
}

/// Whatever the listener: what an attempt sent that failed is never seen, the next attempt follows, and after the last one the dead
/// letter is written in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_attempt_has_sent_is_never_seen() {
    let Some(kafka) = Kafka::shared() else { return };
    let all = [
        ("copies", listeners![copies]),
        ("one-by-one", listeners![copies_one_by_one]),
        ("replies", listeners![replies]),
        ("plain", listeners![plain]),
        ("batches", listeners![batches]),
    ];
    for (name, listeners) in all {
        let topic = unique_name(&format!("transactional.{name}"));
        let notes = Arc::new(Notes::default());
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes).await;
        let values = ["one", "two", "shy three", "four", "bad five", "six", "shy seven", "eight"];
        send_all(&app, &topic, &values).await;
        until_committed(kafka, &topic, 8).await;

        let output = read(kafka, &format!("{topic}.out")).await;
        let expected = ["one", "two", "shy three", "four", "six", "shy seven", "eight"];
        assert_eq!(texts(&output), expected, "{name}");
        let letters = read(kafka, &format!("{topic}-dlt")).await;
        assert_eq!(texts(&letters), ["bad five"], "{name}");
        assert_eq!(letters[0].header_text("kafka_dlt-original-topic"), Some(topic.as_str()), "{name}");

        let seen = notes.all();
        let attempts = |value: &str| seen.iter().filter(|note| note.starts_with(value)).count();
        assert!(
            seen.contains(&"shy three#2".to_owned()) && seen.contains(&"bad five#3".to_owned()),
            "{name}"
        );
        assert_eq!(attempts("bad five#3"), 1, "{name}: {seen:?}");
        assert!(!seen.iter().any(|note| note.starts_with("bad five#4")), "{name}: {seen:?}");
        // Nothing of it is left to be done, or to be seen, by whoever comes next.
        stop(app).await;
        let next = Arc::new(Notes::default());
        let notes = Arc::clone(&next);
        let options = options(kafka, [&*format!("test.topic={topic}"), &*format!("test.output={topic}.out")]);
        let app = App::new().listeners(listeners![copies]).without_discovery().without_logging();
        let app = app.load_options(options).bean(Output(format!("{topic}.out"))).bean(notes);
        let app = app.start().await.unwrap();
        send_all(&app, &topic, &["nine"]).await;
        until_committed(kafka, &topic, 9).await;
        assert_eq!(next.all(), ["nine#1"], "{name}");
        stop(app).await;
    }
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
async fn ignores_what_becomes_of_it(
    record: Record<String>,
    tx: Transaction,
    output: Bean<Output>,
) -> Result<()> {
    // More than a broker takes, unless told otherwise.
    let size = if record.value() == "large" { 2_000_000 } else { 10 };
    drop(tx.enqueue(ProducerRecord::new(output.0.as_str()).payload(vec![b'x'; size])).await?);
    Ok(())
}

/// The handler has returned `Ok`, and the record is not done nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_output_cannot_be_written_is_not_done() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactional.large");
    let notes = Arc::default();
    let app =
        start(kafka, App::new().listeners(listeners![ignores_what_becomes_of_it]), &topic, &notes).await;
    send_all(&app, &topic, &["small", "small", "large", "small"]).await;
    until_committed(kafka, &topic, 4).await;
    assert_eq!(read(kafka, &format!("{topic}.out")).await.len(), 3);
    let letters = read(kafka, &format!("{topic}-dlt")).await;
    assert_eq!(texts(&letters), ["large"]);
    let reason = letters[0].header_text("kafka_dlt-exception-message").unwrap_or_default();
    assert!(reason.to_lowercase().contains("message size too large"), "{reason}");
    stop(app).await;
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
async fn keeps_its_transaction(
    record: Record<String>,
    tx: Transaction,
    kept: Bean<Kept>,
    output: Bean<Output>,
    notes: Bean<Arc<Notes>>,
) -> Result<()> {
    let earlier = kept.lock().unwrap().replace(tx);
    if let Some(earlier) = earlier {
        let refused = earlier.send(&output.0, record.value().clone()).await;
        notes.add(refused.map_or_else(|error| error.to_string(), |sent| sent.to_string()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_kept_sends_nothing_after_its_attempt() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactional.kept");
    let notes = Arc::new(Notes::default());
    let app = App::new().listeners(listeners![keeps_its_transaction]).bean(Kept::default());
    let app = start(kafka, app, &topic, &notes).await;
    send_all(&app, &topic, &["one", "two"]).await;
    until_committed(kafka, &topic, 2).await;
    let said = notes.all();
    assert!(said.len() == 1 && said[0].contains("the transaction has ended"), "{said:?}");
    assert_eq!(read(kafka, &format!("{topic}.out")).await.len(), 0);
    stop(app).await;
}

/// What the file says of the mode is checked against the function when the application starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_takes_a_transaction_does_not_start_without_them() {
    let Some(kafka) = Kafka::shared() else { return };
    let arguments = ["test.topic=t", "test.output=t.out", "kafka.listeners.copies.commit=sync"];
    let app = App::new().listeners(listeners![copies]).without_discovery().without_logging();
    let app = app.load_options(options(kafka, arguments));
    let error = app.bean(Output(String::new())).bean(Arc::new(Notes::default())).start().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`copies`") && text.contains("takes a `Transaction`"), "{text}");
}

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}", commit = "transaction")]
async fn takes_too_long(record: Record<String>, tx: Transaction, output: Bean<Output>) -> Result<()> {
    tx.send(&output.0, record.value().clone()).await?;
    if record.value() == "slow" {
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    Ok(())
}

/// The broker aborts what is open for too long: the record is at fault, and what follows it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_takes_longer_than_its_transaction_may_is_a_dead_letter() {
    let broker = KafkaOptions::default()
        .property("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200");
    let Some(kafka) = Kafka::start_or_skip(&broker) else { return };
    let topic = unique_name("transactional.slow");
    let (output, own) = (format!("{topic}.out"), format!("test.topic={topic}"));
    kafka.create_topic(&topic, 1).unwrap();
    kafka.create_topic(&output, 1).unwrap();
    let arguments = [
        own.as_str(),
        "test.output=none",
        "kafka.error.attempts=2",
        "kafka.error.backoff.initial=1ms",
        "kafka.producer.properties.transaction.timeout.ms=2000",
    ];
    let app = App::new().listeners(listeners![takes_too_long]).without_discovery().without_logging();
    let app = app.load_options(options(&kafka, arguments)).bean(Output(output.clone()));
    let app = app.start().await.unwrap();
    send_all(&app, &topic, &["one", "slow", "three"]).await;
    until_committed(&kafka, &topic, 3).await;
    assert_eq!(texts(&read(&kafka, &output).await), ["one", "three"]);
    let letters = read(&kafka, &format!("{topic}-dlt")).await;
    assert_eq!(texts(&letters), ["slow"]);
    let reason = letters[0].header_text("kafka_dlt-exception-message").unwrap_or_default();
    assert!(reason.contains("raise `transaction.timeout.ms`"), "{reason}");
    stop(app).await;
}

#[kafka_listener(
    topic = "${test.topic}",
    group = "${test.topic}",
    commit = "transaction",
    retry_topics(attempts = 2, backoff = "50ms")
)]
async fn retries_elsewhere(
    record: Record<String>,
    attempt: Attempt,
    tx: Transaction,
    output: Bean<Output>,
    notes: Bean<Arc<Notes>>,
) -> Result<()> {
    tx.send(&output.0, record.value().clone()).await?;
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value(), attempt)
}

/// Through retry topics to the end, each step is one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_topics_and_dead_letters_are_part_of_the_transaction() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactional.retry");
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![retries_elsewhere]), &topic, &notes).await;
    send_all(&app, &topic, &["one", "late two", "bad three", "four"]).await;
    until_committed(kafka, &topic, 4).await;
    let letters = eventually_async(DEADLINE, "the dead letter", async || {
        let letters = read(kafka, &format!("{topic}-dlt")).await;
        (!letters.is_empty()).then_some(letters)
    });
    assert_eq!(texts(&letters.await), ["bad three"]);
    stop(app).await;
    let retried = read(kafka, &format!("{topic}-retry")).await;
    assert_eq!(texts(&retried), ["late two", "bad three"]);
    let output = read(kafka, &format!("{topic}.out")).await;
    let mut copied = texts(&output);
    copied.sort_unstable();
    // A record in a retry topic is ordered with nothing that follows it.
    assert_eq!(copied, ["four", "late two", "one"]);
}
