//! The engine against a simulated cluster, seed after seed, judged twice: at each step by the simulation itself, and at the
//! end by the [`oracle`](crate::oracle), which reads its history as it reads that of a real broker.
//!
//! Which seeds run, and how they are reproduced, says [`Seeds`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kafka_boot::__simulation::{AttemptOutcome, Note, Simulated, SimulatedOrder, simulate};

use crate::ledger::{Entry, Event, EventKind, Outcome, Produced};
use crate::observer::Sample;
use crate::oracle::{
    Lane, Settlement, Violation, commits_behind_frontier, commits_never_go_back, no_loss, no_zombies, ordered,
};
use crate::seed::{notice, seed};

/// Which seeds run in a change's checks: the same ones each time, and as many that belong to the run's own seed.
const SAME_SEEDS: u64 = 10_000;
const OTHER_SEEDS: u64 = 10_000;
/// After how many failures the rest is not run any more.
const FAILURES_MAX: usize = 20;

/// Seeds that failed once.
const KNOWN: &str = include_str!("../seeds/simulation.txt");

/// The seeds to run.
///
/// - Nothing set: those of `seeds/simulation.txt`, 10 000 that are always the same, and 10 000 of the process's own
///   [`seed`].
/// - `KAFKA_BOOT_SIMULATION_SEEDS=5000000`: as many, in the place of the 20 000.
/// - `KAFKA_BOOT_SIMULATION_SEED=4711`: that one alone, with everything that happens printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds {
    list: Vec<u64>,
    range: Range<u64>,
    others: Range<u64>,
    /// Whether everything that happens is printed.
    pub is_verbose: bool,
    failures_max: usize,
}

/// What became of many simulations.
#[derive(Debug, Default)]
pub struct Campaign {
    /// How many were run.
    pub simulations: usize,
    /// How many things happened in them.
    pub notes: u64,
    /// How many faults.
    pub faults: u64,
    /// How many records were done, and how many of those that had been done before.
    pub done: u64,
    /// See `done`.
    pub repeated: u64,
    /// What did not hold, by seed.
    pub failures: Vec<(u64, String)>,
    /// How long it took.
    pub took: Duration,
}

impl Seeds {
    /// As the environment says.
    ///
    /// # Panics
    ///
    /// When one of the variables is set and no unsigned number, or the file of known seeds has something else.
    pub fn from_environment() -> Self {
        if let Some(one) = number("KAFKA_BOOT_SIMULATION_SEED") {
            return Self { list: vec![one], range: 0..0, others: 0..0, is_verbose: true, failures_max: 1 };
        }
        let known = KNOWN.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
        let list =
            known.map(|word| word.parse().expect("seeds/simulation.txt has numbers and comments")).collect();
        // The others begin far from the ones that are always the same, at a place of the process's own.
        let from = (seed() << 32) | (1 << 63);
        let (same, others) = match number("KAFKA_BOOT_SIMULATION_SEEDS") {
            Some(count) => (count / 2, count - count / 2),
            None => (SAME_SEEDS, OTHER_SEEDS),
        };
        Self {
            list,
            range: 0..same,
            others: from..from + others,
            is_verbose: false,
            failures_max: FAILURES_MAX,
        }
    }

    /// Some that are always the same.
    pub fn first(count: u64) -> Self {
        Self {
            list: Vec::new(),
            range: 0..count,
            others: 0..0,
            is_verbose: false,
            failures_max: FAILURES_MAX,
        }
    }

    /// The same, until this many have failed.
    #[must_use]
    pub fn until_failures(self, failures_max: usize) -> Self {
        Self { failures_max, ..self }
    }

    fn at(&self, index: u64) -> Option<u64> {
        let known = self.list.len() as u64;
        let same = known + (self.range.end - self.range.start);
        if index < known {
            return self.list.get(usize::try_from(index).ok()?).copied();
        }
        let seed =
            if index < same { self.range.start + index - known } else { self.others.start + index - same };
        (index < same || seed < self.others.end).then_some(seed)
    }

    fn simulate(&self, seed: u64) -> Simulated {
        let simulated = simulate(seed, self.is_verbose);
        if self.is_verbose {
            notice(&simulated.plan);
        }
        simulated
    }

