//! Dead letters: what they look like, that their record waits for them, and that nothing is lost without them.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::Arc;
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{
    DeadLetter, DeadLetterFilter, DeadLetters, Ended, HandlerError, HealthStatus, ListenerRegistry,
    OnFailure, Outcome, Replay, Retryable, RunningApp, listeners,
};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::recent_ms;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// Fails for each value that begins with `bad`.
fn judge(value: &str) -> Result<()> {
    if value.starts_with("bad") { Err(format!("cannot bear {value}").into()) } else { Ok(()) }
}

#[kafka_listener(id = "in-order", topic = "${test.topic}", group = "${test.topic}")]
async fn in_order(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    tokio::task::yield_now().await;
    judge(record.value())
}

#[kafka_listener(id = "plain", topic = "${test.topic}", group = "${test.topic}")]
fn plain(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value())
}

#[kafka_listener(id = "by-key", topic = "${test.topic}", group = "${test.topic}", ordering = "key")]
async fn by_key(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value())
}

#[kafka_listener(id = "plain-by-key", topic = "${test.topic}", group = "${test.topic}", ordering = "key")]
fn plain_by_key(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value())
}

#[kafka_listener(id = "unordered", topic = "${test.topic}", group = "${test.topic}", ordering = "none")]
async fn unordered(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value())
}

#[kafka_listener(id = "manual", topic = "${test.topic}", group = "${test.topic}", ack_mode = "manual")]
async fn manual(record: Record<String>, attempt: Attempt, notes: Bean<Arc<Notes>>, ack: Ack) -> Result<()> {
    notes.add(format!("{}#{attempt}", record.value()));
    judge(record.value())?;
    ack.acknowledge();
    Ok(())
}

#[kafka_listener(id = "batches", topic = "${test.topic}", group = "${test.topic}")]
async fn batches(batch: Batch<String>, attempt: Attempt, notes: Bean<Arc<Notes>>) -> Result<()> {
    for (index, record) in batch.iter().enumerate() {
        notes.add(format!("{}#{attempt}", record.value()));
        judge(record.value()).map_err(|error| BatchError::at(index, error))?;
    }
    Ok(())
}

async fn start(kafka: &Kafka, app: App, topic: &str, notes: &Arc<Notes>, more: &[&str]) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let common = [topic.as_str(), "kafka.error.backoff.initial=1ms", "kafka.error.backoff.max=20ms"];
    let options = options(kafka, common.into_iter().chain(more.iter().copied()));
    app.without_discovery()
        .without_logging()
        .load_options(options)
        .bean(Arc::clone(notes))
        .start()
        .await
        .unwrap()
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

async fn dead_letters(kafka: &Kafka, topic: &str, count: usize) -> Vec<Consumed> {
    let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
    eventually_async(DEADLINE, &format!("{count} records in `{topic}`"), async || {
        let (servers, topic) = (servers.clone(), topic.clone());
        let read = tokio::task::spawn_blocking(move || read_topic(&servers, &topic, DEADLINE))
            .await
            .unwrap()
            .unwrap();
        if read.len() >= count { Ok(read) } else { Err(format!("{} are there", read.len())) }
    })
    .await
}

async fn send(kafka: &KafkaTemplate, topic: &str, partition: i32, key: &str, value: &str) {
    let record =
        ProducerRecord::new(topic).partition(partition).key(key.to_owned()).payload(value.to_owned());
    kafka.send_record(record.header("trace", "7").timestamp(recent_ms())).await.unwrap();
}

/// Every kind of listener: three attempts, then the dead letter, then what follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_fails_for_good_is_a_dead_letter_whatever_the_listener() {
    let Some(kafka) = Kafka::shared() else { return };
    let all = [
        ("in-order", listeners![in_order]),
        ("plain", listeners![plain]),
        ("by-key", listeners![by_key]),
        ("plain-by-key", listeners![plain_by_key]),
        ("unordered", listeners![unordered]),
        ("manual", listeners![manual]),
        ("batches", listeners![batches]),
    ];
    for (id, listeners) in all {
        let topic = unique_name(&format!("dead.{id}"));
        kafka.create_topic(&topic, 3).unwrap();
        let notes = Arc::new(Notes::default());
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &[]).await;
        let template = app.beans().named::<KafkaTemplate>("").unwrap();
        for (partition, value) in [(2, "bad one"), (2, "good"), (0, "fine")] {
            send(&template, &topic, partition, "k\n1", value).await;
        }
        let letters = dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
        let mut seen = notes.first(5).await;
        seen.sort();
        assert_eq!(seen, ["bad one#1", "bad one#2", "bad one#3", "fine#1", "good#1"], "{id}");
        let admin = app.beans().named::<Admin>("").unwrap();
        let dead = admin.describe_topic(&format!("{topic}-dlt")).await.unwrap();
        assert_eq!(dead.partitions.len(), 3, "as many as the topic itself has");
        let [letter] = letters.as_slice() else { panic!("{id}: {letters:?}") };
        assert_letter(letter, &topic, id);
        committed(&admin, &topic, &[(0, 1), (2, 2)]).await;
        stop(app).await;
    }
}

