//! The whole chain of evidence on a real broker: a careful consumer is acquitted, a careless one is convicted.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::ledger::{Attempt, Entry, Ledger, Outcome, Produced, load, now_ns};
use kafka_boot_tests::observer::{Observer, Sample};
use kafka_boot_tests::oracle::{
    Disruptions, Invariant, Lane, LivenessBounds, Settlement, Violation, assert_holds, bounded_duplicates,
    commits_behind_frontier, live, no_loss, ordered,
};
use kafka_boot_tests::produce::{Seeding, Stamp};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::wait::eventually;
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

const DEADLINE: Duration = Duration::from_secs(30);
const RECORDS: usize = 300;
const PARTITIONS: i32 = 2;

/// When a consumer commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Each record after it was handled.
    Careful,
    /// Each record before it is handled.
    Careless,
}

/// What one run left behind.
struct History {
    acked: Vec<Produced>,
    entries: Vec<Entry>,
    samples: Vec<Sample>,
}

#[test]
fn a_consumer_that_commits_what_it_has_done_holds_every_invariant() {
    let Some(kafka) = Kafka::shared() else { return };
    let history = run(kafka, Habit::Careful);
    assert_holds(&judge(&history));
}

#[test]
fn a_consumer_that_commits_what_it_has_only_seen_is_caught_in_the_act() {
    let Some(kafka) = Kafka::shared() else { return };
    let violations = judge(&run(kafka, Habit::Careless));
    assert!(!violations.is_empty());
    for violation in violations {
        assert_eq!(violation.invariant(), Invariant::CommitBehindFrontier, "{violation}");
    }
}

fn judge(history: &History) -> Vec<Violation> {
    let settlement =
        Settlement { acked: &history.acked, entries: &history.entries, dead_lettered: &HashSet::new() };
    let start_ns = history.samples.first().unwrap().at_ns;
    [
        no_loss(&settlement),
        commits_behind_frontier(&settlement, &history.samples),
        bounded_duplicates(&history.entries, &Disruptions::default()),
        ordered(&history.entries, Lane::Partition),
        live(&history.samples, &LivenessBounds::after(start_ns)),
    ]
    .concat()
}

fn run(kafka: &Kafka, habit: Habit) -> History {
    let (topic, group) = (unique_name("judged"), unique_name("group"));
    kafka.create_topic(&topic, PARTITIONS).unwrap();
    let seeded = Seeding::new(&topic, RECORDS as u64).keys(20).produce(kafka.bootstrap_servers()).unwrap();
    assert_eq!(seeded.acked.len(), RECORDS);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let observer = Observer::start(kafka.bootstrap_servers(), &group, &topic, PARTITIONS).unwrap();
    consume(kafka.bootstrap_servers(), &group, &topic, habit, &path, &observer);
    eventually(DEADLINE, "the group to have committed everything", || observer.is_drained());
    History { acked: seeded.acked, entries: load(&path).unwrap(), samples: observer.stop() }
}

/// A consumer of the simplest kind, outside of any framework.
fn consume(servers: &str, group: &str, topic: &str, habit: Habit, ledger: &Path, observer: &Observer) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let ledger = Ledger::open(ledger, "run", "consumer").unwrap();
    for index in 0..RECORDS {
        let message = eventually(DEADLINE, "a record", || consumer.poll(Duration::from_millis(100))).unwrap();
        if habit == Habit::Careless {
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
        }
        if index == RECORDS / 2 {
            // Stands for a handler that takes its time: until the observer has asked, and got its answer, anew.
            let asked_after_ns = now_ns() + 100_000_000;
            eventually(DEADLINE, "the observer to look", || {
                observer.latest().first().is_some_and(|sample| sample.at_ns > asked_after_ns)
            });
        }
        let start_ns = now_ns();
        let stamp = Stamp::parse(message.payload().unwrap()).unwrap();
        let attempt = Attempt {
            generation: 1,
            topic,
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(|key| std::str::from_utf8(key).unwrap()),
            seq: stamp.seq,
            uid: stamp.uid,
            attempt: 1,
            start_ns,
            end_ns: now_ns(),
            outcome: Outcome::Done,
        };
        ledger.record(&attempt).unwrap();
        if habit == Habit::Careful {
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
        }
    }
}
