//! R2, R3, R4: brokers that are killed, frozen, and take the leadership or the group with them. Each test has a cluster of
//! its own, and prints its row of the fault table.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::ops::Range;
use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::ledger::now_ns;
use kafka_boot_tests::oracle::{LivenessBounds, live};
use kafka_boot_tests::process::Process;
use kafka_boot_tests::scenario::{History, Instance, Scenario};
use kafka_boot_tests::volume::volume;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const MINUTE: Duration = Duration::from_mins(1);
const HEAP_MEBIBYTES: u32 = 256;

/// How soon after a fault begins, and ends, health must tell.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// The number of the first record that the service's own job produces.
const FIRST_OF_JOB: u64 = 1_000_000_000;

/// In each partition, at most `max-in-flight` of the service's configuration.
const REPEATS_PER_DISRUPTION: usize = 12 * 256;

/// A service under load, which also produces, and what its broker goes through.
struct Trial<'k> {
    scenario: Scenario<'k>,
    instance: Instance,
    began: Instant,
    /// When nothing could move.
    outages: Vec<Range<u64>>,
    /// How many lines of the service's log have been looked at.
    seen: usize,
    /// How long it took health at most to tell that an outage begins, and that it ends.
    told: (Duration, Duration),
}

impl<'k> Trial<'k> {
    fn start(kafka: &'k Kafka, name: &str) -> Self {
        let began = Instant::now();
        let mut scenario = Scenario::new(kafka, SERVICE, name, PARTITIONS)
            .unwrap()
            .setting("scheduling.jobs.produce.enabled", true)
            .setting("ledger.delay", "1ms")
            .setting("ledger.delay-every", 3);
        let started_ns = now_ns();
        let instance = scenario.start().unwrap();
        let outages = vec![started_ns..now_ns()];
        let (seen, _) = instance.process.wait_for_line_after(0, MINUTE, is_health("UP")).unwrap();
        Self { scenario, instance, began, outages, seen, told: (Duration::ZERO, Duration::ZERO) }
    }

    /// Gives the service records, and lets it get through most of them: what comes next comes under load.
    fn load(&mut self, records: u64) {
        self.scenario.seed(records).unwrap();
        self.scenario.work_on(records * 3 / 4).unwrap();
    }

    /// Waits until health says so, and returns how long that took from a moment on.
    fn until_health(&mut self, status: &str, since: Instant) -> Duration {
        let said = self.instance.process.wait_for_line_after(self.seen, MINUTE, is_health(status));
        let (seen, line) = said.unwrap();
        self.seen = seen;
        line.at.saturating_duration_since(since)
    }

    /// One outage: health tells of it in time, from what begins it to what ends it.
    fn outage(&mut self, begin: impl FnOnce(), end: impl FnOnce()) {
        let (from_ns, began) = (now_ns(), Instant::now());
        begin();
        let down = self.until_health("DOWN", began);
        end();
        let up = self.until_health("UP", Instant::now());
        self.outages.push(from_ns..now_ns());
        self.told = (self.told.0.max(down), self.told.1.max(up));
        let is_told = down <= TOLD_WITHIN && up <= TOLD_WITHIN;
        assert!(is_told, "DOWN after {down:.1?}, UP after {up:.1?}:\n{}", text_of(&self.instance.process));
    }

    /// What health made of the outages.
    fn health(&self) -> String {
        format!("health DOWN after {:.1?}, UP after {:.1?} at most", self.told.0, self.told.1)
    }

    /// The job produces without end, so this instance stops politely, and a last one, without the job, does the rest.
    fn finish(self) -> (History, Process, Vec<Range<u64>>, Duration) {
        let Self { mut scenario, instance, began, mut outages, .. } = self;
        let from_ns = now_ns();
        let process = scenario.stop(instance).unwrap();
        scenario.set("scheduling.jobs.produce.enabled", false);
        let last = scenario.start().unwrap();
        outages.push(from_ns..now_ns());
        scenario.drain(2 * MINUTE).unwrap();
        scenario.stop(last).unwrap();
        (scenario.finish().unwrap(), process, outages, began.elapsed())
    }
}

/// What was not done within half a minute after the last fault, or stood still for ten seconds without one.
fn bounds(last_fault_ns: u64, outages: Vec<Range<u64>>) -> LivenessBounds {
    LivenessBounds { excused_ns: outages, ..LivenessBounds::after(last_fault_ns) }
}

fn is_health(status: &str) -> impl FnMut(&str) -> bool {
    let said = format!("health changed health={status}");
    move |line| line.contains(&said)
}

fn text_of(process: &Process) -> String {
    process.lines().iter().map(|line| format!("{}\n", line.text)).collect()
}

/// How often the service was given its partitions, and lost or gave them up.
fn assignments(process: &Process) -> (usize, usize) {
    let lines = process.lines();
    let said = |what: &str| lines.iter().filter(|line| line.text.contains(what)).count();
    (said("partitions assigned"), said("partitions lost") + said("partitions revoked"))
}