/// Row for row what Spring's recoverer writes.
fn assert_letter(letter: &Consumed, topic: &str, id: &str) {
    assert_eq!(letter.partition, 2, "{id}: the same partition");
    assert_eq!((letter.key.as_deref(), letter.text()), (Some(&b"k\n1"[..]), "bad one"), "{id}");
    let message = match id {
        "batches" => "the record at index 0 of the batch failed; cannot bear bad one",
        _ => "cannot bear bad one",
    };
    let trace = format!("kafka_boot::HandlerError: {}", message.replace("; ", "\nCaused by: "));
    let expected: [(&str, &[u8]); 11] = [
        ("trace", b"7"),
        ("kafka_dlt-exception-fqcn", b"kafka_boot::HandlerError"),
        ("kafka_dlt-exception-cause-fqcn", b"kafka_boot::HandlerError"),
        ("kafka_dlt-exception-message", message.as_bytes()),
        ("kafka_dlt-exception-stacktrace", trace.as_bytes()),
        ("kafka_dlt-original-topic", topic.as_bytes()),
        ("kafka_dlt-original-partition", &[0, 0, 0, 2]),
        ("kafka_dlt-original-offset", &[0; 8]),
        ("kafka_dlt-original-timestamp", &recent_ms().to_be_bytes()),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", topic.as_bytes()),
    ];
    let headers: Vec<(&str, &[u8])> =
        letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap())).collect();
    assert_eq!(headers, expected, "{id}");
}

/// Waits until the group has committed so far.
async fn committed(admin: &Admin, topic: &str, wanted: &[(i32, i64)]) {
    eventually_async(DEADLINE, "what is settled to be committed", async || {
        let offsets = admin.list_group_offsets(topic, None).await.unwrap();
        let mut found: Vec<(i32, i64)> = offsets
            .into_iter()
            .map(|(found, _)| (found.partition.partition, found.offset))
            .filter(|(_, offset)| *offset >= 0)
            .collect();
        found.sort_unstable();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[derive(Debug)]
struct Refused(OnFailure);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl Retryable for Refused {
    fn on_failure(&self) -> OnFailure {
        self.0
    }
}

#[kafka_listener(id = "typed", topic = "${test.topic}", group = "${test.topic}")]
async fn typed(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<(), Refused> {
    notes.add(format!("{}#{}", record.value(), record.attempt()));
    match record.value().as_str() {
        "letter" => Err(Refused(OnFailure::DeadLetter)),
        "skip" => Err(Refused(OnFailure::Skip)),
        "later" if record.attempt() < 3 => Err(Refused(OnFailure::RetryAfter(Duration::from_millis(1)))),
        _ => Ok(()),
    }
}

#[kafka_listener(
    id = "said",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry(attempts = 2, backoff = "1ms", not_on(std::num::ParseIntError, Refused)),
    dead_letter(suffix = ".failed", routes("-number" = "std::num::ParseIntError"))
)]
async fn said(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<Outcome> {
    notes.add(format!("{}#{}", record.value(), record.attempt()));
    Ok(match record.value().as_str() {
        "letter" => Outcome::DeadLetter("no such order".into()),
        "skip" => Outcome::Skip("no matter".into()),
        "retry" => Outcome::Retry(HandlerError::from(Refused(OnFailure::Policy))),
        "never" => return Err(Refused(OnFailure::Policy).into()),
        number => {
            number.parse::<u32>()?;
            Outcome::Done
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_says_itself_what_is_to_follow() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("said");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![typed]), &topic, &notes, &[]).await;
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for value in ["letter", "skip", "later", "good"] {
        send(&template, &topic, 0, "k", value).await;
    }
    assert_eq!(notes.first(6).await, ["letter#1", "skip#1", "later#1", "later#2", "later#3", "good#1"]);
    let letters = dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
    let types: Vec<_> = letters
        .iter()
        .map(|letter| (letter.text(), letter.header_text("kafka_dlt-exception-fqcn").unwrap()))
        .collect();
    assert_eq!(types, [("letter", "dead_letters::Refused")]);
    stop(app).await;

    let topic = unique_name("said");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![said]), &topic, &notes, &[]).await;
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for value in ["letter", "skip", "retry", "never", "x", "7"] {
        send(&template, &topic, 0, "k", value).await;
    }
    let seen = notes.first(7).await;
    assert_eq!(seen, ["letter#1", "skip#1", "retry#1", "retry#2", "never#1", "x#1", "7#1"]);
    let letters = dead_letters(kafka, &format!("{topic}.failed"), 3).await;
    assert_eq!(letters.iter().map(Consumed::text).collect::<Vec<_>>(), ["letter", "retry", "never"]);
    let routed = dead_letters(kafka, &format!("{topic}-number.failed"), 1).await;
    assert_eq!(routed[0].header_text("kafka_dlt-exception-message"), Some("invalid digit found in string"));
    stop(app).await;
}

#[kafka_listener(
    id = "spring-like",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry(attempt_header = true)
)]
async fn spring_like(headers: Headers, payload: Payload<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{} {:?}", payload.0, headers.get("kafka_deliveryAttempt").unwrap()));
    judge(&payload.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attempt_is_a_header_where_that_is_wanted_and_never_of_the_dead_letter() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("attempts");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![spring_like]), &topic, &notes, &[]).await;
    send(&app.beans().named::<KafkaTemplate>("").unwrap(), &topic, 0, "k", "bad").await;
    assert_eq!(notes.first(3).await, ["bad [0, 0, 0, 1]", "bad [0, 0, 0, 2]", "bad [0, 0, 0, 3]"]);
    let letters = dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
    assert_eq!(letters[0].header("kafka_deliveryAttempt"), None);
    stop(app).await;
}