    /// Simulates each of them, on all processors.
    ///
    /// # Panics
    ///
    /// When a simulation panics outside of what it simulates.
    pub fn run(&self) -> Campaign {
        let began = Instant::now();
        let (next, failed) = (AtomicU64::new(0), AtomicUsize::new(0));
        let campaign = Mutex::new(Campaign::default());
        let threads =
            if self.is_verbose { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
        let simulate_next = || {
            while failed.load(Ordering::Relaxed) < self.failures_max
                && let Some(seed) = self.at(next.fetch_add(1, Ordering::Relaxed))
            {
                let simulated = self.simulate(seed);
                let mut campaign = campaign.lock().expect("no simulation panics while it is counted");
                failed.fetch_add(campaign.count(&simulated), Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(simulate_next);
            }
        });
        let mut campaign = campaign.into_inner().expect("every thread has ended well");
        campaign.failures.sort();
        campaign.took = began.elapsed();
        campaign
    }
}

impl Campaign {
    /// Takes a simulation in; returns how many failures it is.
    fn count(&mut self, simulated: &Simulated) -> usize {
        self.simulations += 1;
        self.notes += simulated.notes.len() as u64;
        let mut done = HashSet::new();
        for (_, note) in &simulated.notes {
            match note {
                Note::Fault { .. } => self.faults += 1,
                Note::AttemptEnded { partition, offset, outcome: AttemptOutcome::Done, .. } => {
                    self.done += 1;
                    self.repeated += u64::from(!done.insert((*partition, *offset)));
                }
                _ => {}
            }
        }
        let first = simulated.failure.clone().or_else(|| judge(simulated).first().map(ToString::to_string));
        let Some(first) = first else { return 0 };
        self.failures.push((simulated.seed, first));
        1
    }

    /// Fails the test if something did not hold, and says how to see it again.
    ///
    /// # Panics
    ///
    /// When there are failures.
    #[track_caller]
    pub fn assert_holds(&self) {
        let shown: Vec<String> = self
            .failures
            .iter()
            .map(|(seed, failure)| format!("  KAFKA_BOOT_SIMULATION_SEED={seed}: {failure}"))
            .collect();
        assert!(
            shown.is_empty(),
            "{} of {} simulations failed; each is seen again with `KAFKA_BOOT_SIMULATION_SEED=… cargo test -p \
             kafka-boot-tests --test simulation`, and belongs into `tests/seeds/simulation.txt` once it is understood:\n{}",
            shown.len(),
            self.simulations,
            shown.join("\n"),
        );
    }
}

/// What the oracle finds in a simulation's history.
pub fn judge(simulated: &Simulated) -> Vec<Violation> {
    let history = History::of(simulated);
    let nobody = HashSet::new();
    let settlement = Settlement { acked: &history.acked, entries: &history.entries, dead_lettered: &nobody };
    let mut violations = [
        no_loss(&settlement),
        commits_behind_frontier(&settlement, &history.samples),
        no_zombies(&history.events),
    ]
    .concat();
    if !history.is_sought {
        violations.extend(commits_never_go_back(&history.samples));
        // What is acknowledged by hand is done in whatever order hands do it.
        let lane = match simulated.order {
            _ if simulated.is_manual || simulated.has_letters_of_batches => None,
            SimulatedOrder::Partition => Some(Lane::Partition),
            SimulatedOrder::Key => Some(Lane::Key),
            SimulatedOrder::None => None,
        };
        violations.extend(lane.map(|lane| ordered(&history.entries, lane)).unwrap_or_default());
    }
    violations
}

/// A simulation's notes as the oracle reads them.
#[derive(Default)]
struct History {
    acked: Vec<Produced>,
    entries: Vec<Entry>,
    samples: Vec<Sample>,
    events: Vec<Event>,
    /// Whether a position was moved: then commits may go back, and records be done in another order.
    is_sought: bool,
}

impl History {
    fn of(simulated: &Simulated) -> Self {
        let mut this = Self::default();
        let mut excused: BTreeSet<(i32, i64)> = BTreeSet::new();
        let mut ends: HashMap<i32, i64> = HashMap::new();
        let mut consumers: HashMap<u32, u32> = HashMap::new();
        let mut last_attempts: HashMap<(u32, i64), Range<u64>> = HashMap::new();
        for (at_ns, note) in &simulated.notes {
            match note {
                Note::Produced { partition, offset, key } => {
                    ends.insert(*partition, offset + 1);
                    this.acked.push(produced(*partition, *offset, *key));
                }
                Note::Excused { partition, from, to } => {
                    let of_partition = this.acked.iter().filter(|record| record.partition == *partition);
                    let offsets = of_partition.map(|record| record.offset);
                    excused.extend(
                        offsets
                            .filter(|offset| (*from..*to).contains(offset))
                            .map(|offset| (*partition, offset)),
                    );
                }
                Note::Assigned { consumer, assignment, partition } => {
                    consumers.insert(*assignment, *consumer);
                    this.event(*at_ns, (*consumer, *assignment, *partition), EventKind::Assigned);
                }
                Note::Revoked { consumer, assignment, partition } => {
                    this.event(*at_ns, (*consumer, *assignment, *partition), EventKind::Revoked);
                }
                Note::Lost { consumer, assignment, partition } => {
                    this.event(*at_ns, (*consumer, *assignment, *partition), EventKind::Lost);
                }
                Note::Sought { .. } => this.is_sought = true,
                Note::AttemptEnded { assignment, partition, offset, key, attempt, started_ns, outcome } => {
                    last_attempts.insert((*assignment, *offset), *started_ns..*at_ns);
                    let Some(outcome) = outcome_of(*outcome, simulated.is_manual) else { continue };
                    let consumer = consumers.get(assignment).copied().unwrap_or_default();
                    let times = *started_ns..*at_ns;
                    let place = (*partition, *offset, *key);
                    this.entries.push(entry((consumer, *assignment), place, *attempt, times, outcome));
                }
                Note::Lettered { assignment, partition, offset, key, .. } => {
                    // Letters of one batch arrive in any order: what counts is when the handler was done with the record.
                    let consumer = consumers.get(assignment).copied().unwrap_or_default();
                    let ended = last_attempts.get(&(*assignment, *offset)).cloned();
                    let (times, place) = (ended.unwrap_or(*at_ns..*at_ns), (*partition, *offset, *key));
                    this.entries.push(entry((consumer, *assignment), place, 1, times, Outcome::Skipped));
                }
                Note::Acknowledged { assignment, partition, offset, key, .. } => {
                    let consumer = consumers.get(assignment).copied().unwrap_or_default();
                    let (times, place) = (*at_ns..*at_ns, (*partition, *offset, *key));
                    this.entries.push(entry((consumer, *assignment), place, 1, times, Outcome::Done));
                }
                Note::CommitAccepted { consumer, assignment, partition, offset } => {
                    if let Some(assignment) = assignment {
                        let assignment = (*consumer, *assignment, *partition);
                        this.event(*at_ns, assignment, EventKind::CommitSent(*offset));
                    }
                    this.samples.push(Sample {
                        at_ns: *at_ns,
                        topic: "t".to_owned(),
                        partition: *partition,
                        committed: Some(*offset),
                        finished: None,
                        end: ends.get(partition).copied().unwrap_or_default(),
                    });
                }
                Note::CommitSent { consumer, assignment: Some(assignment), partition, offset } => {
                    let assignment = (*consumer, *assignment, *partition);
                    this.event(*at_ns, assignment, EventKind::CommitSent(*offset));
                }
                _ => {}
            }
        }
        let is_owed = |partition: i32, offset: i64| !excused.contains(&(partition, offset));
        this.acked.retain(|record| is_owed(record.partition, record.offset));
        this.entries.retain(|entry| is_owed(entry.partition, entry.offset));
        this
    }

