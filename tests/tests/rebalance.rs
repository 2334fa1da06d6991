//! R5: members join and leave gracefully under load on a real broker, and nothing is lost, repeated or reordered.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::scenario::Scenario;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const RECORDS: u64 = 200_000;
const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn members_that_come_and_go_under_range_assignment_lose_and_repeat_nothing() {
    come_and_go("range");
}

#[test]
fn members_that_come_and_go_under_cooperative_assignment_lose_and_repeat_nothing() {
    come_and_go("cooperative-sticky");
}

/// Three members: each joins under load, each leaves under load, and one comes back in between.
fn come_and_go(strategy: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    let began = Instant::now();
    let mut scenario = Scenario::new(kafka, SERVICE, strategy, PARTITIONS).unwrap();
    scenario = scenario
        .setting("kafka.consumer.partition-assignment-strategy[0]", strategy)
        // A member learns of a rebalance with its heartbeat.
        .setting("kafka.consumer.heartbeat-interval", "300ms")
        .setting("ledger.delay", "2ms")
        .setting("ledger.delay-every", 3);
    scenario.seed(RECORDS).unwrap();

    let first = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    let second = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    let third = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    assert_eq!(scenario.members().unwrap().len(), 3);
    scenario.stop(second).unwrap();
    scenario.work_on(2_000).unwrap();
    let fourth = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    scenario.stop(first).unwrap();
    scenario.work_on(2_000).unwrap();
    let before_the_last = scenario.attempts().unwrap();
    assert!(before_the_last < RECORDS, "the members came and went under load, not after it");
    scenario.stop(third).unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(fourth).unwrap();

    let history = scenario.finish().unwrap();
    let fault = format!("members come and go in order, {strategy}");
    Row { goal: "R5", fault: &fault, faults: 8, repeats_each: 0 }.judge(&history, began.elapsed());
}