/// While the topic is missing the partition waits, alone; health names the record and the topic; then the letter is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_waits_for_a_dead_letter_topic_that_is_not_there() {
    let Some(kafka) = Kafka::shared() else { return };
    for (id, listeners) in [("in-order", listeners![in_order]), ("by-key", listeners![by_key])] {
        let topic = unique_name(&format!("missing.{id}"));
        kafka.create_topic(&topic, 2).unwrap();
        let notes = Arc::new(Notes::default());
        let more = ["kafka.error.dead-letter.create-topic=false", "kafka.error.attempts=1"];
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &more).await;
        let template = app.beans().named::<KafkaTemplate>("").unwrap();
        send(&template, &topic, 0, "k", "bad").await;
        send(&template, &topic, 0, "k", "behind").await;
        send(&template, &topic, 1, "other", "beside").await;
        let registry = app.beans().named::<ListenerRegistry>("").unwrap();
        let waiting = eventually_async(DEADLINE, "the record to be seen waiting", async || {
            registry.get(id).unwrap().waiting.first().cloned()
        })
        .await;
        assert_eq!((waiting.partition, waiting.offset), (0, 0));
        assert_eq!(waiting.target, format!("{topic}-dlt"));
        let health = app.health().report();
        assert_eq!(health.status, HealthStatus::Down);
        let detail = health.listeners[0].detail.clone().unwrap();
        assert!(detail.starts_with(&format!("record {topic}-0@0 waits for `{topic}-dlt` for ")), "{detail}");
        let admin = app.beans().named::<Admin>("").unwrap();
        committed(&admin, &topic, &[(1, 1)]).await;
        let mut seen = notes.all();
        seen.sort();
        assert_eq!(seen, ["bad#1", "beside#1"]);

        kafka.create_topic(&format!("{topic}-dlt"), 1).unwrap();
        let letters = dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
        assert_eq!(letters.iter().map(Consumed::text).collect::<Vec<_>>(), ["bad"]);
        committed(&admin, &topic, &[(0, 2), (1, 1)]).await;
        eventually_async(DEADLINE, "health to be good again", async || {
            app.health().report().status == HealthStatus::Up
        })
        .await;
        stop(app).await;
    }
}

