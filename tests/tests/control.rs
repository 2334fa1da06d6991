//! Listeners looked at and controlled while they run: their events, partitions paused and resumed, positions moved.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{
    Ended, ListenerControlErrorKind, ListenerEventKind, ListenerEvents, ListenerState, RunningApp, SeekTo,
    listeners,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::look;
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
        "kafka.error.then=stop",
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
    service.gate.open_to(2);
    let no_longer = until(&mut events, |kind| match kind {
        ListenerEventKind::NoLongerStuck { partition, offset, .. } => Some((partition.partition, offset)),
        _ => None,
    });
    assert_eq!(no_longer.await, (0, 1));
    service.gate.open_to(i64::MAX);
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

fn committed(kafka: &Kafka, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    let samples = look(kafka.bootstrap_servers(), topic, topic, partitions).unwrap();
    samples.into_iter().map(|sample| sample.committed).collect()
}

async fn until_committed(kafka: &Kafka, topic: &str, wanted: &[Option<i64>]) {
    let partitions = i32::try_from(wanted.len()).unwrap();
    eventually_async(DEADLINE, "offsets to be committed", || async {
        let committed = committed(kafka, topic, partitions);
        if committed == wanted { Ok(()) } else { Err(format!("{committed:?}, not {wanted:?}")) }
    })
    .await;
}

/// How many records each partition has.
fn ends(kafka: &Kafka, topic: &str, partitions: i32) -> Vec<i64> {
    let samples = look(kafka.bootstrap_servers(), topic, topic, partitions).unwrap();
    samples.into_iter().map(|sample| sample.end).collect()
}

