//! R8, beside the records themselves: what a panic costs, and what is said of it.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{Ended, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::{eventually, eventually_async};

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const MINUTE: Duration = Duration::from_mins(1);

/// Once an attempt, in the one line that says what follows: nothing beside the log, and no second line.
#[test]
fn the_text_of_a_panic_is_in_the_log_once() {
    let Some(kafka) = Kafka::shared() else { return };
    for attempts in [1, 2] {
        let mut scenario = Scenario::new(kafka, SERVICE, "panics-once", 3)
            .unwrap()
            .setting("kafka.error.attempts", attempts)
            .setting("ledger.poison-every", 100)
            .setting("ledger.poison-panics", true);
        scenario.seed(1_200).unwrap();
        let instance = scenario.start().unwrap();
        scenario.drain(MINUTE).unwrap();
        let process = scenario.stop(instance).unwrap();
        let lines = process.lines();
        let with = |text: &str| lines.iter().filter(|line| line.text.contains(text)).count();
        // Twelve records, in turn: at once, after a wait, with something that is no text, and in a drop.
        let output = lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
        assert_eq!(with("panicked"), 12 * attempts, "{output}");
        assert_eq!(with("this record panics on purpose"), 3 * attempts, "{output}");
        assert_eq!(with("this record panics after a wait, on purpose"), 3 * attempts, "{output}");
        assert_eq!(with("this record panics in a drop, on purpose"), 3 * attempts, "{output}");
        assert_eq!(with("thread '"), 0, "{output}");
        let places =
            lines.iter().filter(|line| line.text.contains("(at tests/src/bin/ledger-service.rs:")).count();
        assert_eq!(places, 12 * attempts, "{output}");
    }
}

/// How many handlers are at work at once.
const WORKERS: usize = 8;
/// How soon after the last of them has panicked as many are at work again.
const RESTORED_WITHIN: Duration = Duration::from_millis(100);

/// When handlers came: those that are to panic, and those behind them.
#[derive(Default)]
struct Arrivals {
    to_panic: Mutex<Vec<Instant>>,
    to_work: Mutex<Vec<Instant>>,
    /// Everything has been sent.
    is_sent: AtomicBool,
}

impl Arrivals {
    fn of(&self, value: &str) -> &Mutex<Vec<Instant>> {
        if value == "panic" { &self.to_panic } else { &self.to_work }
    }

    fn come(&self, value: &str) {
        self.of(value).lock().unwrap().push(Instant::now());
    }

    /// Whether all of this kind have come, so that all of them are at work now: none goes before.
    fn are_all(&self, value: &str) -> bool {
        self.is_sent.load(Ordering::Acquire) && self.of(value).lock().unwrap().len() >= WORKERS
    }

    /// Panics, where that is wanted, and notes when.
    fn leave(&self, value: &str) {
        if value == "panic" {
            let mut panics = self.to_panic.lock().unwrap();
            // Nobody looks at the arrivals any more.
            panics.push(Instant::now());
            drop(panics);
            panic!("{ON_PURPOSE}");
        }
    }

    fn last(&self, value: &str) -> Instant {
        *self.of(value).lock().unwrap().iter().max().unwrap()
    }
}

const ON_PURPOSE: &str = "on purpose";

/// Keeps Rust from reporting these panics, which takes longer than all else, with backtraces much longer.
fn keep_quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(ON_PURPOSE) {
            before(info);
        }
    }));
}

fn work_on_a_thread(value: &str, arrivals: &Arrivals) {
    arrivals.come(value);
    eventually(MINUTE, "all workers to be there", || arrivals.are_all(value));
    arrivals.leave(value);
}

#[kafka_listener(
    id = "by-key",
    topic = "${test.topic}",
    group = "${test.topic}",
    ordering = "key",
    max_in_flight = 8
)]
fn by_key(record: Record<String>, arrivals: Bean<Arc<Arrivals>>) {
    work_on_a_thread(record.value(), &arrivals);
}

#[kafka_listener(id = "by-partition", topic = "${test.topic}", group = "${test.topic}")]
fn by_partition(record: Record<String>, arrivals: Bean<Arc<Arrivals>>) {
    work_on_a_thread(record.value(), &arrivals);
}

#[kafka_listener(id = "limited", topic = "${test.topic}", group = "${test.topic}", handler_timeout = "2m")]
fn limited(record: Record<String>, arrivals: Bean<Arc<Arrivals>>) {
    work_on_a_thread(record.value(), &arrivals);
}

#[kafka_listener(
    id = "tasks",
    topic = "${test.topic}",
    group = "${test.topic}",
    ordering = "key",
    max_in_flight = 8
)]
async fn tasks(record: Record<String>, arrivals: Bean<Arc<Arrivals>>) {
    let value = record.value();
    arrivals.come(value);
    eventually_async(MINUTE, "all workers to be there", async || arrivals.are_all(value)).await;
    arrivals.leave(value);
}

/// All workers panic at once; those that follow are as many, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_handlers_are_at_work_as_before_a_moment_after_all_have_panicked() {
    let Some(kafka) = Kafka::shared() else { return };
    keep_quiet();
    let all = [
        ("by-key", listeners![by_key]),
        ("by-partition", listeners![by_partition]),
        ("limited", listeners![limited]),
        ("tasks", listeners![tasks]),
    ];
    for (id, listeners) in all {
        let topic = unique_name(&format!("panics.{id}"));
        kafka.create_topic(&topic, i32::try_from(WORKERS).unwrap()).unwrap();
        let arrivals = Arc::new(Arrivals::default());
        let own = format!("test.topic={topic}");
        let settings = [own.as_str(), "kafka.error.attempts=1", "kafka.error.then=skip"];
        let app = App::new().without_discovery().without_logging().listeners(listeners);
        let app = app.load_options(options(kafka, settings)).bean(Arc::clone(&arrivals));
        let app = app.start().await.unwrap();
        let template = app.beans().named::<KafkaTemplate>("").unwrap();
        for value in ["panic", "work"] {
            for worker in 0..WORKERS {
                let record = ProducerRecord::new(topic.as_str()).partition(i32::try_from(worker).unwrap());
                template.send_record(record.key(format!("{worker}")).payload(value)).await.unwrap();
            }
        }
        arrivals.is_sent.store(true, Ordering::Release);
        eventually_async(MINUTE, "all to be at work again", async || {
            let came = |value: &str| arrivals.of(value).lock().unwrap().len();
            let message = || format!("{} came to panic or did, {} to work", came("panic"), came("work"));
            arrivals.are_all("work").then_some(()).ok_or_else(message)
        })
        .await;
        let restored = arrivals.last("work").saturating_duration_since(arrivals.last("panic"));
        eprintln!(
            "R8 ({id}): {WORKERS} handlers panicked at once, as many were at work again after {restored:.1?}"
        );
        assert!(restored <= RESTORED_WITHIN, "{id}: {restored:?}");
        assert_eq!(app.stop().await, Ended::Clean);
    }
}