/// A record that waits does not hold up a shutdown, and is there again after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_waits_is_there_again_after_a_restart() {
    let Some(kafka) = Kafka::shared() else { return };
    for listeners in [listeners![in_order], listeners![plain], listeners![by_key], listeners![batches]] {
        let topic = unique_name("restarted");
        kafka.create_topic(&topic, 1).unwrap();
        let notes = Arc::new(Notes::default());
        let more = ["kafka.error.dead-letter.create-topic=false", "kafka.error.attempts=1"];
        let app = start(kafka, App::new().listeners(listeners), &topic, &notes, &more).await;
        send(&app.beans().named::<KafkaTemplate>("").unwrap(), &topic, 0, "k", "bad").await;
        let registry = app.beans().named::<ListenerRegistry>("").unwrap();
        let is_waiting = async || registry.list().iter().any(|listener| !listener.waiting.is_empty());
        eventually_async(DEADLINE, "the record to wait", is_waiting).await;
        drop(registry);
        stop(app).await;

        let app =
            start(kafka, App::new().listeners(listeners), &topic, &notes, &["kafka.error.attempts=1"]).await;
        let letters = dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
        assert_eq!(letters.len(), 1);
        assert_eq!(notes.all(), ["bad#1", "bad#1"]);
        stop(app).await;
    }
}

#[kafka_listener(id = "pattern", pattern = "${test.topic}.*", group = "${test.topic}", attempts = 1)]
async fn by_pattern(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{} of {}", record.value(), record.topic()));
    judge(record.value())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_by_pattern_does_not_read_its_own_dead_letters() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("pattern");
    let other = format!("{topic}2");
    kafka.create_topic(&topic, 1).unwrap();
    kafka.create_topic(&other, 1).unwrap();
    let notes = Arc::new(Notes::default());
    // Topics that come later are looked for all the time.
    let more = ["kafka.consumer.properties.topic.metadata.refresh.interval.ms=200"];
    let app = start(kafka, App::new().listeners(listeners![by_pattern]), &topic, &notes, &more).await;
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    send(&template, &topic, 0, "k", "bad").await;
    dead_letters(kafka, &format!("{topic}-dlt"), 1).await;
    let later = format!("{topic}3");
    kafka.create_topic(&later, 1).unwrap();
    send(&template, &later, 0, "k", "later").await;
    // By then the topic of dead letters would have been found, too.
    let seen = notes.first(2).await;
    assert_eq!(seen, [format!("bad of {topic}"), format!("later of {later}")]);
    stop(app).await;
}

