//! Listeners looked at and controlled while they run: their events, partitions paused and resumed, positions moved.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{Ended, ListenerEventKind, ListenerEvents, ListenerState, RunningApp, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Gate, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// What was handled, in order, by partition.
#[derive(Default)]
struct Handled {
    offsets: Mutex<BTreeMap<i32, Vec<i64>>>,
}

impl Handled {
    fn of(&self, partition: i32) -> Vec<i64> {
        self.offsets.lock().unwrap().get(&partition).cloned().unwrap_or_default()
    }

    fn add(&self, meta: &RecordMeta) {
        self.offsets.lock().unwrap().entry(meta.partition()).or_default().push(meta.offset());
    }

    async fn until(&self, partition: i32, wanted: &[i64]) {
        eventually_async(DEADLINE, "records to be handled", || async {
            let offsets = self.of(partition);
            if offsets == wanted { Ok(()) } else { Err(format!("{offsets:?}, not {wanted:?}")) }
        })
        .await;
    }
}

#[kafka_listener(id = "plain", topic = "${test.topic}", group = "${test.topic}")]
async fn plain(meta: RecordMeta, gate: Bean<Arc<Gate>>, handled: Bean<Arc<Handled>>) -> Result<()> {
    gate.pass(meta.offset()).await?;
    handled.add(&meta);
    Ok(())
}

struct Service {
    app: RunningApp,
    gate: Arc<Gate>,
    handled: Arc<Handled>,
}

impl Service {
    async fn start(kafka: &Kafka, topic: &str, gate: Gate, arguments: &[&str]) -> Self {
        let (gate, handled) = (Arc::new(gate), Arc::new(Handled::default()));
        let topic = format!("test.topic={topic}");
        let arguments = arguments.iter().copied().chain([topic.as_str()]);
        let app = App::new()
            .without_discovery()
            .without_logging()
            .load_options(options(kafka, arguments))
            .listeners(listeners![plain])
            .bean(Arc::clone(&gate))
            .bean(Arc::clone(&handled))
            .start()
            .await
            .unwrap();
        Self { app, gate, handled }
    }

    async fn stop(self) {
        assert_eq!(self.app.stop().await, Ended::Clean);
    }
}

fn topic_with(kafka: &Kafka, records: u64, partitions: i32) -> String {
    let topic = unique_name("control");
    kafka.create_topic(&topic, partitions).unwrap();
    if records > 0 {
        Seeding::new(&topic, records).produce(kafka.bootstrap_servers()).unwrap();
    }
    topic
}

/// Waits for the first event that is wanted.
async fn until<T>(events: &mut ListenerEvents, mut wanted: impl FnMut(ListenerEventKind) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the application runs").expect("nothing is missed");
            if let Some(found) = wanted(event.kind) {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("the event comes")
}

fn names(partitions: &[kafka_boot::admin::TopicPartition]) -> Vec<i32> {
    partitions.iter().map(|partition| partition.partition).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_an_assignment_of_idleness_and_of_the_end() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 0, 2);
    let arguments = ["kafka.consumer.auto-startup=false", "kafka.listeners.plain.idle-event-interval=200ms"];
    let service = Service::start(kafka, &topic, Gate::open(), &arguments).await;
    let registry = service.app.listeners();
    let mut events = registry.events_of("plain").unwrap();
    assert!(registry.events_of("plane").unwrap_err().to_string().contains("`plain`"));

    registry.start("plain").await.unwrap();
    let assigned = until(&mut events, |kind| match kind {
        ListenerEventKind::Assigned { consumer: 0, partitions } => Some(names(&partitions)),
        _ => None,
    });
    assert_eq!(assigned.await, [0, 1]);
    let idle = |kind| match kind {
        ListenerEventKind::Idle { idle_for, .. } => Some(idle_for),
        _ => None,
    };
    let first = until(&mut events, idle).await;
    assert!(first >= Duration::from_millis(200), "{first:?}");
    let second = until(&mut events, idle).await;
    assert!(second > first, "{second:?} {first:?}");
    Seeding::new(&topic, 1).produce(kafka.bootstrap_servers()).unwrap();
    let no_longer = |kind| matches!(kind, ListenerEventKind::NoLongerIdle { .. }).then_some(());
    until(&mut events, no_longer).await;

    registry.pause("plain").await.unwrap();
    let paused = until(&mut events, |kind| match kind {
        ListenerEventKind::Paused { partitions, .. } => Some(names(&partitions)),
        _ => None,
    });
    assert_eq!(paused.await, [0, 1]);
    registry.resume("plain").await.unwrap();
    until(&mut events, |kind| matches!(kind, ListenerEventKind::Resumed { .. }).then_some(())).await;

    registry.stop("plain").await.unwrap();
    let revoked = until(&mut events, |kind| match kind {
        ListenerEventKind::Revoked { partitions, .. } => Some(names(&partitions)),
        _ => None,
    });
    assert_eq!(revoked.await, [0, 1]);
    until(&mut events, |kind| match kind {
        ListenerEventKind::StateChanged { to: ListenerState::Stopped, .. } => Some(()),
        _ => None,
    })
    .await;
    service.stop().await;
    assert!(events.next().await.is_none(), "the stream ends with the application");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_a_stuck_record_and_of_a_failure() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 3, 1);
    let arguments = [
        "kafka.listeners.plain.stuck-after=200ms",
        "kafka.error.attempts=1",
        "kafka.supervision.restarts=1",
        "kafka.supervision.backoff.initial=10ms",
        "kafka.supervision.escalation=stop-listener",
        "kafka.consumer.auto-startup=false",
    ];
    let service = Service::start(kafka, &topic, Gate::closed_at(1).and_failing_at(2), &arguments).await;
    let registry = service.app.listeners();
    let mut events = registry.events();
    registry.start("plain").await.unwrap();
    let stuck = until(&mut events, |kind| match kind {
        ListenerEventKind::Stuck { record, .. } => Some(record.offset),
        _ => None,
    });
    assert_eq!(stuck.await, 1);
    service.gate.open_to(i64::MAX);
    let no_longer = until(&mut events, |kind| match kind {
        ListenerEventKind::NoLongerStuck { partition, offset, .. } => Some((partition.partition, offset)),
        _ => None,
    });
    assert_eq!(no_longer.await, (0, 1));
    for restarts in [true, false] {
        let failed = until(&mut events, |kind| match kind {
            ListenerEventKind::ConsumerFailed { reason, retry_in, .. } => Some((reason, retry_in.is_some())),
            _ => None,
        });
        let (reason, is_retried) = failed.await;
        assert!(reason.contains("@2 failed 1 times"), "{reason}");
        assert_eq!(is_retried, restarts);
    }
    let failed = until(&mut events, |kind| match kind {
        ListenerEventKind::Failed { reason } => Some(reason),
        _ => None,
    });
    assert!(failed.await.contains("@2 failed"));
    service.handled.until(0, &[0, 1]).await;
    service.stop().await;
}
