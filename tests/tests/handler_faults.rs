//! R10, R11: handlers that take longer than the group waits for a poll, and handlers that never return. Each test prints its
//! row of the fault table.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::Sample;
use kafka_boot_tests::process::Signal;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::volume::volume;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: usize = 4;
const MINUTE: Duration = Duration::from_mins(1);

/// So large that of a test's records only number 0 is a multiple of it.
const ONLY_ONE: u64 = 1_000_000;

fn scenario<'k>(kafka: &'k Kafka, name: &str, records: u64) -> Scenario<'k> {
    let mut scenario = Scenario::new(kafka, SERVICE, name, i32::try_from(PARTITIONS).unwrap()).unwrap();
    scenario.seed(records).unwrap();
    scenario
}

/// Waits until all partitions but one are committed to their ends.
fn until_others_are_done(scenario: &Scenario<'_>, deadline: Duration) {
    eventually(deadline, "all partitions but one to be committed", || {
        let latest = scenario.look().map_err(|error| error.to_string())?;
        let drained = latest.iter().filter(|sample| sample.lag() == 0).count();
        if drained == PARTITIONS - 1 { Ok(()) } else { Err(format!("{drained} of {PARTITIONS} are")) }
    });
}

/// R10.
#[test]
fn a_handler_slower_than_the_poll_interval_costs_neither_the_membership_nor_a_repeat() {
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records) = (Instant::now(), 2_000);
    let mut scenario = scenario(kafka, "slow", records)
        .short_session()
        .setting("kafka.consumer.max-poll-interval", "10s")
        // 80 % of that.
        .setting("kafka.consumer.stuck-after", "8s")
        .setting("ledger.delay", "35s")
        .setting("ledger.delay-every", ONLY_ONE);
    let instance = scenario.start().unwrap();
    // Only the slow record, and the batch it is in front of, hold anything back.
    until_others_are_done(&scenario, MINUTE / 2);
    let told = |line: &str| line.contains("is open for");
    instance.process.wait_for_line(MINUTE / 2, told).unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    instance.process.wait_for_line(MINUTE, |line| line.contains("a stuck record is done")).unwrap();
    let process = scenario.stop(instance).unwrap();

    let history = scenario.finish().unwrap();
    let fault = "a handler of 35 s with a max-poll-interval of 10 s";
    let row = Row { goal: "R10", fault, faults: 1, repeats_each: 0 };
    row.judge(&history, began.elapsed());
    let slowest = history.entries.iter().map(|entry| entry.end_ns - entry.start_ns).max().unwrap();
    assert!(Duration::from_nanos(slowest) >= Duration::from_secs(35));
    let said = |what: &str| process.lines().iter().filter(|line| line.text.contains(what)).count();
    assert_eq!((said("partitions assigned"), said("partitions lost")), (1, 0), "{:?}", process.lines());
}

/// R11: with a time limit, a handler that never returns has failed, and the policy of errors decides.
#[test]
fn a_handler_that_never_returns_is_a_dead_letter_after_its_time() {
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records, every) = (Instant::now(), volume(20_000, 200_000), volume(4_000, 20_000));
    let mut scenario = scenario(kafka, "limit", records)
        .setting("kafka.consumer.handler-timeout", "500ms")
        .setting("kafka.error.attempts", 2)
        .setting("ledger.hang-every", every);
    let instance = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    let history = scenario.finish().unwrap();
    let fault = "handlers that never return, with a handler-timeout";
    Row { goal: "R11", fault, faults: records / every, repeats_each: 0 }.judge(&history, began.elapsed());
    let mut letters = history.dead_letters.clone();
    letters.sort_unstable();
    assert_eq!(letters, (0..records / every).map(|number| number * every).collect::<Vec<_>>());
}

/// R11: without a time limit it is told to be stuck and holds up nobody else; a polite stop ends in its time, with an error,
/// and does not commit it.
#[test]
fn a_handler_that_never_returns_is_told_and_neither_holds_up_the_others_nor_the_exit() {
    for (name, blocks) in [("waits", false), ("blocks", true)] {
        never_returns(name, blocks);
    }
}

fn never_returns(name: &str, blocks: bool) {
    const BUDGET: Duration = Duration::from_secs(5);
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records) = (Instant::now(), volume(20_000, 200_000));
    let mut scenario = scenario(kafka, name, records)
        .setting("kafka.consumer.stuck-after", "2s")
        .setting("kafka.consumer.drain-timeout", "2s")
        .setting("lifecycle.shutdown-timeout", format_args!("{}s", BUDGET.as_secs()));
    scenario.set("ledger.hang-every", ONLY_ONE);
    scenario.set("ledger.hang-blocks", blocks);
    let mut hung = scenario.start().unwrap();
    let told = |line: &str| line.contains("health changed health=DOWN") && line.contains("is open for");
    hung.process.wait_for_line(MINUTE, told).unwrap();
    until_others_are_done(&scenario, MINUTE);
    let held_up: Vec<Sample> =
        scenario.look().unwrap().into_iter().filter(|sample| sample.lag() > 0).collect();

    let signalled = Instant::now();
    hung.process.signal(Signal::Terminate).unwrap();
    let status = hung.process.wait(MINUTE).unwrap();
    let took = signalled.elapsed();
    assert!(took <= BUDGET + Duration::from_secs(2), "{name}: the exit took {took:.1?}");
    assert_eq!(status.code(), Some(1), "{name}: {:?}", hung.process.lines());
    let still = scenario.look().unwrap();
    let still = still.iter().find(|sample| sample.partition == held_up[0].partition).unwrap();
    assert_eq!(still.committed, held_up[0].committed, "{name}: what is not done is not committed");

    scenario.set("ledger.hang-every", 0);
    let last = scenario.start().unwrap();
    scenario.drain(MINUTE).unwrap();
    scenario.stop(last).unwrap();
    let history = scenario.finish().unwrap();
    let fault = format!("a handler that never returns ({name}), without a limit");
    Row { goal: "R11", fault: &fault, faults: 1, repeats_each: 0 }.judge(&history, began.elapsed());
}
