//! Manual acknowledgement and partial batch results, end to end: what is delivered again, when, and what is committed.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{Ended, ListenerState, RecordView, RunningApp, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::look;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// What the test decides of records: the `Ack`s are its own.
#[derive(Default)]
struct Desk {
    acks: Mutex<Vec<(i64, Ack)>>,
    delivered: Mutex<Vec<(i64, Instant)>>,
    batches: Mutex<Vec<Vec<i64>>>,
}

impl Desk {
    fn lay(&self, offset: i64, ack: Ack) {
        self.delivered.lock().unwrap().push((offset, Instant::now()));
        self.acks.lock().unwrap().push((offset, ack));
    }

    fn offsets(&self) -> Vec<i64> {
        self.delivered.lock().unwrap().iter().map(|(offset, _)| *offset).collect()
    }

    /// The batches of the listeners that take some.
    fn batches(&self) -> Vec<Vec<i64>> {
        self.batches.lock().unwrap().clone()
    }

    fn note(&self, batch: &Batch<String>) {
        self.batches.lock().unwrap().push(batch.iter().map(Record::offset).collect());
    }

    async fn until_delivered(&self, count: usize) -> Vec<i64> {
        eventually_async(DEADLINE, "records to be delivered", || async {
            let offsets = self.offsets();
            if offsets.len() >= count { Ok(()) } else { Err(format!("{offsets:?}")) }
        })
        .await;
        self.offsets()
    }

    /// Takes the last `Ack` of this offset.
    fn take(&self, offset: i64) -> Ack {
        let mut acks = self.acks.lock().unwrap();
        let at = acks.iter().rposition(|(other, _)| *other == offset).unwrap();
        acks.remove(at).1
    }

    fn acknowledge_all(&self) {
        for (_, ack) in std::mem::take(&mut *self.acks.lock().unwrap()) {
            ack.acknowledge();
        }
    }

    /// The time between the first and the last delivery of an offset.
    fn gap(&self, offset: i64) -> Duration {
        let delivered = self.delivered.lock().unwrap();
        let mut times = delivered.iter().filter(|(other, _)| *other == offset).map(|(_, at)| *at);
        let first = times.next().unwrap();
        times.next_back().unwrap() - first
    }
}

#[kafka_listener(
    id = "in-order",
    topic = "${test.topic}",
    group = "${test.topic}",
    ack_mode = "manual-immediate"
)]
async fn in_order(meta: RecordMeta, ack: Ack, desk: Bean<Arc<Desk>>) {
    desk.lay(meta.offset(), ack);
}

#[kafka_listener(
    id = "by-key",
    topic = "${test.topic}",
    group = "${test.topic}",
    ack_mode = "manual",
    ordering = "key"
)]
async fn by_key(meta: RecordMeta, ack: Ack, desk: Bean<Arc<Desk>>) {
    desk.lay(meta.offset(), ack);
}

/// Acknowledges the first two of each batch, and asks for the rest once more until it is small.
#[kafka_listener(id = "parts", topic = "${test.topic}", group = "${test.topic}", commit = "manual")]
fn parts(batch: Batch<String>, ack: Ack, desk: Bean<Arc<Desk>>) -> Result<()> {
    desk.note(&batch);
    if batch.len() <= 2 {
        ack.acknowledge();
    } else if batch.len().is_multiple_of(2) {
        ack.acknowledge_through(1)?.nack(Duration::ZERO);
    } else {
        ack.nack_from(1, Duration::ZERO)?;
    }
    Ok(())
}

/// Cannot bear the record at offset 3.
#[kafka_listener(id = "partial", topic = "${test.topic}", group = "${test.topic}", max_poll_records = 10)]
async fn partial(batch: Batch<String>, desk: Bean<Arc<Desk>>) -> Result<()> {
    desk.note(&batch);
    match batch.iter().position(|record| record.offset() == 3) {
        Some(index) => Err(BatchError::at(index, "no stock").into()),
        None => Ok(()),
    }
}

/// Wants every third record; nothing but a number can be decoded.
fn every_third(record: &RecordView<'_>) -> bool {
    assert!(record.offset() != 4, "the filter itself fails, once the attempts are used up");
    record.offset() % 3 == 0
}