#[dead_letter_listener(for = "in-order", attempts = 1)]
async fn of_letters(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!(
        "letter {} of {}",
        record.value(),
        record.header("kafka_dlt-original-offset").unwrap()[7]
    ));
    if record.value() == "bad 2" { Err("not even that".into()) } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_dead_letters_reads_those_of_the_listener_it_names() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("letters");
    kafka.create_topic(&topic, 2).unwrap();
    let notes = Arc::new(Notes::default());
    let both = App::new().listeners(listeners![in_order, of_letters]);
    let app = start(kafka, both, &topic, &notes, &["kafka.listeners.in-order.error.attempts=1"]).await;
    let registry = app.beans().named::<ListenerRegistry>("").unwrap();
    let reader = registry.get("of_letters").unwrap();
    assert_eq!(reader.settings.topics, [format!("{topic}-dlt")]);
    assert_eq!(reader.settings.group_id(), format!("{topic}-dlt"));
    assert_eq!(reader.assigned[0].len(), 2, "the topic was there before the listener");
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for number in 1..=3 {
        send(&template, &topic, 1, "k", &format!("bad {number}")).await;
    }
    let mut seen = notes.first(6).await;
    seen.retain(|note| note.starts_with("letter"));
    assert_eq!(
        seen,
        ["letter bad 1 of 0", "letter bad 2 of 1", "letter bad 3 of 2"],
        "a bad one is left behind"
    );
    let admin = app.beans().named::<Admin>("").unwrap();
    committed(&admin, &format!("{topic}-dlt"), &[(1, 3)]).await;
    assert!(dead_letters(kafka, &format!("{topic}-dlt-dlt"), 0).await.is_empty());
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_looked_at_replayed_once_and_discarded() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("replay");
    let dead = format!("{topic}-dlt");
    kafka.create_topic(&topic, 2).unwrap();
    let notes = Arc::new(Notes::default());
    let app =
        start(kafka, App::new().listeners(listeners![in_order]), &topic, &notes, &["kafka.error.attempts=1"])
            .await;
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for (partition, value) in [(0, "bad a"), (0, "bad b"), (1, "bad c"), (1, "bad d"), (1, "bad e")] {
        send(&template, &topic, partition, "k", value).await;
    }
    dead_letters(kafka, &dead, 5).await;
    let letters = app.beans().named::<DeadLetters>("").unwrap();
    let values = |letters: Vec<DeadLetter>| -> Vec<String> {
        letters
            .iter()
            .map(|letter| String::from_utf8_lossy(letter.value.as_deref().unwrap()).into_owned())
            .collect()
    };
    let all = DeadLetterFilter::all();
    assert_eq!(
        values(letters.list(&dead, &all).await.unwrap()),
        ["bad a", "bad b", "bad c", "bad d", "bad e"]
    );
    let one = letters.list(&dead, &DeadLetterFilter::one(1, 1)).await.unwrap();
    let shown = one[0].to_string();
    assert_eq!(
        shown,
        format!("{dead}-1@1 (key `k`) from {topic}-1@1: kafka_boot::HandlerError: cannot bear bad d")
    );
    assert_eq!(values(letters.list(&dead, &all.clone().error("bear bad b")).await.unwrap()), ["bad b"]);
    let future = std::time::SystemTime::now() + DEADLINE;
    assert!(letters.list(&dead, &all.clone().since(future)).await.unwrap().is_empty());
    assert_eq!(letters.list(&dead, &all.clone().until(future).limit(2)).await.unwrap().len(), 2);

    let dry = letters.replay(&dead, &all, Replay::new().dry_run()).await.unwrap();
    assert_eq!((dry.done, letters.list(&dead, &all).await.unwrap().len()), (5, 5));
    let repaired =
        Replay::new().rate(1000).edit(|_, record| record.payload("repaired").header("repaired", "1"));
    let report = letters.replay(&dead, &DeadLetterFilter::one(1, 1), repaired).await.unwrap();
    assert_eq!(report.done, 1);
    eventually_async(DEADLINE, "the repaired record", async || {
        notes.all().contains(&"repaired#1".to_owned())
    })
    .await;
    let sent = dead_letters(kafka, &topic, 6).await;
    let sent = sent.last().unwrap();
    assert_eq!((sent.partition, sent.key.as_deref(), sent.text()), (1, Some(&b"k"[..]), "repaired"));
    assert_eq!(sent.header_text("kafka_boot-replayed-from"), Some(format!("{dead}-1@1").as_str()));
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["trace", "kafka_boot-replayed-from", "kafka_boot-replayed-at", "repaired"]);

    assert_eq!(letters.discard(&dead, &all.clone().partition(0)).await.unwrap().done, 2);
    assert_eq!(values(letters.list(&dead, &all).await.unwrap()), ["bad c", "bad e"]);
    assert_eq!(letters.list(&dead, &all.clone().with_done()).await.unwrap().len(), 5);
    // Both fail again, and are letters again.
    let elsewhere = format!("{topic}-elsewhere");
    kafka.create_topic(&elsewhere, 1).unwrap();
    assert_eq!(letters.replay(&dead, &all, Replay::new().to(&elsewhere)).await.unwrap().done, 2);
    assert_eq!(letters.replay(&dead, &all, Replay::new().to(&elsewhere)).await.unwrap().done, 0, "once");
    let sent = dead_letters(kafka, &elsewhere, 2).await;
    assert_eq!(sent.iter().map(Consumed::text).collect::<Vec<_>>(), ["bad c", "bad e"]);
    let missing = letters.list("no-such-topic", &all).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no topic `no-such-topic`");
    stop(app).await;
}

#[tokio::test]
async fn dead_letters_that_the_listener_would_read_itself_refuse_to_start() {
    let Some(kafka) = Kafka::shared() else { return };
    let arguments = [
        "test.topic=orders",
        "kafka.listeners.in-order.topics=orders,orders-dlt",
        "kafka.listeners.in-order.error.dead-letter.suffix=-dlt",
    ];
    let app = App::new().listeners(listeners![in_order]).without_discovery().without_logging();
    let app = app.load_options(options(kafka, arguments)).bean(Arc::new(Notes::default()));
    let error = app.start().await.err().unwrap();
    assert_eq!(error.exit_code(), 78);
    let text = error.to_string();
    assert!(
        text.contains(
            "the dead letters of `orders` would go to `orders-dlt`, which the listener reads itself"
        ),
        "{text}"
    );
}
