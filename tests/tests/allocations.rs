//! How often memory is allocated for a record, in the whole process: not at all, in the steady state.
//!
//! Counts, not times: they are the same on a busy machine. What librdkafka allocates for itself is not Rust's, and is not
//! counted. One test, so that no other allocates meanwhile.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{Ended, Text, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const DEADLINE: Duration = Duration::from_mins(2);
const RECORDS: u64 = 300_000;
/// What is allocated before these records is the price of starting: queues that grow, places for handlers.
const WARM_UP: u64 = 100_000;
const MEASURED: u64 = 150_000;
/// A chunk of records has a vector and a reference count; a poll and a commit have some more.
const CHUNK_MOST: f64 = 0.1;

/// Counts records, and what is allocated between two of them.
#[derive(Debug, Default)]
struct Count {
    records: AtomicU64,
    before: AtomicU64,
    allocated: AtomicU64,
}

impl Count {
    fn note(&self) {
        let number = self.records.fetch_add(1, Ordering::Relaxed) + 1;
        let so_far = || ALLOCATOR.stats().allocations as u64;
        if number == WARM_UP {
            self.before.store(so_far(), Ordering::Relaxed);
        } else if number == WARM_UP + MEASURED {
            self.allocated.store(so_far() - self.before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

#[kafka_listener(id = "bytes", topic = "${test.topic}", group = "${test.topic}-bytes")]
async fn bytes(record: Record<()>, count: Bean<Arc<Count>>) {
    std::hint::black_box(record.payload());
    count.note();
}

#[kafka_listener(id = "text", topic = "${test.topic}", group = "${test.topic}-text")]
async fn text(record: Record<Text>, count: Bean<Arc<Count>>) {
    std::hint::black_box(record.value().len());
    count.note();
}

#[kafka_listener(id = "keys", topic = "${test.topic}", group = "${test.topic}-keys", ordering = "key")]
async fn keys(record: Record<Text>, count: Bean<Arc<Count>>) {
    tokio::task::yield_now().await;
    std::hint::black_box(record.value().len());
    count.note();
}

#[kafka_listener(id = "copied", topic = "${test.topic}", group = "${test.topic}-copied")]
async fn copied(record: Record<String>, count: Bean<Arc<Count>>) {
    std::hint::black_box(record.value().len());
    count.note();
}

/// How many allocations a record costs.
async fn allocations_a_record(kafka: &Kafka, topic: &str, app: App) -> f64 {
    let count = Arc::new(Count::default());
    let mut options = options(kafka, []);
    options.arguments.push(format!("--test.topic={topic}"));
    let app = app.without_discovery().without_logging().load_options(options).bean(Arc::clone(&count));
    let app = app.start().await.unwrap();
    eventually_async(DEADLINE, "all records to be handled", || async {
        let records = count.records.load(Ordering::Relaxed);
        if records == RECORDS { Ok(()) } else { Err(format!("{records} of {RECORDS}")) }
    })
    .await;
    assert_eq!(app.stop().await, Ended::Clean);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousands")]
    let each = count.allocated.load(Ordering::Relaxed) as f64 / MEASURED as f64;
    each
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_read_where_they_lie_cost_no_allocation() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("allocations");
    kafka.create_topic(&topic, 2).unwrap();
    Seeding::new(&topic, RECORDS).keys(1_000).produce(kafka.bootstrap_servers()).unwrap();
    for (what, listeners) in [
        ("bytes in order", listeners![bytes]),
        ("text in order", listeners![text]),
        ("text by key", listeners![keys]),
    ] {
        let each = allocations_a_record(kafka, &topic, App::new().listeners(listeners)).await;
        eprintln!("{what}: {each:.3} allocations a record");
        assert!(each < CHUNK_MOST, "{what}: {each} allocations a record");
    }
    let each = allocations_a_record(kafka, &topic, App::new().listeners(listeners![copied])).await;
    eprintln!("text that is copied: {each:.3} allocations a record");
    assert!(
        (1.0..1.0 + CHUNK_MOST).contains(&each),
        "the count itself is wrong: {each} for a `String` a record"
    );
}
