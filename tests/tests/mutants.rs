//! The tests of the tests: each bug that is built into the framework on purpose makes the oracle complain, and the same
//! scenario without a bug does not.
//!
//! `cargo test -p kafka-boot-tests --test mutants table -- --nocapture` prints the table *bug → first test that fails*; the
//! other tests break each invariant on a broker, too.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{Scheduler, jobs};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::oracle::{Invariant, Violation, assert_holds};
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::seed::notice;
use kafka_boot_tests::simulation::Seeds;
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

/// How many seeds of the simulation a bug may survive.
const SEEDS: u64 = 1_000;
/// How many runs of a job are watched.
const RUNS: usize = 20;

/// The bugs of the reliability goals, and M13, those of the offset map.
const BUGS: [(&str, &str); 15] = [
    ("M1", "commits what is delivered, not what is done"),
    ("M2", "applies a result of an assignment that is over"),
    ("M3", "keeps the permits of handlers whose partition is revoked"),
    ("M4", "waits for a commit inside a rebalance"),
    ("M5", "counts an error as done"),
    ("M6", "does not wait for the dead-letter topic"),
    ("M7", "commits queued records at shutdown"),
    ("M8", "drops buffered records when others are assigned"),
    ("M9", "lets the next record of a key go before a retry"),
    ("M10", "loses a permit with a handler's panic"),
    ("M11-low", "commits one too few"),
    ("M11-high", "commits one too many"),
    ("M12", "lets a job run beside itself after a panic"),
    ("M13-lost", "forgets the offset map"),
    ("M13-extra", "claims too much in the offset map"),
];

#[test]
fn the_table_of_bugs_names_the_first_test_that_each_one_fails() {
    if std::env::var_os(BUG_VARIABLE).is_some() {
        return;
    }
    let mut survivors = Vec::new();
    let mut rows =
        vec!["| bug | | first test that fails | what it says |".to_owned(), "|---|---|---|---|".to_owned()];
    for (bug, text) in BUGS {
        let found = fails_with(bug, "the_simulation_holds")
            .map(|says| ("the simulation (R32)", says))
            .or_else(|| fails_with(bug, "a_job_never_runs_beside_itself").map(|says| ("jobs (R17)", says)))
            .or_else(|| breaks_on_a_broker(bug).map(|says| ("dead letters on a broker (R14)", says)));
        match found {
            Some((test, says)) => rows.push(format!("| {bug} | {text} | {test} | {says} |")),
            None => survivors.push(bug),
        }
    }
    for row in rows {
        notice(&row);
    }
    // Without a broker the dead letters cannot be judged.
    survivors.retain(|bug| *bug != "M6" || Kafka::shared().is_some());
    assert!(survivors.is_empty(), "nothing noticed {survivors:?}");
}

/// Runs one of this file's tests in a process of its own with a bug; what it says if it fails.
fn fails_with(bug: &str, test: &str) -> Option<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(BUG_VARIABLE, bug)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    if output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find(|line| line.contains(FOUND)).unwrap_or("it failed");
    Some(line.trim().trim_start_matches(FOUND).chars().take(140).collect::<String>().replace('|', "/"))
}

/// How the line begins that says what was found.
const FOUND: &str = "found: ";

fn breaks_on_a_broker(bug: &str) -> Option<String> {
    let violations = violations_of_letters(Kafka::shared()?, Some(bug));
    violations.first().map(ToString::to_string)
}

#[test]
fn the_simulation_holds() {
    let campaign = Seeds::first(SEEDS).until_failures(1).run();
    if let Some((seed, failure)) = campaign.failures.first() {
        eprintln!("{FOUND}{failure} (seed {seed})");
    }
    campaign.assert_holds();
}

/// How often the job has run, runs now, and ran beside itself.
#[derive(Default)]
struct Runs {
    all: AtomicUsize,
    now: AtomicUsize,
    beside: AtomicUsize,
}

#[scheduled(fixed_rate = "5ms")]
async fn panicking_job(runs: Bean<Runs>) {
    let number = runs.all.fetch_add(1, Ordering::SeqCst);
    if runs.now.fetch_add(1, Ordering::SeqCst) > 0 {
        runs.beside.fetch_add(1, Ordering::SeqCst);
    }
    // Longer than its period, and than it takes to ask for another run.
    tokio::time::sleep(Duration::from_millis(20)).await;
    runs.now.fetch_sub(1, Ordering::SeqCst);
    assert!(!number.is_multiple_of(3), "panics on purpose");
}

/// R17, in part: its schedule and its triggers, after panics, too.
#[test]
fn a_job_never_runs_beside_itself() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let beside = runtime.block_on(async {
        let app = App::new().without_discovery().without_logging().load_options(LoadOptions::default());
        let running = app.jobs(jobs![panicking_job]).bean(Runs::default()).start().await.unwrap();
        let runs: Bean<Runs> = running.beans().bean().unwrap();
        let scheduler: Bean<Scheduler> = running.beans().bean().unwrap();
        let triggers: Vec<_> = (0..RUNS)
            .map(|_| {
                let scheduler = scheduler.clone();
                tokio::spawn(async move { scheduler.trigger("panicking_job").await.map(drop) })
            })
            .collect();
        for trigger in triggers {
            trigger.await.unwrap().unwrap();
        }
        running.stop().await;
        runs.beside.load(Ordering::SeqCst)
    });
    if beside > 0 {
        eprintln!("{FOUND}{beside} runs began beside another");
    }
    assert_eq!(beside, 0, "runs that began beside another");
}

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
