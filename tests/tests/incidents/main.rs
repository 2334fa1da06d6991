//! Every incident of other systems that lost, repeated or held up records, by its number in the reliability goals: what
//! happened there does not happen here.
//!
//! Most are situations of a group, which the simulation gets into again and again: each such test runs seeds that are
//! narrowed down to it, demands that most of them really got there, and that every invariant held. The others are about
//! a client or a broker; [`elsewhere`](ELSEWHERE) says which test has them.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

mod story;

use std::path::Path;

use kafka_boot::__simulation::{Incident, simulate_incident};
use kafka_boot_tests::seed::notice;
use kafka_boot_tests::simulation::judge;

use story::Story;

/// How many seeds each incident has.
const SEEDS: u64 = 150;
/// In how many of a hundred the situation has to arise at least.
const SHARE_MIN: usize = 40;

/// Those that need a real client, a real broker or a whole application: number, file, test.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "B5",
        "tests/tests/rebalance.rs",
        "members_that_come_and_go_under_range_assignment_lose_and_repeat_nothing",
    ),
    (
        "B11",
        "tests/tests/rebalance.rs",
        "members_that_come_and_go_under_cooperative_assignment_lose_and_repeat_nothing",
    ),
    (
        "B11",
        "tests/tests/backpressure.rs",
        "a_partition_that_was_paused_when_it_was_revoked_goes_on_when_it_comes_back",
    ),
    ("B11", "client/tests/consumer.rs", "a_failed_fetch_before_a_pause_loses_no_record"),
    (
        "B12",
        "tests/tests/broker_faults.rs",
        "a_broker_that_is_killed_again_and_again_costs_neither_a_record_nor_a_repeat_nor_the_membership",
    ),
    ("B13", "client/tests/consumer.rs", "dropping_a_consumer_does_not_block"),
    ("B13", "client/tests/consumer.rs", "storing_an_offset_is_refused_once_its_partition_is_gone"),
    (
        "B13",
        "tests/tests/handler_faults.rs",
        "a_handler_slower_than_the_poll_interval_costs_neither_the_membership_nor_a_repeat",
    ),
    ("B15", "tests/tests/poison.rs", "one_percent_of_poison_of_every_kind_among_a_hundred_thousand_records"),
    (
        "B15",
        "tests/tests/dead_letter_faults.rs",
        "panics_of_every_kind_become_dead_letters_and_hurt_nobody_else",
    ),
    ("B16", "client/tests/consumer.rs", "closing_keeps_its_deadline_when_the_broker_is_gone"),
    ("B17", "tests/tests/exactly_once.rs", "copies_are_exactly_once_whatever_happens_to_broker_and_members"),
];

#[test]
fn b1_what_was_only_seen_when_its_partition_was_revoked_is_not_committed() {
    hold("B1", Incident::SeenIsNotDone, |story| story.ended.iter().any(|end| end.backlog > 0));
}

#[test]
fn b2_a_result_of_before_says_nothing_of_the_same_partition_now() {
    hold("B2", Incident::StaleResult, |story| story.stale_acks > 0);
}

#[test]
fn b3_a_revocation_with_handlers_and_a_commit_under_way_holds_nobody_up() {
    hold("B3", Incident::RevokedInFlight, |story| story.asked_in_flight > 0);
}

#[test]
fn b4_records_that_wait_while_other_partitions_move_are_handled() {
    hold("B4", Incident::BufferedAcrossRebalance, |story| story.others_moved > 0);
}

#[test]
fn b5_an_old_and_a_new_owner_never_work_on_one_partition_at_once() {
    hold("B5", Incident::OldAndNewOwner, |story| story.handed_over > 1);
}

#[test]
fn b6_records_that_come_with_their_assignment_are_handled() {
    hold("B6", Incident::RecordsAtOnce, |story| story.assigned_with_backlog > 1);
}

#[test]
fn b7_a_consumer_that_recovers_drops_nothing() {
    hold("B7", Incident::Recovery, |story| story.ended.iter().any(|end| end.is_lost && end.backlog > 0));
}

#[test]
fn b8_batches_that_wait_while_other_partitions_move_are_handled() {
    hold("B8", Incident::BatchAcrossRebalance, |story| story.others_moved > 0);
}

#[test]
fn b9_a_timer_commits_nothing_of_a_partition_that_is_lost() {
    hold("B9", Incident::TimedCommitOfLost, |story| {
        story.ended.iter().any(|end| end.is_lost && end.is_uncommitted)
    });
}

#[test]
fn b10_an_offset_of_before_does_not_come_back_with_its_partition() {
    hold("B10", Incident::TimedCommitAfterReturn, |story| story.returned > 0);
}

#[test]
fn b14_a_record_whose_handler_failed_is_not_done() {
    hold("B14", Incident::ErrorIsNotDone, |story| story.failed > 0);
}

#[test]
fn b16_a_commit_that_fails_in_the_end_does_not_keep_the_consumer_from_closing() {
    hold("B16", Incident::CommitFailsInClose, |story| story.failed_commits > 0 && story.stopped > 0);
}

/// R15: of each refusal what follows from it, and never more than twenty tries a second, which the simulation counts.
#[test]
fn r15_commits_that_are_refused_in_every_way_lose_nothing_and_are_not_hurried() {
    hold("R15", Incident::RefusedCommits, |story| story.failed_commits > 2);
}

#[test]
fn every_incident_has_its_test() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let here = include_str!("main.rs");
    for (incident, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(workspace.join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{incident}: {file} has no test `{test}`");
    }
    for number in 1..=17 {
        let is_here = here.contains(&format!("\nfn b{number}_"));
        let incident = format!("B{number}");
        assert!(is_here || ELSEWHERE.iter().any(|(other, ..)| *other == incident), "{incident} has no test");
    }
}

/// Simulates what an incident is about.
fn hold(name: &str, incident: Incident, occurs: impl Fn(&Story) -> bool) {
    let (mut occurred, mut failures) = (0, Vec::new());
    for seed in 0..SEEDS {
        let simulated = simulate_incident(seed, incident, false);
        occurred += usize::from(occurs(&Story::of(&simulated)));
        let found = simulated.failure.clone().or_else(|| judge(&simulated).first().map(ToString::to_string));
        failures.extend(found.map(|failure| format!("seed {seed}: {failure}")));
    }
    notice(&format!(
        "{name}: {SEEDS} seeds, {occurred} of them got into the situation, {} failures",
        failures.len()
    ));
    assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
    let share = occurred * 100 / usize::try_from(SEEDS).unwrap();
    assert!(share >= SHARE_MIN, "{name}: only {share} % of the seeds got into the situation");
}
