//! R32: tracker, rebalance machine, lanes, committer and poll loop on a simulated group and log, twenty thousand seeds.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kafka_boot::__simulation::simulate;
use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::seed::notice;
use kafka_boot_tests::simulation::{Campaign, Seeds};

/// How a commit can fail, at least so often in so many simulations.
const COMMIT_FAILURES: [&str; 9] = [
    "REBALANCE_IN_PROGRESS",
    "ILLEGAL_GENERATION",
    "UNKNOWN_MEMBER_ID",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "REQUEST_TIMED_OUT",
    "_TIMED_OUT",
    "_TIMED_OUT, and it is done",
];
const EACH_AT_LEAST: u64 = 100;

/// All seeds of this run, simulated once for all tests.
fn campaign() -> &'static Campaign {
    static CAMPAIGN: OnceLock<Campaign> = OnceLock::new();
    CAMPAIGN.get_or_init(|| Seeds::from_environment().run())
}

#[test]
fn every_seed_holds_every_invariant_and_then_finishes() {
    if Seeds::from_environment().is_verbose {
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(std::io::stderr).init();
    }
    let campaign = campaign();
    notice(&format!(
        "R32: {} seeds, {} faults, {} records done, {} of them again, {} failures, {:.1?}",
        campaign.simulations,
        campaign.faults,
        campaign.done,
        campaign.repeated,
        campaign.failures.len(),
        campaign.took
    ));
    campaign.assert_holds();
}

/// R15: each class of failure is handled so that every invariant holds, and the simulation fails a consumer that tries failing
/// commits again more than twenty times a second.
#[test]
fn commits_fail_in_every_way_and_nothing_is_lost_nor_tried_in_a_tight_loop() {
    if Seeds::from_environment().is_verbose {
        return;
    }
    let campaign = campaign();
    let all: u64 = campaign.failed_commits.values().sum();
    let done = usize::try_from(campaign.done - campaign.repeated).unwrap_or(usize::MAX);
    let fault = "commits that fail, in nine ways and more (simulated)";
    let row = Row { goal: "R15", fault, faults: all, repeats_each: 0 };
    // What crashes and lost partitions repeat is bounded within each simulation.
    row.print(
        done,
        campaign.failures.len(),
        &format!("{} of those in flight", campaign.repeated),
        campaign.took,
    );
    campaign.assert_holds();
    for failure in COMMIT_FAILURES {
        let times = campaign.failed_commits.get(failure).copied().unwrap_or_default();
        assert!(times >= EACH_AT_LEAST, "{failure}: {times} times; {:?}", campaign.failed_commits);
    }
}

#[test]
fn a_seed_reproduces_its_history_at_once() {
    let mut slowest = Duration::ZERO;
    for seed in (0..200).chain(u64::MAX - 10..u64::MAX) {
        let began = Instant::now();
        let one = simulate(seed, false);
        slowest = slowest.max(began.elapsed());
        let two = simulate(seed, false);
        let differs = one.notes.iter().zip(&two.notes).find(|(one, two)| one != two);
        assert_eq!(
            (differs, one.notes.len(), one.hash()),
            (None, two.notes.len(), two.hash()),
            "seed {seed}"
        );
    }
    assert!(slowest < Duration::from_secs(1), "one took {slowest:?}");
    notice(&format!("R32: 210 seeds twice, each with the same history; the slowest took {slowest:.1?}"));
}