fn up_to(end: i64) -> Vec<i64> {
    (0..end).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_partition_waits_alone_also_over_a_restart_of_its_listener() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 0, 2);
    let service = Service::start(kafka, &topic, Gate::open(), &[]).await;
    let registry = service.app.listeners();
    registry.pause_partition("plain", &topic, 0).await.unwrap();
    assert_eq!(registry.get("plain").unwrap().paused, [format!("{topic}-0")]);
    let error = registry.pause_partition("plain", &topic, 7).await.unwrap_err();
    assert_eq!(error.kind(), ListenerControlErrorKind::NotAssigned, "{error}");

    Seeding::new(&topic, 40).produce(kafka.bootstrap_servers()).unwrap();
    let ends = ends(kafka, &topic, 2);
    assert!(ends.iter().all(|end| *end > 0), "{ends:?}");
    service.handled.until(1, &up_to(ends[1])).await;
    registry.stop("plain").await.unwrap();
    let error = registry.pause_partition("plain", &topic, 1).await.unwrap_err();
    assert_eq!(error.kind(), ListenerControlErrorKind::NotAssigned, "{error}");
    let mut events = registry.events();
    registry.start("plain").await.unwrap();
    until(&mut events, |kind| matches!(kind, ListenerEventKind::Assigned { .. }).then_some(())).await;
    // The listener as a whole is paused and resumed: what was paused by itself stays so.
    registry.pause("plain").await.unwrap();
    until(&mut events, |kind| matches!(kind, ListenerEventKind::Paused { .. }).then_some(())).await;
    registry.resume("plain").await.unwrap();
    let resumed = until(&mut events, |kind| match kind {
        ListenerEventKind::Resumed { partitions, .. } => Some(names(&partitions)),
        _ => None,
    });
    assert_eq!(resumed.await, [1]);
    Seeding::new(&topic, 40).first_uid(40).produce(kafka.bootstrap_servers()).unwrap();
    let ends = self::ends(kafka, &topic, 2);
    service.handled.until(1, &up_to(ends[1])).await;
    assert_eq!(service.handled.of(0), Vec::<i64>::new());

    registry.resume_partition("plain", &topic, 0).await.unwrap();
    service.handled.until(0, &up_to(ends[0])).await;
    assert!(registry.get("plain").unwrap().paused.is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_waits_for_the_record_in_hand_and_drops_what_is_buffered_behind_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 10, 1);
    let service = Service::start(kafka, &topic, Gate::closed_at(3), &[]).await;
    service.gate.until_reached(3).await;
    let registry = service.app.listeners();
    let mut events = registry.events();
    let seek = registry.seek("plain", &topic, 0, SeekTo::Beginning);
    let opened = async {
        let later = registry.seek("plain", &topic, 0, SeekTo::Offset(1));
        let open = async {
            // The later seek has taken the earlier one's place when that is answered.
            service.gate.until_reached(3).await;
        };
        tokio::join!(later, open).0
    };
    let opening = async {
        let superseded = seek.await.unwrap_err();
        assert_eq!(superseded.kind(), ListenerControlErrorKind::Superseded, "{superseded}");
        assert_eq!(service.handled.of(0), [0, 1, 2], "3 is in hand");
        service.gate.open_to(i64::MAX);
    };
    let ((), sought) = tokio::join!(opening, opened);
    assert_eq!(sought.unwrap(), 1);
    let told = until(&mut events, |kind| match kind {
        ListenerEventKind::Sought { partition, offset, .. } => Some((partition.partition, offset)),
        _ => None,
    });
    assert_eq!(told.await, (0, 1));
    let expected: Vec<i64> = (0..4).chain(1..10).collect();
    service.handled.until(0, &expected).await;
    until_committed(kafka, &topic, &[Some(10)]).await;

    let error = registry.seek("plain", &topic, 0, SeekTo::Offset(11)).await.unwrap_err();
    assert_eq!(error.kind(), ListenerControlErrorKind::OutOfRange, "{error}");
    assert!(error.to_string().contains("has no offset 11: expected one from 0 to 10"), "{error}");
    let error = registry.seek("plain", &topic, 5, SeekTo::End).await.unwrap_err();
    assert_eq!(error.kind(), ListenerControlErrorKind::NotAssigned, "{error}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_where_was_sought_to() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 10, 1);
    let seeks = [
        (SeekTo::Offset(7), 7),
        (SeekTo::Beginning, 0),
        (SeekTo::End, 10),
        (SeekTo::ago(Duration::from_hours(24)), 0),
        (SeekTo::Timestamp(std::time::SystemTime::now() + Duration::from_hours(24)), 10),
        (SeekTo::Offset(4), 4),
    ];
    for (ordering, commit) in
        [("partition", "sync"), ("key", "sync"), ("partition", "auto"), ("none", "async")]
    {
        let ordering = format!("kafka.listeners.plain.ordering={ordering}");
        let commit = format!("kafka.consumer.commit={commit}");
        let arguments = [ordering.as_str(), commit.as_str()];
        let service = Service::start(kafka, &topic, Gate::open(), &arguments).await;
        let registry = service.app.listeners();
        // The first time all is handled; later what is behind the last seek of the time before.
        eventually_async(DEADLINE, "all to be handled", || async {
            service.handled.of(0).last() == Some(&9)
        })
        .await;
        registry.pause("plain").await.unwrap();
        let handled = service.handled.of(0);
        for (to, expected) in seeks {
            assert_eq!(registry.seek("plain", &topic, 0, to).await.unwrap(), expected, "{to:?}");
        }
        assert_eq!(service.handled.of(0), handled, "the listener is paused, and stays so");
        service.stop().await;
        assert_eq!(committed(kafka, &topic, 1), [Some(4)], "{arguments:?}");

        let service = Service::start(kafka, &topic, Gate::open(), &arguments).await;
        eventually_async(DEADLINE, "the rest to be handled", || async { service.handled.of(0).len() >= 6 })
            .await;
        service.stop().await;
        until_committed(kafka, &topic, &[Some(10)]).await;
        let service = Service::start(kafka, &topic, Gate::open(), &arguments).await;
        let registry = service.app.listeners();
        registry.seek("plain", &topic, 0, SeekTo::Offset(4)).await.unwrap();
        eventually_async(DEADLINE, "the rest to be handled again", || async {
            let mut handled = service.handled.of(0);
            handled.sort_unstable();
            if handled == [4, 5, 6, 7, 8, 9] { Ok(()) } else { Err(format!("{handled:?}")) }
        })
        .await;
        registry.seek("plain", &topic, 0, SeekTo::Beginning).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seeks_and_rebalances_at_the_same_time_lose_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    for strategy in ["range", "cooperative-sticky"] {
        let topic = topic_with(kafka, 400, 4);
        let ends = ends(kafka, &topic, 4);
        let strategy = format!("kafka.consumer.partition-assignment-strategy={strategy}");
        let arguments =
            [strategy.as_str(), "kafka.consumer.max-in-flight=20", "kafka.consumer.heartbeat-interval=300ms"];
        let first = Service::start(kafka, &topic, Gate::open(), &arguments).await;
        let moving = async {
            let (mut moved, mut refused) = (0, 0);
            for turn in 0..120i32 {
                let partition = turn % 4;
                // Keys are spread by their hash: a partition may have fewer records than that.
                let end = ends[usize::try_from(partition).unwrap()];
                let to = if turn % 3 == 0 { SeekTo::Beginning } else { SeekTo::Offset(end.min(20)) };
                match first.app.listeners().seek("plain", &topic, partition, to).await {
                    Ok(_) => moved += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ListenerControlErrorKind::NotAssigned, "{error}");
                        refused += 1;
                    }
                }
            }
            (moved, refused)
        };
        let coming_and_going = async {
            for _ in 0..3 {
                let second = Service::start(kafka, &topic, Gate::open(), &arguments).await;
                eventually_async(DEADLINE, "a share of the partitions", || async {
                    second.app.listeners().get("plain").unwrap().assigned.iter().any(|list| !list.is_empty())
                })
                .await;
                second.stop().await;
            }
        };
        let ((moved, refused), ()) = tokio::join!(moving, coming_and_going);
        assert!(moved > 0, "{strategy}: {refused} refused");
        let wanted: Vec<Option<i64>> = ends.iter().map(|end| Some(*end)).collect();
        until_committed(kafka, &topic, &wanted).await;
        // Alone again, every record from any position on is handled, in order.
        for (partition, end) in (0..).zip(&ends) {
            eventually_async(DEADLINE, "the partition to be back", || async {
                first.app.listeners().seek("plain", &topic, partition, SeekTo::Beginning).await
            })
            .await;
            eventually_async(DEADLINE, "all to be handled again", || async {
                let handled = first.handled.of(partition);
                let tail = handled.len().saturating_sub(usize::try_from(*end).unwrap());
                handled[tail..] == up_to(*end)
            })
            .await;
        }
        first.stop().await;
    }
}
