//! `kafka.topics`: created, grown and, if asked to, changed at start, with a plan in the log.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::cell::RefCell;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Once;
use std::time::{Duration, Instant};

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{Ended, StartErrorKind, jobs};
use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;

/// An application needs a listener or a job.
#[scheduled(fixed_delay = "1h", enabled = false)]
async fn nothing() {}

thread_local! {
    /// What was logged on this thread, which is that of one test.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the log of the thread that logs.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From here on everything is logged. Once for all tests: with a subscriber each, one that has none could take a line's
/// interest away from those that have.
fn listen() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        tracing_subscriber::fmt()
            .with_writer(|| Log)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .init();
    });
}

/// What was said of the declared topics on this thread since the last look.
fn plans() -> Vec<String> {
    let text = String::from_utf8(LOG.take()).unwrap();
    let lines = text.lines().filter(|line| line.contains("declared topic"));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn app(options: LoadOptions) -> App {
    listen();
    App::new().without_discovery().without_logging().load_options(options).jobs(jobs![nothing])
}

/// What one start says, and what the topic is like after it: partitions and `retention.ms`.
struct Outcome {
    plans: Vec<String>,
    partitions: usize,
    retention: String,
}

/// Starts an application with these arguments on the topic, looks, and stops it.
fn started(kafka: &Kafka, topic: &str, arguments: &[&str]) -> Outcome {
    let name = format!("kafka.topics[0].name={topic}");
    let options = options(kafka, std::iter::once(name.as_str()).chain(arguments.iter().copied()));
    runtime().block_on(async {
        let running = app(options).start().await.unwrap();
        let admin: Bean<Admin> = running.beans().bean().unwrap();
        let partitions = admin.describe_topic(topic).await.unwrap().partitions.len();
        let settings = admin.describe_topic_configs(topic).await.unwrap();
        let retention = settings.into_iter().find(|entry| entry.name == "retention.ms").unwrap();
        assert_eq!(running.stop().await, Ended::Clean);
        Outcome { plans: plans(), partitions, retention: retention.value.unwrap() }
    })
}

#[test]
fn declared_topics_are_brought_about_as_far_as_is_asked_for_and_the_plan_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("declared");
    let declared = |partitions: &str, retention: &str| {
        vec![
            format!("kafka.topics[0].partitions={partitions}"),
            format!("kafka.topics[0].configs.retention.ms={retention}"),
        ]
    };
    let run = |declared: Vec<String>, more: &[&str]| {
        let arguments: Vec<_> = declared.iter().map(String::as_str).chain(more.iter().copied()).collect();
        started(kafka, &topic, &arguments)
    };

    let created = run(declared("2", "60000"), &[]);
    assert_eq!((created.partitions, created.retention.as_str()), (2, "60000"));
    assert!(created.plans[0].contains("plan=create"), "{:?}", created.plans);
    assert!(created.plans[1].starts_with("INFO declared topic created"), "{:?}", created.plans);

    let again = run(declared("2", "60000"), &[]);
    assert!(again.plans.is_empty(), "there was nothing to do: {:?}", again.plans);

    // What exists is changed only if that is asked for; the difference is told all the same.
    let left = run(declared("2", "90000"), &[]);
    assert_eq!(left.retention, "60000");
    assert_eq!(left.plans.len(), 1, "{:?}", left.plans);
    assert!(
        left.plans[0].starts_with("WARN") && left.plans[0].contains("modify-topic-configs"),
        "{:?}",
        left.plans
    );

    let changed = run(declared("3", "90000"), &["kafka.admin.modify-topic-configs=true"]);
    assert_eq!((changed.partitions, changed.retention.as_str()), (3, "90000"));
    let plans = changed.plans.join("\n");
    for told in [
        "plan=grow from 2 to 3 partitions",
        "plan=alter retention.ms from 60000 to 90000",
        "declared topic grown",
        "declared topic altered",
    ] {
        assert!(plans.contains(told), "{told}: {plans}");
    }

    let shrunk = run(declared("1", "90000"), &["kafka.admin.modify-topic-configs=true"]);
    assert_eq!(shrunk.partitions, 3);
    assert!(shrunk.plans[0].contains("partitions only grow"), "{:?}", shrunk.plans);

    // Not even looked at.
    let off = run(declared("9", "1"), &["kafka.admin.auto-create=false"]);
    assert_eq!((off.partitions, off.retention.as_str()), (3, "90000"));
    assert!(off.plans.is_empty(), "{:?}", off.plans);
}

#[test]
fn a_topic_that_cannot_be_is_an_error_that_names_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("declared-wrong");
    let name = format!("kafka.topics[0].name={topic}");
    let options = options(kafka, [name.as_str(), "kafka.topics[0].configs.retention.ms=soon"]);
    let error = runtime().block_on(app(options).start()).unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Kafka);
    let told = error.to_string();
    assert!(told.contains(&format!("declared topic `{topic}` could not be brought about")), "{told}");
    assert!(told.contains("retention.ms"), "{told}");
}

/// An address at which nobody listens yet.
fn free_address() -> (String, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (format!("127.0.0.1:{port}"), port)
}

fn on(servers: &str, arguments: &[&str]) -> LoadOptions {
    let arguments = arguments.iter().map(|argument| format!("--{argument}"));
    LoadOptions {
        arguments: [format!("--kafka.bootstrap-servers={servers}"), "--kafka.topics[0].name=late".to_owned()]
            .into_iter()
            .chain(arguments)
            .collect(),
        ..LoadOptions::default()
    }
}

#[test]
fn without_a_broker_the_start_fails_at_once_if_that_is_asked_for() {
    let (servers, _) = free_address();
    let began = Instant::now();
    let options = on(&servers, &["kafka.admin.fail-fast=true", "kafka.admin.request-timeout=300ms"]);
    let error = runtime().block_on(app(options).start()).unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Kafka);
    assert!(error.to_string().contains("could not be looked up"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "far below `lifecycle.startup-timeout`");
}

#[test]
fn without_a_broker_the_start_waits_for_one() {
    let (servers, port) = free_address();
    let arguments = ["kafka.admin.request-timeout=300ms", "kafka.properties.reconnect.backoff.max.ms=200"];
    let options = on(&servers, &arguments);
    runtime().block_on(async {
        let starting = tokio::spawn(app(options).start());
        // Long enough for the first attempt to have failed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!starting.is_finished());
        let broker = EmbeddedBroker::builder().port(port).start().await.unwrap();
        let running = starting.await.unwrap().unwrap();
        let admin: Bean<Admin> = running.beans().bean().unwrap();
        assert_eq!(admin.describe_topic("late").await.unwrap().partitions.len(), 1);
        assert_eq!(running.stop().await, Ended::Clean);
        broker.shutdown().await;
    });
}