#[kafka_listener(
    id = "filtered",
    topic = "${test.topic}",
    group = "${test.topic}",
    filter = every_third,
    on_failure = "skip",
    attempts = 1
)]
async fn filtered(meta: RecordMeta, desk: Bean<Arc<Desk>>) {
    desk.delivered.lock().unwrap().push((meta.offset(), Instant::now()));
}

#[kafka_listener(
    id = "filtered-by-hand",
    topic = "${test.topic}",
    group = "${test.topic}",
    ack_mode = "manual",
    ordering = "key",
    filter = every_third,
    on_failure = "skip",
    attempts = 1
)]
fn filtered_by_hand(meta: RecordMeta, ack: Ack, desk: Bean<Arc<Desk>>) {
    desk.lay(meta.offset(), ack);
}

async fn start(kafka: &Kafka, topic: &str, which: App, desk: &Arc<Desk>, more: &[&str]) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let arguments = std::iter::once(topic.as_str()).chain(more.iter().copied());
    let app = which.without_discovery().without_logging().load_options(options(kafka, arguments));
    app.bean(Arc::clone(desk)).start().await.unwrap()
}

fn seeded(kafka: &Kafka, records: u64, keys: u64) -> String {
    let topic = unique_name("acknowledged");
    kafka.create_topic(&topic, 1).unwrap();
    Seeding::new(&topic, records).keys(keys).produce(kafka.bootstrap_servers()).unwrap();
    topic
}

fn committed(kafka: &Kafka, topic: &str) -> Option<i64> {
    look(kafka.bootstrap_servers(), topic, topic, 1).unwrap()[0].committed
}

async fn until_committed(kafka: &Kafka, topic: &str, expected: i64) {
    eventually_async(DEADLINE, "the commit", || async {
        let found = committed(kafka, topic);
        if found == Some(expected) { Ok(()) } else { Err(format!("committed is {found:?}, not {expected}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_out_of_order_are_committed_up_to_the_first_open_record() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 6, 1);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![in_order]), &desk, &[]).await;
    assert_eq!(desk.until_delivered(6).await, [0, 1, 2, 3, 4, 5]);
    for offset in [5, 1, 3] {
        desk.take(offset).acknowledge();
    }
    desk.take(0).acknowledge();
    until_committed(kafka, &topic, 2).await;
    desk.take(2).acknowledge();
    until_committed(kafka, &topic, 4).await;
    // Dropped, which leaves it undone: nothing beyond it is committed, and it comes again after the restart.
    drop(desk.take(4));
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(committed(kafka, &topic), Some(4));
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![in_order]), &desk, &[]).await;
    assert_eq!(desk.until_delivered(2).await, [4, 5]);
    desk.acknowledge_all();
    until_committed(kafka, &topic, 6).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_done_comes_again_with_what_follows_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 5, 1);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![in_order]), &desk, &[]).await;
    desk.until_delivered(5).await;
    for offset in [0, 1, 3] {
        desk.take(offset).acknowledge();
    }
    desk.take(2).nack(Duration::from_millis(300));
    assert_eq!(desk.until_delivered(8).await, [0, 1, 2, 3, 4, 2, 3, 4]);
    assert!(desk.gap(2) >= Duration::from_millis(300));
    desk.acknowledge_all();
    until_committed(kafka, &topic, 5).await;
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(desk.offsets().len(), 8);
}