    fn event(&mut self, at_ns: u64, (consumer, assignment, partition): (u32, u32, i32), kind: EventKind) {
        self.events.push(Event {
            at_ns,
            instance: consumer.to_string(),
            generation: i64::from(assignment),
            topic: "t".to_owned(),
            partition,
            kind,
        });
    }
}

fn uid(partition: i32, offset: i64) -> u64 {
    (u64::from(partition.unsigned_abs()) << 32) | offset.unsigned_abs()
}

fn produced(partition: i32, offset: i64, key: Option<u64>) -> Produced {
    let key = key.map(|key| key.to_string());
    Produced { uid: uid(partition, offset), topic: "t".to_owned(), partition, offset, key, seq: 0 }
}

fn entry(
    (consumer, assignment): (u32, u32),
    (partition, offset, key): (i32, i64, Option<u64>),
    attempt: u32,
    times: Range<u64>,
    outcome: Outcome,
) -> Entry {
    Entry {
        run: String::new(),
        instance: consumer.to_string(),
        generation: i64::from(assignment),
        topic: "t".to_owned(),
        partition,
        offset,
        key: key.map(|key| key.to_string()),
        seq: 0,
        uid: uid(partition, offset),
        attempt,
        start_ns: times.start,
        end_ns: times.end,
        outcome,
    }
}

/// What an attempt leaves in a ledger: nothing, if its lane was ended, or if its end says nothing.
fn outcome_of(outcome: AttemptOutcome, is_manual: bool) -> Option<Outcome> {
    match outcome {
        AttemptOutcome::Done => (!is_manual).then_some(Outcome::Done),
        AttemptOutcome::Error => Some(Outcome::Error),
        AttemptOutcome::Panic => Some(Outcome::Panic),
        AttemptOutcome::Skipped => Some(Outcome::Skipped),
        AttemptOutcome::Dropped => None,
    }
}

/// A number in the environment.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let parsed = text.trim().parse();
    Some(
        parsed
            .unwrap_or_else(|error| panic!("`{variable}` must be an unsigned number, not `{text}`: {error}")),
    )
}
