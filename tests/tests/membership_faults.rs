//! R6, R16, R29: members that are killed and started all the time, frozen until others have their partitions, restarted under
//! a name of their own. Each test prints its row of the fault table.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::ledger::now_ns;
use kafka_boot_tests::oracle::{LivenessBounds, live};
use kafka_boot_tests::process::{Process, Signal};
use kafka_boot_tests::scenario::{Instance, Scenario};
use kafka_boot_tests::seed::Random;
use kafka_boot_tests::volume::volume;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const MINUTE: Duration = Duration::from_mins(1);

/// `max-in-flight` of the service's configuration: what one partition may repeat.
const REPEATS_PER_PARTITION: usize = 256;
const REPEATS_PER_DISRUPTION: usize = 12 * REPEATS_PER_PARTITION;

/// How often something happens in a storm.
const STORM_INTERVAL: Duration = Duration::from_millis(500);

fn count(process: &Process, what: &str) -> usize {
    process.lines().iter().filter(|line| line.text.contains(what)).count()
}

/// R6.
#[test]
fn a_storm_of_kills_and_starts_loses_nothing_and_is_over_soon_after_it_ends() {
    let Some(kafka) = Kafka::shared() else { return };
    let began = Instant::now();
    let (partitions, records, members_max, at_once_max) = volume((12, 60_000, 5, 2), (48, 500_000, 12, 6));
    let steps: u64 = volume(24, 120);
    let mut scenario = Scenario::new(kafka, SERVICE, "storm", partitions)
        .unwrap()
        .short_session()
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 3);
    let mut random = Random::from_process_seed(6);
    let started_ns = now_ns();
    let mut members: Vec<Instance> = vec![scenario.start().unwrap()];
    let (mut kills, mut starts) = (0, 1);
    for _ in 0..steps {
        let next = Instant::now() + STORM_INTERVAL;
        scenario.seed(records / steps).unwrap();
        let wants_kill = random.below(2) == 0;
        for _ in 0..=random.below(at_once_max) {
            if wants_kill && !members.is_empty() {
                let victim = random.below(members.len() as u64);
                let victim = members.swap_remove(usize::try_from(victim).unwrap());
                scenario.kill(victim).unwrap();
                kills += 1;
            } else if !wants_kill && members.len() < members_max {
                members.push(scenario.launch().unwrap());
                starts += 1;
            }
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    while members.len() < 3 {
        members.push(scenario.launch().unwrap());
    }
    let last_fault_ns = now_ns();
    let so_far = scenario.attempts().unwrap();
    scenario.drain(MINUTE).unwrap();
    for member in members {
        scenario.stop(member).unwrap();
    }

    let history = scenario.finish().unwrap();
    let bounds = LivenessBounds {
        excused_ns: std::iter::once(started_ns..last_fault_ns).collect(),
        ..LivenessBounds::after(last_fault_ns)
    };
    let allowed_each = usize::try_from(partitions).unwrap() * REPEATS_PER_PARTITION;
    let fault = format!("storm of {kills} kills and {starts} starts of members");
    let row = Row { goal: "R6", fault: &fault, faults: kills + starts, repeats_each: allowed_each };
    row.judge_with(&history, began.elapsed(), live(&history.samples, &bounds));
    assert!(kills > 0 && so_far > 0, "{kills} kills, {so_far} attempts in the storm");
}

/// R16: what the frozen member had in flight is repeated by the new owner, and nothing of it is applied afterwards.
#[test]
fn a_frozen_member_loses_its_partitions_and_commits_nothing_over_its_successor() {
    let Some(kafka) = Kafka::shared() else { return };
    let began = Instant::now();
    let (records, frozen_at_least) = volume((120_000, Duration::ZERO), (400_000, MINUTE));
    let mut scenario = Scenario::new(kafka, SERVICE, "frozen", PARTITIONS).unwrap();
    if frozen_at_least.is_zero() {
        scenario = scenario.short_session();
    }
    scenario = scenario.setting("ledger.delay", "2ms").setting("ledger.delay-every", 3);
    scenario.seed(records / 2).unwrap();
    let frozen = scenario.start().unwrap();
    let other = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();

    scenario.disrupted();
    frozen.process.signal(Signal::Stop).unwrap();
    let froze = Instant::now();
    eventually(2 * MINUTE, "the group to miss the frozen member", || {
        scenario.members().is_ok_and(|members| members.len() == 1) && froze.elapsed() >= frozen_at_least
    });
    // The successor gets past all that the frozen member has in hand, which that one will do again when it wakes up.
    scenario.seed(records / 2).unwrap();
    scenario.work_on(3 * REPEATS_PER_DISRUPTION as u64).unwrap();
    frozen.process.signal(Signal::Continue).unwrap();
    frozen.process.wait_for_line(MINUTE, |line| line.contains("partitions lost")).unwrap();
    eventually(MINUTE, "both members to be back", || {
        scenario.members().is_ok_and(|members| members.len() == 2)
    });
    scenario.work_on(2_000).unwrap();
    let so_far = scenario.attempts().unwrap();
    assert!(so_far < records, "the member was frozen under load");
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(frozen).unwrap();
    scenario.stop(other).unwrap();

    let history = scenario.finish().unwrap();
    let fault = "SIGSTOP of a member until its partitions are another's";
    let row = Row { goal: "R16", fault, faults: 1, repeats_each: REPEATS_PER_DISRUPTION };
    row.judge(&history, began.elapsed());
}

/// R29: a static member that comes back within its session finds its partitions where they were, and nobody else notices.
#[test]
fn a_static_member_that_restarts_disturbs_nobody() {
    let Some(kafka) = Kafka::shared() else { return };
    let began = Instant::now();
    let (records, restarts) = volume((40_000, 6), (100_000, 20));
    let mut scenario = Scenario::new(kafka, SERVICE, "static", PARTITIONS)
        .unwrap()
        .static_members()
        .setting("kafka.consumer.heartbeat-interval", "500ms")
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 3);
    let others = ["b", "c"].map(|name| scenario.start_as(name).unwrap());
    let mut restarting = scenario.start_as("a").unwrap();
    scenario.seed(records / 4).unwrap();
    scenario.drain(MINUTE).unwrap();
    let moves = |instance: &Instance| {
        count(&instance.process, "partitions assigned")
            + count(&instance.process, "partitions revoked")
            + count(&instance.process, "partitions lost")
    };
    let before = others.each_ref().map(&moves);
    for restart in 0..restarts {
        scenario.seed(records * 3 / 4 / restarts).unwrap();
        if restart % 2 == 0 {
            scenario.kill(restarting).unwrap();
        } else {
            scenario.stop(restarting).unwrap();
        }
        restarting = scenario.start_as("a").unwrap();
    }
    scenario.drain(MINUTE).unwrap();
    assert_eq!(others.each_ref().map(&moves), before, "nobody else was given or lost a partition");
    for instance in others.into_iter().chain([restarting]) {
        scenario.stop(instance).unwrap();
    }
    let history = scenario.finish().unwrap();
    // Of a killed one, what it had of its own four partitions.
    let row = Row {
        goal: "R29",
        fault: "restart of a static member, every other one by kill -9",
        faults: restarts,
        repeats_each: 4 * REPEATS_PER_PARTITION,
    };
    row.judge(&history, began.elapsed());
}