/// The lane waits for longer than the group's session lasts, the member stays, and neither a shutdown nor the poll
/// thread waits for the lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_delay_costs_neither_the_membership_nor_the_shutdown() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 3, 1);
    let desk = Arc::new(Desk::default());
    let more = ["kafka.listeners.in-order.stuck-after=300ms"];
    let app = start(kafka, &topic, App::new().listeners(listeners![in_order]), &desk, &more).await;
    desk.until_delivered(3).await;
    desk.take(1).nack(Duration::from_hours(1));
    desk.take(0).acknowledge();
    until_committed(kafka, &topic, 1).await;
    eventually_async(DEADLINE, "the record to be named", || async {
        let info = app.listeners().get("in-order").unwrap();
        info.state == ListenerState::Retrying && info.stuck.iter().any(|record| record.offset == 1)
    })
    .await;
    let stopped = Instant::now();
    assert_eq!(app.stop().await, Ended::Clean);
    assert!(stopped.elapsed() < Duration::from_mins(10), "the delay is an hour");
    assert_eq!(committed(kafka, &topic), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_key_only_the_record_that_is_not_done_comes_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 6, 3);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![by_key]), &desk, &[]).await;
    desk.until_delivered(6).await;
    desk.take(1).nack(Duration::from_millis(200));
    let delivered = desk.until_delivered(7).await;
    assert_eq!(delivered[6..], [1]);
    assert!(desk.gap(1) >= Duration::from_millis(200));
    desk.acknowledge_all();
    until_committed(kafka, &topic, 6).await;
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(desk.offsets().len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_acknowledged_part_by_part() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 41, 1);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![parts]), &desk, &[]).await;
    until_committed(kafka, &topic, 41).await;
    assert_eq!(app.stop().await, Ended::Clean);
    let batches = desk.batches();
    assert!(batches.iter().any(|batch| batch.len() > 2), "{batches:?}");
    for pair in batches.windows(2) {
        let [batch, next] = pair else { unreachable!("windows of two") };
        match batch.len() {
            0..=2 => assert_eq!(next[0], batch[batch.len() - 1] + 1, "{batches:?}"),
            len if len % 2 == 0 => assert_eq!(*next, batch[2..], "{batches:?}"),
            _ => assert_eq!(*next, batch[1..], "{batches:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_names_its_record_leaves_the_rest_of_the_batch_alone() {
    let Some(kafka) = Kafka::shared() else { return };
    let backoff = "kafka.listeners.partial.error.backoff.initial=1ms";
    let topic = seeded(kafka, 6, 1);
    let desk = Arc::new(Desk::default());
    let more =
        [backoff, "kafka.listeners.partial.error.attempts=2", "kafka.listeners.partial.error.then=skip"];
    let app = start(kafka, &topic, App::new().listeners(listeners![partial]), &desk, &more).await;
    until_committed(kafka, &topic, 6).await;
    assert_eq!(app.stop().await, Ended::Clean);
    let batches = desk.batches();
    let times = |offset: i64| batches.iter().filter(|batch| batch.contains(&offset)).count();
    assert_eq!([0, 1, 2, 3].map(times), [1, 1, 1, 2], "{batches:?}");
    let first = batches.iter().position(|batch| batch.contains(&3)).unwrap();
    let from =
        |offset: i64| batches[first].iter().copied().filter(|other| *other >= offset).collect::<Vec<_>>();
    assert_eq!(batches[first + 1], from(3), "again, with what follows it");
    assert!(from(4).is_empty() || batches[first + 2] == from(4), "{batches:?}");

    // What precedes it is committed while the record itself waits for its next attempt.
    let topic = seeded(kafka, 6, 1);
    let desk = Arc::new(Desk::default());
    let more =
        ["kafka.listeners.partial.error.backoff.initial=1h", "kafka.listeners.partial.error.backoff.max=1h"];
    let app = start(kafka, &topic, App::new().listeners(listeners![partial]), &desk, &more).await;
    until_committed(kafka, &topic, 3).await;
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(desk.batches().iter().filter(|batch| batch.contains(&3)).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_filter_leaves_out_is_done_without_a_call() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = seeded(kafka, 8, 1);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![filtered]), &desk, &[]).await;
    until_committed(kafka, &topic, 8).await;
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(desk.offsets(), [0, 3, 6]);

    let topic = seeded(kafka, 8, 2);
    let desk = Arc::new(Desk::default());
    let app = start(kafka, &topic, App::new().listeners(listeners![filtered_by_hand]), &desk, &[]).await;
    desk.until_delivered(3).await;
    for offset in [6, 0] {
        desk.take(offset).acknowledge();
    }
    until_committed(kafka, &topic, 3).await;
    desk.take(3).acknowledge();
    until_committed(kafka, &topic, 8).await;
    assert_eq!(app.stop().await, Ended::Clean);
}
