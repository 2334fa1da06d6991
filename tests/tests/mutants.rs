//! The tests of the tests: each bug that is built into the framework on purpose makes the oracle complain, and the same
//! scenario without a bug does not.
//!
//! Prints the table *bug → first invariant violated*.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::Duration;

use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::oracle::{Invariant, Violation, assert_holds};
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const RECORDS: u64 = 20_000;
const REPEATS_PER_KILL: usize = 12 * 256;

/// How many handlers are at work at once where records are handled by key.
const AT_WORK_MAX: u32 = 64;

/// Switches a bug on in one process: see the framework's feature `seeded-bugs`.
const BUG_VARIABLE: &str = "KAFKA_BOOT_SEEDED_BUG";

/// How long the rest of the records may take.
const DEADLINE: Duration = Duration::from_mins(2);

#[test]
fn without_a_bug_the_scenario_holds_every_invariant() {
    let Some(kafka) = Kafka::shared() else { return };
    assert_holds(&violations_of(kafka, None, false));
}

/// M1: what is delivered is committed, not what is done.
#[test]
fn a_commit_of_what_is_only_delivered_is_found() {
    assert_found("M1", Invariant::CommitBehindFrontier);
}

/// M5: an error counts as done.
#[test]
fn an_error_that_counts_as_done_is_found() {
    assert_found("M5", Invariant::NoLoss);
}

/// M6: a record counts as done before its dead-letter topic has it.
#[test]
fn a_dead_letter_that_is_not_awaited_is_found() {
    let Some(kafka) = Kafka::shared() else { return };
    assert_holds(&violations_of_letters(kafka, None));
    assert_contains("M6", Invariant::NoLoss, &violations_of_letters(kafka, Some("M6")));
}

/// M7: the shutdown commits what is queued.
#[test]
fn a_shutdown_that_commits_what_it_did_not_finish_is_found() {
    assert_found("M7", Invariant::CommitBehindFrontier);
}

/// M9: a record that is tried again goes behind the next one of its key.
#[test]
fn a_retry_behind_the_next_record_of_its_key_is_found() {
    assert_found_by_key("M9", Invariant::Order);
}

/// M13: the offset map is written and then forgotten.
#[test]
fn a_forgotten_offset_map_is_found() {
    assert_found_beyond("M13-lost", Invariant::BoundedDuplicates);
}

/// M13, the other way: the offset map says that records are done that are not.
#[test]
fn an_offset_map_that_claims_too_much_is_found() {
    assert_found_beyond("M13-extra", Invariant::NoLoss);
}

/// M1 with records finished out of order.
#[test]
fn a_commit_past_a_gap_is_found() {
    assert_found_by_key("M1", Invariant::CommitBehindFrontier);
}

/// M11, one too few.
#[test]
fn a_commit_of_one_too_few_is_found() {
    assert_found("M11-low", Invariant::CleanExit);
}

/// M11, one too many.
#[test]
fn a_commit_of_one_too_many_is_found() {
    assert_found("M11-high", Invariant::CommitBehindFrontier);
}

#[test]
fn without_a_bug_the_scenarios_by_key_hold_every_invariant() {
    let Some(kafka) = Kafka::shared() else { return };
    assert_holds(&violations_of(kafka, None, true));
    assert_holds(&violations_beyond(kafka, None));
}

/// Runs the scenario with the bug, and expects violations, of this invariant among them.
fn assert_found(bug: &str, invariant: Invariant) {
    let Some(kafka) = Kafka::shared() else { return };
    assert_contains(bug, invariant, &violations_of(kafka, Some(bug), false));
}

/// The same, with records of different keys handled at once.
fn assert_found_by_key(bug: &str, invariant: Invariant) {
    let Some(kafka) = Kafka::shared() else { return };
    assert_contains(bug, invariant, &violations_of(kafka, Some(bug), true));
}

/// The same, with a record that is stuck while others are finished.
fn assert_found_beyond(bug: &str, invariant: Invariant) {
    let Some(kafka) = Kafka::shared() else { return };
    assert_contains(bug, invariant, &violations_beyond(kafka, Some(bug)));
}

fn assert_contains(bug: &str, invariant: Invariant, violations: &[Violation]) {
    let first = violations.first().map(ToString::to_string).unwrap_or_default();
    eprintln!("| {bug} | {first} | {} violations of {:?} |", violations.len(), invariants_of(violations));
    assert!(
        invariants_of(violations).contains(&invariant),
        "{bug} should break {invariant:?}, among others; it broke {:?}",
        invariants_of(violations)
    );
}

