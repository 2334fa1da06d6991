//! A listener slower than its topic: nothing is lost, memory is bounded, and a rebalance in the middle changes nothing.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{ListenerState, RunningApp, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);
const RECORDS: u64 = 4_000;

/// What was handled, by partition and offset; and how often a record was handled that had been already.
#[derive(Default)]
struct Handled {
    seen: Mutex<BTreeSet<(i32, i64)>>,
    repeated: AtomicUsize,
}

#[kafka_listener(id = "slow", topic = "${test.topic}", group = "${test.topic}")]
async fn slow(record: Record<String>, handled: Bean<Arc<Handled>>) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if !handled.seen.lock().unwrap().insert((record.partition(), record.offset())) {
        handled.repeated.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

async fn start(kafka: &Kafka, topic: &str, handled: &Arc<Handled>) -> RunningApp {
    let arguments = vec![
        format!("--kafka.bootstrap-servers={}", kafka.bootstrap_servers()),
        format!("--test.topic={topic}"),
        // Little room, so that both partitions are paused most of the time.
        "--kafka.consumer.max-in-flight=20".to_owned(),
        "--kafka.consumer.max-poll-records=10".to_owned(),
        "--kafka.consumer.heartbeat-interval=300ms".to_owned(),
    ];
    App::new()
        .without_discovery()
        .without_logging()
        .load_options(LoadOptions { arguments, ..LoadOptions::default() })
        .listeners(listeners![slow])
        .bean(Arc::clone(handled))
        .start()
        .await
        .unwrap()
}

fn assigned(app: &RunningApp) -> usize {
    app.listeners().get("slow").unwrap().assigned.iter().map(Vec::len).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_paused_when_it_was_revoked_goes_on_when_it_comes_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("backpressure");
    kafka.create_topic(&topic, 2).unwrap();
    Seeding::new(&topic, RECORDS).keys(100).produce(kafka.bootstrap_servers()).unwrap();
    let handled = Arc::new(Handled::default());
    let count = || {
        let handled = Arc::clone(&handled);
        async move { handled.seen.lock().unwrap().len() }
    };

    let first = start(kafka, &topic, &handled).await;
    eventually_async(DEADLINE, "the first member to work", || async { count().await > 100 }).await;
    let second = start(kafka, &topic, &handled).await;
    eventually_async(DEADLINE, "one partition each", || async {
        assigned(&first) == 1 && assigned(&second) == 1
    })
    .await;
    let so_far = count().await;
    eventually_async(DEADLINE, "both to work", || async { count().await > so_far + 100 }).await;
    assert_eq!(second.stop().await, kafka_boot::Ended::Clean);
    eventually_async(DEADLINE, "both partitions to come back", || async { assigned(&first) == 2 }).await;
    let all = usize::try_from(RECORDS).unwrap();
    eventually_async(DEADLINE, "every record to be handled", || async { count().await == all }).await;

    assert_eq!(handled.repeated.load(Ordering::SeqCst), 0, "a graceful rebalance repeats nothing");
    assert_eq!(first.stop().await, kafka_boot::Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_paused_by_hand_takes_nothing_until_it_is_resumed() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("pause");
    kafka.create_topic(&topic, 2).unwrap();
    let handled = Arc::new(Handled::default());
    let app = start(kafka, &topic, &handled).await;
    let state = |app: &RunningApp| app.listeners().get("slow").unwrap().state;
    app.listeners().pause("slow").await.unwrap();
    eventually_async(DEADLINE, "the pause", || async { state(&app) == ListenerState::Paused }).await;
    Seeding::new(&topic, 500).produce(kafka.bootstrap_servers()).unwrap();
    // The records are there, and a member that is paused still answers its group: give it time to be wrong.
    let arrived = std::time::Instant::now();
    eventually_async(DEADLINE, "a second to pass", || async { arrived.elapsed() > Duration::from_secs(1) })
        .await;
    assert_eq!(handled.seen.lock().unwrap().len(), 0);
    app.listeners().resume("slow").await.unwrap();
    eventually_async(DEADLINE, "every record to be handled", || async {
        handled.seen.lock().unwrap().len() == 500
    })
    .await;
    assert_eq!(app.stop().await, kafka_boot::Ended::Clean);
}
