//! The reliability goals on a real broker: steady state, crashes and polite stops, judged by the oracle.
//!
//! Each test prints what it has seen, so that the numbers can be published with the claim.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::{Duration, Instant};

use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::ledger::now_ns;
use kafka_boot_tests::oracle::{LivenessBounds, Settlement, assert_holds, commits_behind_frontier, live};
use kafka_boot_tests::process::Signal;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::wait::poll;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const MINUTE: Duration = Duration::from_mins(1);

/// What a kill may repeat: in each partition, at most `max-in-flight` of the service's configuration.
const REPEATS_PER_KILL: usize = 12 * 256;

/// R1.
#[test]
fn a_million_records_are_each_done_once_in_order_and_memory_stays_flat() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "steady", PARTITIONS).unwrap();
    // Full within the first seconds, on a quick broker and on a slow one: what grows after that is no queue.
    scenario = scenario.setting("kafka.consumer.queued-max-bytes", "4MiB");
    scenario.seed(1_000_000).unwrap();
    let instance = scenario.start().unwrap();
    let started_ns = now_ns();

    let mut resident = Vec::new();
    let began = Instant::now();
    poll(5 * MINUTE, "a million records to be committed", || {
        resident.push(instance.process.resident_bytes().unwrap());
        scenario.drain(Duration::ZERO)
    })
    .unwrap();
    let took = began.elapsed();
    scenario.stop(instance).unwrap();

    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(0));
    let bounds = LivenessBounds {
        drained_within: 5 * MINUTE,
        // While the topic is filled, nobody is there to read it.
        excused_ns: std::iter::once(0..started_ns).collect(),
        ..LivenessBounds::after(started_ns)
    };
    assert_holds(&live(&history.samples, &bounds));
    let (earlier, later) = means_of_last_third(&resident);
    eprintln!(
        "R1: 1000000 records in {took:.1?}, 0 lost, {} repeated; mean resident memory in the last third {} KiB, then {} KiB",
        history.repeats(),
        earlier / 1024,
        later / 1024
    );
    let grown = later.saturating_sub(earlier);
    assert!(grown <= earlier / 20, "memory grows by at most 5 % in the last third: {earlier}, then {later}");
}

/// R7.
#[test]
fn ten_kills_in_the_middle_of_batches_lose_nothing_and_repeat_no_more_than_was_in_flight() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "kills", PARTITIONS).unwrap().short_session();
    // Every third record waits, so that batches are caught half done.
    scenario = scenario.setting("ledger.delay", "1ms").setting("ledger.delay-every", 3);
    scenario.seed(200_000).unwrap();
    for round in 0..10 {
        let instance = scenario.start().unwrap();
        scenario.work_on(3_000 + 700 * round).unwrap();
        scenario.kill(instance).unwrap();
    }
    let instance = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();

    let history = scenario.finish().unwrap();
    eprintln!(
        "R7: 200000 records, 10 kills, {} repeated, {} excused",
        history.repeats(),
        10 * REPEATS_PER_KILL
    );
    assert_holds(&history.judge(REPEATS_PER_KILL));
}

/// R12.
#[test]
fn ten_polite_stops_under_load_lose_nothing_and_repeat_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "stops", PARTITIONS).unwrap();
    scenario = scenario.setting("ledger.delay", "1ms").setting("ledger.delay-every", 3);
    scenario.seed(200_000).unwrap();
    for round in 0..10 {
        let instance = scenario.start().unwrap();
        scenario.work_on(3_000 + 700 * round).unwrap();
        scenario.stop(instance).unwrap();
    }
    let instance = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();

    let history = scenario.finish().unwrap();
    let slowest = history.exits.iter().map(|(exit, _)| exit.exited_ns - exit.signalled_ns).max().unwrap();
    eprintln!(
        "R12: 200000 records, 11 stops, {} repeated, the slowest took {:.1?}",
        history.repeats(),
        Duration::from_nanos(slowest)
    );
    assert_holds(&history.judge(0));
}

/// R12, during start-up: the sooner, the less there is to stop.
#[test]
fn a_polite_stop_during_start_up_is_a_clean_exit() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "early", PARTITIONS).unwrap();
    scenario.seed(20_000).unwrap();
    for line in ["kafka-boot starts", "listener id=", "partitions assigned"] {
        let instance = scenario.launch().unwrap();
        instance.process.wait_for_line(MINUTE, |text| text.contains(line)).unwrap();
        scenario.stop(instance).unwrap();
    }
    let instance = scenario.start().unwrap();
    scenario.drain(MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    assert_holds(&scenario.finish().unwrap().judge(0));
}

/// R12, twice.
#[test]
fn a_second_signal_exits_at_once_and_commits_nothing_that_is_not_done() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "twice", PARTITIONS).unwrap();
    // One record in a hundred takes longer than the whole budget of a stop.
    scenario = scenario.setting("ledger.delay", "5m").setting("ledger.delay-every", 100);
    scenario.seed(20_000).unwrap();
    let mut instance = scenario.start().unwrap();
    // Each partition works until its first slow record.
    scenario.work_on(100).unwrap();
    instance.process.signal(Signal::Terminate).unwrap();
    instance.process.wait_for_line(MINUTE, |line| line.contains("a second signal exits at once")).unwrap();
    assert!(instance.process.is_running().unwrap(), "records are still in hand");

    let signalled = Instant::now();
    instance.process.signal(Signal::Terminate).unwrap();
    let status = instance.process.wait(MINUTE).unwrap();
    assert!(signalled.elapsed() < Duration::from_secs(5), "at once, not after {:?}", signalled.elapsed());
    assert_eq!(status.code(), Some(1));

    let committed = scenario.look().unwrap();
    let history = scenario.finish().unwrap();
    let dead_lettered = std::collections::HashSet::new();
    let settlement =
        Settlement { acked: &history.acked, entries: &history.entries, dead_lettered: &dead_lettered };
    assert_holds(&commits_behind_frontier(&settlement, &history.samples));
    assert_holds(&commits_behind_frontier(&settlement, &committed));
    assert!(history.entries.len() < history.acked.len(), "there was work left to commit wrongly");
}

/// The means of the two halves of the last third: what grows without end differs between them, what breathes does not.
fn means_of_last_third(values: &[u64]) -> (u64, u64) {
    let last = &values[values.len() * 2 / 3..];
    let (earlier, later) = last.split_at(last.len() / 2);
    let mean = |half: &[u64]| half.iter().sum::<u64>() / half.len() as u64;
    (mean(earlier), mean(later))
}