/// Records of which some are slow and some fail; a kill, a polite stop, and a run to the end.
fn violations_of(kafka: &Kafka, bug: Option<&str>, by_key: bool) -> Vec<Violation> {
    let name = bug.unwrap_or("no bug");
    let mut scenario = Scenario::new(kafka, SERVICE, name, PARTITIONS).unwrap().short_session();
    if by_key {
        scenario = scenario.by_key(AT_WORK_MAX);
    }
    scenario = scenario
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 3)
        .setting("ledger.error-every", 97)
        .setting("ledger.panic-every", 1_009);
    if let Some(bug) = bug {
        scenario = scenario.environment(BUG_VARIABLE, bug);
    }
    scenario.seed(RECORDS).unwrap();

    let killed = scenario.start().unwrap();
    scenario.work_on(3_000).unwrap();
    scenario.kill(killed).unwrap();
    // A commit of one too few leaves a lag of 1 for ever.
    let lag = i64::from(bug == Some("M11-low"));
    let stopped = scenario.start().unwrap();
    scenario.work_on_or_drain(3_000, lag).unwrap();
    scenario.stop(stopped).unwrap();
    let last = scenario.start().unwrap();
    scenario.drain_but(lag, DEADLINE).unwrap();
    scenario.stop(last).unwrap();
    scenario.finish().unwrap().judge(REPEATS_PER_KILL)
}

/// One record of many never ends; the others do, and are known to be done when the process is killed.
fn violations_beyond(kafka: &Kafka, bug: Option<&str>) -> Vec<Violation> {
    const RECORDS: u64 = 5_000;
    let name = bug.unwrap_or("no bug");
    let mut scenario = Scenario::new(kafka, SERVICE, name, 2).unwrap().short_session().by_key(AT_WORK_MAX);
    if let Some(bug) = bug {
        scenario = scenario.environment(BUG_VARIABLE, bug);
    }
    scenario.set("ledger.delay", "1h");
    scenario.set("ledger.delay-every", 1_000_000);
    scenario.seed(RECORDS).unwrap();
    let killed = scenario.start().unwrap();
    scenario.work_on(RECORDS - 5).unwrap();
    eventually(DEADLINE, "records to be known as done", || scenario.finished_beyond().unwrap() > 1_000);
    scenario.kill(killed).unwrap();
    scenario.set("ledger.delay", "0ms");
    let last = scenario.start().unwrap();
    scenario.drain(DEADLINE).unwrap();
    scenario.stop(last).unwrap();
    // What was done within the last commit's time may be repeated, and what was known to be done may not.
    scenario.finish().unwrap().judge(AT_WORK_MAX as usize * 8)
}

/// Records that always fail, and a dead-letter topic that is there only after the process has been killed.
fn violations_of_letters(kafka: &Kafka, bug: Option<&str>) -> Vec<Violation> {
    let name = bug.unwrap_or("no bug");
    let mut scenario = Scenario::new(kafka, SERVICE, name, PARTITIONS).unwrap().short_session();
    if let Some(bug) = bug {
        scenario = scenario.environment(BUG_VARIABLE, bug);
    }
    scenario.set("ledger.poison-every", 97);
    scenario.set("kafka.error.attempts", 1);
    scenario.set("kafka.error.dead-letter.create-topic", false);
    scenario.seed(RECORDS).unwrap();
    let killed = scenario.start().unwrap();
    eventually(DEADLINE, "commits", || {
        scenario.look().unwrap().iter().filter_map(|sample| sample.committed).sum::<i64>() > 600
    });
    scenario.kill(killed).unwrap();
    kafka.create_topic(&format!("{}-dlt", scenario.topic()), PARTITIONS).unwrap();
    let last = scenario.start().unwrap();
    scenario.drain(DEADLINE).unwrap();
    scenario.stop(last).unwrap();
    scenario.finish().unwrap().judge(REPEATS_PER_KILL)
}

/// The invariants broken, in the order of their first violation.
fn invariants_of(violations: &[Violation]) -> Vec<Invariant> {
    let mut found = Vec::new();
    for violation in violations {
        if !found.contains(&violation.invariant()) {
            found.push(violation.invariant());
        }
    }
    found
}