/// R29: of two with one name the later one stays, and the earlier one says why it ends, once, instead of fighting back.
#[test]
fn of_two_static_members_with_one_name_the_earlier_one_ends_and_says_why() {
    let Some(kafka) = Kafka::shared() else { return };
    let began = Instant::now();
    let records = volume(20_000, 50_000);
    let mut scenario = Scenario::new(kafka, SERVICE, "fenced", PARTITIONS)
        .unwrap()
        .static_members()
        .setting("kafka.consumer.heartbeat-interval", "500ms")
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 3);
    scenario.seed(records).unwrap();
    let mut fenced = scenario.start_as("a").unwrap();
    scenario.work_on(2_000).unwrap();
    // What the earlier one has in hand is its successor's.
    scenario.disrupted();
    let successor = scenario.start_as("a").unwrap();
    let status = fenced.process.wait(MINUTE).unwrap();
    let text = fenced.process.lines().iter().map(|line| line.text.clone()).collect::<Vec<_>>().join("\n");
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("to=failed: another member of group"), "{text}");
    assert!(text.contains("has started as group-instance-id `a` and taken its place"), "{text}");
    assert_eq!(text.matches("consumer starts again").count(), 0, "{text}");
    scenario.drain(MINUTE).unwrap();
    let successor = scenario.stop(successor).unwrap();
    assert_eq!(count(&successor, "partitions assigned"), 1);
    let history = scenario.finish().unwrap();
    let fault = "two static members with one name";
    let row = Row { goal: "R29", fault, faults: 1, repeats_each: REPEATS_PER_DISRUPTION };
    row.judge(&history, began.elapsed());
}
