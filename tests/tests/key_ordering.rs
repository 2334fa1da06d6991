//! `ordering: key` on a real broker: order within each key, kills, rebalances, a poisoned key, and what the offset map in
//! the commit's metadata is worth.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::Duration;

use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::Sample;
use kafka_boot_tests::oracle::assert_holds;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const MINUTE: Duration = Duration::from_mins(1);

/// One record of many never ends. All others do, and are known as done beyond the committed offset; after a kill only
/// the one is handled.
#[test]
fn what_is_finished_beyond_the_committed_offset_is_not_handled_again_after_a_kill() {
    const RECORDS: u64 = 5_000;
    const PARTITIONS: i32 = 2;
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario =
        Scenario::new(kafka, SERVICE, "beyond", PARTITIONS).unwrap().short_session().by_key(64);
    // Of so few records only number 0 is a multiple of that.
    scenario.set("ledger.delay", "1h");
    scenario.set("ledger.delay-every", 1_000_000);
    scenario.seed(RECORDS).unwrap();
    let killed = scenario.start().unwrap();
    // Its key's others wait behind it: there are a thousand keys, so each has five records.
    let others = RECORDS - 5;
    scenario.work_on(others).unwrap();
    let known = || {
        let lag: i64 = scenario.look().unwrap().iter().map(Sample::lag).sum();
        u64::try_from(lag).unwrap() == scenario.finished_beyond().unwrap() + RECORDS - others
    };
    eventually(MINUTE, "all that is done to be committed, by offset or by map", known);
    scenario.kill(killed).unwrap();

    scenario.set("ledger.delay", "0ms");
    let last = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(last).unwrap();
    let history = scenario.finish().unwrap();
    eprintln!("{RECORDS} records, 1 stuck, 1 kill: {} repeated", history.repeats());
    assert_holds(&history.judge(0));
}

/// Kills under load, with slow and failing records: order within each key, nothing lost, and no more repeats than what
/// was at work or done within one commit's time.
#[test]
fn kills_lose_nothing_and_keep_the_order_of_each_key() {
    const RECORDS: u64 = 60_000;
    const AT_WORK_MAX: u32 = 64;
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario =
        Scenario::new(kafka, SERVICE, "by-key", 6).unwrap().short_session().by_key(AT_WORK_MAX);
    scenario = scenario
        .setting("ledger.delay", "3ms")
        .setting("ledger.delay-every", 3)
        .setting("ledger.error-every", 97)
        .setting("ledger.panic-every", 1_009);
    scenario.seed(RECORDS).unwrap();
    for _ in 0..3 {
        let killed = scenario.start().unwrap();
        scenario.work_on(5_000).unwrap();
        scenario.kill(killed).unwrap();
    }
    assert!(scenario.attempts().unwrap() < RECORDS, "the kills came under load");
    let last = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(last).unwrap();
    let history = scenario.finish().unwrap();
    eprintln!("{RECORDS} records by key, 3 kills: {} repeated", history.repeats());
    assert_holds(&history.judge(12 * 256));
}

#[test]
fn members_that_come_and_go_under_range_assignment_repeat_nothing() {
    come_and_go("range");
}

#[test]
fn members_that_come_and_go_under_cooperative_assignment_repeat_nothing() {
    come_and_go("cooperative-sticky");
}

/// Members join and leave under load: what a member had finished out of order goes to the next owner with the offset.
fn come_and_go(strategy: &str) {
    const RECORDS: u64 = 100_000;
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = Scenario::new(kafka, SERVICE, strategy, 6).unwrap().by_key(64);
    scenario = scenario
        .setting("kafka.consumer.partition-assignment-strategy[0]", strategy)
        .setting("kafka.consumer.heartbeat-interval", "300ms")
        // So slow that there is work left for all who come and go.
        .setting("ledger.delay", "10ms")
        .setting("ledger.delay-every", 1);
    scenario.seed(RECORDS).unwrap();
    let first = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    let second = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    let third = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    scenario.stop(second).unwrap();
    scenario.work_on(2_000).unwrap();
    scenario.stop(first).unwrap();
    scenario.work_on(2_000).unwrap();
    assert!(scenario.attempts().unwrap() < RECORDS, "the members came and went under load");
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(third).unwrap();
    let history = scenario.finish().unwrap();
    eprintln!("{RECORDS} records by key ({strategy}), 3 joins, 3 leaves: {} repeated", history.repeats());
    assert_holds(&history.judge(0));
}
