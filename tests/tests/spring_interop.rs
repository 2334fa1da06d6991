//! Dead letters and retry topics shared with a Spring Kafka 4 application: header by header, both ways.
//!
//! The application is `tests/interop`: Spring's own `DeadLetterPublishingRecoverer` and `@RetryableTopic`.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{DeadLetterFilter, DeadLetters, Ended, ReplyingTemplate, RunningApp, listeners};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::java;
use kafka_boot_tests::kafka::{Installation, Kafka};
use kafka_boot_tests::process::{Process, Program};
use kafka_boot_tests::produce::recent_ms;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// A real broker and the class path of the Spring application, or a line that says why there is none.
fn setting() -> Option<(&'static Kafka, String)> {
    let kafka = Kafka::shared()?;
    if !java::has_compiler_or_skip("the tests with Spring Kafka") {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let classes = root.join("../target/kafka/interop");
    std::fs::create_dir_all(&classes).unwrap();
    let classes = classes.canonicalize().unwrap().join("classes");
    let jars = Installation::obtain_spring().unwrap();
    let class_path = format!("{}:{}", classes.display(), jars.class_path());
    java::compile(&root.join("interop/src/interop"), &classes, &class_path);
    Some((kafka, class_path))
}

/// The Spring application in one of its parts.
fn spring(kafka: &Kafka, class_path: &str, part: &str, topic: &str, group: &str) -> Process {
    let process = Program::new("java")
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args(["-cp", class_path, "interop.Main", part, kafka.bootstrap_servers(), topic, group])
        .start()
        .unwrap();
    process.wait_for_line(DEADLINE, |line| line == "started").unwrap();
    process
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

#[kafka_listener(
    id = "ours",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry(attempts = 2, backoff = "1ms")
)]
async fn ours(record: Record<String>) -> Result<()> {
    if record.value().starts_with("bad") {
        Err(format!("cannot bear {}", record.value()).into())
    } else {
        Ok(())
    }
}

#[kafka_listener(
    id = "retried",
    topic = "${test.topic}",
    group = "${test.topic}",
    retry_topics(attempts = 4, backoff = "100ms..1s x2")
)]
async fn retried(record: Record<String>, notes: Bean<Arc<Notes>>) -> Result<()> {
    notes.add(format!("{} of {}#{}", record.value(), record.topic(), record.attempt()));
    if record.value().starts_with("bad") {
        Err(format!("cannot bear {}", record.value()).into())
    } else {
        Ok(())
    }
}

#[kafka_listener(id = "answering", topic = "${test.topic}", group = "${test.topic}")]
#[send_to]
async fn answering(request: Payload<String>) -> String {
    format!("we say {}", request.0)
}

async fn start(kafka: &Kafka, app: App, topic: &str, notes: &Arc<Notes>) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let app = app.without_discovery().without_logging().bean(Arc::clone(notes));
    app.load_options(options(kafka, [topic.as_str()])).start().await.unwrap()
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

async fn send(app: &RunningApp, topic: &str, value: &str) {
    let record = ProducerRecord::new(topic).partition(1).key("k").payload(value.to_owned());
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    template.send_record(record.header("trace", "7").timestamp(recent_ms())).await.unwrap();
}

/// Names and values of headers, where those that each side fills in its own way are only said to be there.
fn shape(record: &Consumed, group: &str) -> Vec<(String, String)> {
    let own = ["exception-fqcn", "exception-cause-fqcn", "exception-message", "exception-stacktrace"];
    let headers = record.headers.iter().map(|(name, value)| {
        let value = value.as_deref().unwrap();
        let shown = if own.iter().any(|own| name.ends_with(own)) {
            "text".to_owned()
        } else if name == "retry_topic-backoff-timestamp" {
            format!("{} bytes", value.len())
        } else if name.ends_with("consumer-group") && value == group.as_bytes() {
            "group".to_owned()
        } else {
            format!("{value:?}")
        };
        (name.clone(), shown)
    });
    headers.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spring_reads_our_dead_letters_and_we_read_springs_and_both_are_alike() {
    let Some((kafka, class_path)) = setting() else { return };
    let topic = unique_name("interop.dead");
    let dead = format!("{topic}-dlt");
    kafka.create_topic(&topic, 2).unwrap();
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![ours]), &topic, &notes).await;
    send(&app, &topic, "bad one").await;
    let ours = records(kafka, &dead, 1).await.remove(0);

    let reader = spring(kafka, &class_path, "reader", &dead, &format!("{topic}.reader"));
    let line = reader.wait_for_line(DEADLINE, |line| line.starts_with("letter|")).unwrap();
    let told: Vec<&str> = line.text.split('|').collect();
    let time = recent_ms().to_string();
    let expected = [
        "letter",
        "bad one",
        &topic,
        "1",
        "0",
        &time,
        "CreateTime",
        &topic,
        "kafka_boot::HandlerError",
        "kafka_boot::HandlerError",
        "cannot bear bad one",
        "kafka_boot::HandlerError: cannot bear bad one",
    ];
    assert_eq!(told, expected);
    drop(reader);

    // Spring fails on the same record, and writes its letter to the same topic.
    let group = format!("{topic}.spring");
    let writer = spring(kafka, &class_path, "dead-letters", &topic, &group);
    let springs = records(kafka, &dead, 2).await.remove(1);
    drop(writer);
    assert_eq!(shape(&springs, &group), shape(&ours, &topic), "name by name and byte by byte");
    assert_eq!((springs.partition, &springs.key, &springs.value), (ours.partition, &ours.key, &ours.value));

    let letters = app.beans().named::<DeadLetters>("").unwrap();
    let all = letters.list(&dead, &DeadLetterFilter::all()).await.unwrap();
    let [_, letter] = all.as_slice() else { panic!("{all:?}") };
    let (origin, failure) = (letter.origin.as_ref().unwrap(), letter.failure.as_ref().unwrap());
    assert_eq!((origin.topic.as_str(), origin.partition, origin.offset), (topic.as_str(), 1, 0));
    assert_eq!(origin.group, group);
    assert_eq!(failure.type_name, "interop.Main$Poisoned");
    assert!(failure.message.ends_with("; cannot bear bad one"), "{}", failure.message);
    assert!(
        failure.trace.contains("Caused by: interop.Main$Poisoned: cannot bear bad one"),
        "{}",
        failure.trace
    );
    assert_eq!(letter.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["trace"]);
    stop(app).await;
}