/// What the job sent got its number in turn: each of them was acknowledged, as an outage is shorter than the time that
/// sending may take.
fn assert_all_sent_were_acknowledged(history: &History) {
    let of_job = |uid: &u64| *uid >= FIRST_OF_JOB;
    let mut produced: Vec<u64> = history.acked.iter().map(|one| one.uid).filter(of_job).collect();
    produced.sort_unstable();
    let (first, last) = (produced.first().copied().unwrap(), produced.last().copied().unwrap());
    assert_eq!(produced.len() as u64, last - first + 1, "every record that was sent was acknowledged");
}

/// R2.
#[test]
fn a_broker_that_is_killed_again_and_again_costs_neither_a_record_nor_a_repeat_nor_the_membership() {
    let options = KafkaOptions::default().heap_mebibytes(HEAP_MEBIBYTES);
    let Some(kafka) = Kafka::start_or_skip(&options) else { return };
    let (records, crashes) = volume((90_000, 2), (1_000_000, 5));
    let mut trial = Trial::start(&kafka, "killed-broker");
    for _ in 0..crashes {
        trial.load(records / (crashes + 1));
        trial.outage(|| kafka.kill9(0).unwrap(), || kafka.restart(0).unwrap());
    }
    let last_fault_ns = now_ns();
    trial.load(records / (crashes + 1));
    let fault = format!("kill -9 of the broker; {}", trial.health());
    let (history, process, outages, took) = trial.finish();
    let row = Row { goal: "R2", fault: &fault, faults: crashes, repeats_each: 0 };
    row.judge_with(&history, took, live(&history.samples, &bounds(last_fault_ns, outages)));
    assert_all_sent_were_acknowledged(&history);
    assert_eq!(assignments(&process), (1, 0), "it kept its partitions throughout");
}

/// R3.
#[test]
fn a_broker_that_is_frozen_costs_neither_a_record_nor_a_repeat_and_health_tells() {
    let options = KafkaOptions::default().heap_mebibytes(HEAP_MEBIBYTES);
    let Some(kafka) = Kafka::start_or_skip(&options) else { return };
    let (records, freezes): (u64, &[u64]) = volume((60_000, &[20][..]), (300_000, &[20, 60][..]));
    let portion = records / (freezes.len() as u64 + 1);
    let mut trial = Trial::start(&kafka, "frozen-broker");
    for seconds in freezes {
        trial.load(portion);
        let thaws = Instant::now() + Duration::from_secs(*seconds);
        if thaws > Instant::now() + 2 * TOLD_WITHIN {
            // Longer than a session: when the broker wakes up, it may miss the member before it hears of it.
            trial.scenario.disrupted();
        }
        let thaw = || {
            std::thread::sleep(thaws.saturating_duration_since(Instant::now()));
            kafka.resume(0).unwrap();
        };
        trial.outage(|| kafka.pause(0).unwrap(), thaw);
    }
    let last_fault_ns = now_ns();
    trial.load(portion);
    let fault = format!("SIGSTOP of the broker, {freezes:?} s; {}", trial.health());
    let (history, _, outages, took) = trial.finish();
    let row =
        Row { goal: "R3", fault: &fault, faults: freezes.len() as u64, repeats_each: REPEATS_PER_DISRUPTION };
    row.judge_with(&history, took, live(&history.samples, &bounds(last_fault_ns, outages)));
    assert_all_sent_were_acknowledged(&history);
}

/// R4.
#[test]
fn leaders_and_coordinators_that_are_killed_cost_neither_a_record_nor_the_membership() {
    let options = KafkaOptions::default()
        .brokers(3)
        .heap_mebibytes(HEAP_MEBIBYTES)
        .property("min.insync.replicas", "2");
    let Some(kafka) = Kafka::start_or_skip(&options) else { return };
    let (records, leaders, coordinators) = volume((60_000, 1, 1), (300_000, 5, 3));
    let portion = records / (leaders + coordinators + 1);
    let mut trial = Trial::start(&kafka, "leader");
    let (topic, group) = (trial.scenario.topic().to_owned(), trial.scenario.group().to_owned());
    let victim = |is_coordinator: bool| {
        let coordinator = kafka.coordinator(&group).unwrap();
        let leads = (0..PARTITIONS).map(|partition| kafka.leader(&topic, partition).unwrap());
        let of_other = leads.into_iter().find(|leader| *leader != coordinator);
        if is_coordinator { coordinator } else { of_other.unwrap() }
    };
    let mut outages = Vec::new();
    for kill in 0..leaders + coordinators {
        trial.load(portion);
        let (from_ns, broker) = (now_ns(), victim(kill >= leaders));
        kafka.kill9(broker).unwrap();
        trial.scenario.seed(portion / 10).unwrap();
        kafka.restart(broker).unwrap();
        kafka.until_in_sync(&topic).unwrap();
        outages.push(from_ns..now_ns());
    }
    let last_fault_ns = now_ns();
    trial.load(portion);
    trial.outages.extend(outages);
    let (history, process, outages, took) = trial.finish();
    let fault = format!("kill -9 of the leader ×{leaders}, of the coordinator ×{coordinators}");
    let row = Row { goal: "R4", fault: &fault, faults: leaders + coordinators, repeats_each: 0 };
    row.judge_with(&history, took, live(&history.samples, &bounds(last_fault_ns, outages)));
    assert_all_sent_were_acknowledged(&history);
    assert_eq!(assignments(&process), (1, 0), "it kept its partitions throughout");
}
