//! Rebalances on a real broker. R5: members join and leave gracefully under load, and nothing is lost, repeated or
//! reordered. R16: a member that is frozen until its partitions are somebody else's does no harm when it wakes up.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::Duration;

use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::oracle::assert_holds;
use kafka_boot_tests::process::Signal;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const RECORDS: u64 = 200_000;
const MINUTE: Duration = Duration::from_mins(1);

/// In each partition, at most `max-in-flight` of the service's configuration.
const REPEATS_PER_DISRUPTION: usize = 12 * 256;

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
    eprintln!(
        "R5 ({strategy}): {RECORDS} records, 4 joins, 4 leaves, {before_the_last} attempts before the last but one \
         left, {} repeated",
        history.repeats()
    );
    assert_holds(&history.judge(0));
}

/// R16: what the frozen member had in flight is repeated by the new owner, and nothing of it is applied afterwards.
#[test]
fn a_frozen_member_loses_its_partitions_and_commits_nothing_over_its_successor() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, "frozen", PARTITIONS).unwrap().short_session();
    scenario = scenario.setting("ledger.delay", "2ms").setting("ledger.delay-every", 3);
    scenario.seed(RECORDS).unwrap();
    let frozen = scenario.start().unwrap();
    let other = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();

    scenario.disrupted();
    frozen.process.signal(Signal::Stop).unwrap();
    eventually(MINUTE, "the group to miss the frozen member", || {
        scenario.members().is_ok_and(|members| members.len() == 1)
    });
    // The successor gets past all that the frozen member has in hand, which that one will do again when it wakes up.
    scenario.work_on(3 * REPEATS_PER_DISRUPTION as u64).unwrap();
    frozen.process.signal(Signal::Continue).unwrap();
    frozen.process.wait_for_line(MINUTE, |line| line.contains("partitions lost")).unwrap();
    eventually(MINUTE, "both members to be back", || {
        scenario.members().is_ok_and(|members| members.len() == 2)
    });
    scenario.work_on(2_000).unwrap();
    let so_far = scenario.attempts().unwrap();
    assert!(so_far < RECORDS, "the member was frozen under load");
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(frozen).unwrap();
    scenario.stop(other).unwrap();

    let history = scenario.finish().unwrap();
    eprintln!("R16: {RECORDS} records, 1 member frozen, {} repeated", history.repeats());
    assert_holds(&history.judge(REPEATS_PER_DISRUPTION));
}