/// Both have the same retry topics. What one has left there, the other takes up where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spring_and_we_take_up_each_others_records_in_retry_topics() {
    let Some((kafka, class_path)) = setting() else { return };
    let topic = unique_name("interop.retry");
    kafka.create_topic(&topic, 2).unwrap();
    let stages = ["-retry-100", "-retry-200", "-retry-400", "-dlt"].map(|suffix| format!("{topic}{suffix}"));
    let notes = Arc::new(Notes::default());
    let app = start(kafka, App::new().listeners(listeners![retried]), &topic, &notes).await;
    send(&app, &topic, "bad").await;
    records(kafka, &stages[3], 1).await;
    assert_eq!(notes.first(4).await.len(), 4);
    stop(app).await;

    // Spring reads all of it in a group of its own: the record, and what we made of it on each stage.
    let group = format!("{topic}.spring");
    let app_of_spring = spring(kafka, &class_path, "retry-topics", &topic, &group);
    for (stage, attempts) in [(&topic, "null"), (&stages[0], "2"), (&stages[1], "3"), (&stages[2], "4")] {
        let expected = format!("delivery|bad|{stage}|{attempts}");
        app_of_spring.wait_for_line(DEADLINE, |line| line == expected).unwrap();
    }
    // Four deliveries from the start, and ours at each stage go on from there: 1 + 1 + 1 + 1 letters beside our own.
    let dead = records(kafka, &stages[3], 5).await;
    drop(app_of_spring);
    assert!(
        dead.iter().all(|letter| letter.header("retry_topic-attempts") == Some(&[0, 0, 0, 5])),
        "{dead:?}"
    );

    // Each stage holds our record first, and Spring's version of the same.
    for (index, stage) in stages.iter().enumerate() {
        let all = records(kafka, stage, 2).await;
        let own = |group: &str| {
            all.iter()
                .find(|record| record.header_text("kafka_dlt-original-consumer-group") == Some(group))
                .map(|record| shape(record, group))
        };
        assert_eq!(own(&group), own(&topic), "{index}: name by name and byte by byte");
    }

    // And we go on with Spring's: in a group of our own that has seen nothing yet.
    let notes = Arc::new(Notes::default());
    let other = format!("kafka.listeners.retried.group-id={topic}.other");
    let arguments = [format!("test.topic={topic}"), other];
    let app = App::new().listeners(listeners![retried]).without_discovery().without_logging();
    let app = app.bean(Arc::clone(&notes));
    let app = app.load_options(options(kafka, arguments.iter().map(String::as_str))).start().await.unwrap();
    // Beside the record itself, each stage holds ours, Spring's, and those that Spring sent on from ours.
    let counts = [1, 2, 3, 4];
    let seen = notes.first(counts.iter().sum()).await;
    for (attempt, stage) in (2..).zip(&stages[..3]) {
        let expected = format!("bad of {stage}#{attempt}");
        assert!(seen.contains(&expected), "{expected} is not in {seen:?}");
    }
    let told: Vec<&String> =
        seen.iter().filter(|note| !(1..=4).any(|n| note.ends_with(&format!("#{n}")))).collect();
    assert!(told.is_empty(), "{told:?}");
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spring_answers_what_we_ask_and_we_answer_spring() {
    let Some((kafka, class_path)) = setting() else { return };
    let (ours, theirs) = (unique_name("interop.asked"), unique_name("interop.asks"));
    let [our_replies, their_replies] = [&ours, &theirs].map(|topic| format!("{topic}.replies"));
    for topic in [&ours, &theirs, &our_replies, &their_replies] {
        kafka.create_topic(topic, 2).unwrap();
    }
    let (topic, replies) = (format!("test.topic={ours}"), format!("kafka.replies.topic={our_replies}"));
    let app = App::new().listeners(listeners![answering]).without_discovery().without_logging();
    let app = app.load_options(options(kafka, [topic.as_str(), replies.as_str()])).start().await.unwrap();

    let asks = spring(kafka, &class_path, "asks", &ours, &their_replies);
    let line =
        asks.wait_for_line(DEADLINE, |line| line.starts_with("reply|") || line.starts_with("no reply"));
    assert_eq!(line.unwrap().text, format!("reply|k|we say umbrella|{their_replies}"));
    drop(asks);

    let answers = spring(kafka, &class_path, "answers", &theirs, &format!("{theirs}.group"));
    let requests = app.beans().named::<ReplyingTemplate>("").unwrap();
    let request = ProducerRecord::new(theirs.as_str()).key("k").payload("umbrella");
    let reply = requests.request_within(request, DEADLINE).await.unwrap();
    assert_eq!(reply.payload_str(), Some("spring says umbrella"));
    drop(answers);
    stop(app).await;
}
