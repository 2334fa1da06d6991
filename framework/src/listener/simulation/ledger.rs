//! What was handed out, attempted, settled and committed, and whether it may be so: the invariants, at each step.
//!
//! | | checked |
//! |---|---|
//! | I1 | at the end, every record is settled, or was left out by moving a position |
//! | I2 | no commit is sent that passes a record which its own assignment has not settled, in offset or metadata |
//! | I3 | nothing settled is attempted again in its assignment; what the commit's metadata told is not attempted at all; with `ack-mode: record`, `sync`, a crash leaves one record a lane without its commit |
//! | I4 | an attempt starts when all before it in its lane are finished, and alone |
//! | I5 | nothing is attempted or committed for an assignment that is over |
//! | I7 | an assignment given up in order leaves nothing settled that is not committed, unless commits failed |

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::history::{AttemptOutcome, Note};
use crate::config::model::Ordering;
use crate::listener::offset_map::OffsetMap;

/// The number of an assignment.
pub(super) type Epoch = u32;

/// What a group has committed of a partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) metadata: Option<String>,
}

/// How an assignment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// In order, as was asked for at a time; `is_excused` if commits could not be expected to succeed, `is_told` if metadata
    /// tells what is done beyond them.
    GivenUp {
        is_excused: bool,
        is_told: bool,
        since: Duration,
    },
    Lost,
    Crashed {
        is_told: bool,
    },
    Sought,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of one thing")]
pub(super) struct Ledger {
    pub(super) notes: Vec<(u64, Note)>,
    pub(super) failure: Option<String>,
    is_verbose: bool,
    ordering: Ordering,
    is_manual: bool,
    is_batch: bool,
    waits_for_commit: bool,
    epochs: Vec<EpochState>,
    /// Each partition's records, and whether they are settled, or nobody owes them.
    records: Vec<BTreeMap<i64, Owed>>,
    last_ns: u64,
}

/// Whether a record has to be settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// Nobody has seen it.
    Unseen,
    /// A handler was called with it.
    Seen,
    /// Not any more, or not at all.
    Not,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of one thing")]
struct EpochState {
    consumer: u32,
    partition: i32,
    start: Option<i64>,
    handed: Vec<Handed>,
    /// The place of the first one that is not settled.
    first_open: usize,
    lanes: BTreeMap<Option<u64>, Lane>,
    finished_before: Option<OffsetMap>,
    by_seek: bool,
    /// Nothing is committed that says where it begins.
    is_unpinned: bool,
    is_over: bool,
    is_crashed: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of one thing")]
struct Handed {
    offset: i64,
    key: Option<u64>,
    settled: bool,
    settled_at: Option<Duration>,
    at_work: bool,
    nacked: bool,
    /// It is to be delivered again.
    is_again: bool,
    finished_before: bool,
    starts: u32,
    started_ns: u64,
}

#[derive(Default)]
struct Lane {
    /// What was handed out and is not finished, in order.
    waiting: VecDeque<i64>,
    /// What was finished, and is to be delivered again after all: it goes first, in any order.
    again: Vec<i64>,
    /// What was started and is not finished; of a batch, the first one.
    started: Vec<i64>,
    is_at_work: bool,
}

impl Lane {
    fn starts(&mut self, offset: i64, ordering: Ordering) {
        if ordering == Ordering::Partition {
            // What precedes it in its batch is finished.
            self.started.clear();
        }
        if !self.started.contains(&offset) {
            self.started.push(offset);
        }
    }

    /// What may be started now, as the first of a batch or as one that follows.
    fn next(&self, index: usize) -> Vec<i64> {
        if index == 0 && !(self.started.is_empty() && self.again.is_empty()) {
            // What is delivered again goes ahead of what only waits for its turn to go on.
            return self.again.iter().chain(&self.started).copied().collect();
        }
        let first = self.started.first();
        let at = first.and_then(|first| self.waiting.iter().position(|waiting| waiting == first));
        self.waiting.get(at.unwrap_or_default() + index).copied().into_iter().collect()
    }
}

impl Ledger {
    pub(super) fn new(plan: &super::plan::Plan, is_verbose: bool) -> Self {
        Self {
            notes: Vec::new(),
            failure: None,
            is_verbose,
            ordering: plan.settings.ordering,
            is_manual: plan.is_manual(),
            is_batch: plan.is_batch,
            waits_for_commit: plan.waits_for_commit(),
            epochs: Vec::new(),
            records: vec![BTreeMap::new(); usize::try_from(plan.partitions).unwrap_or_default()],
            last_ns: 0,
        }
    }

    /// Notes something; each at a time of its own.
    pub(super) fn note(&mut self, now: Duration, note: Note) -> u64 {
        let at_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(self.last_ns + 1);
        self.last_ns = at_ns;
        if self.is_verbose {
            eprintln!("{:>12.6} {note:?}", now.as_secs_f64());
        }
        self.notes.push((at_ns, note));
        at_ns
    }

    /// The first failure is the one that counts.
    pub(super) fn fail(&mut self, text: impl FnOnce() -> String) {
        if self.failure.is_none() {
            let text = text();
            if self.is_verbose {
                eprintln!("*** {text}");
            }
            self.failure = Some(text);
        }
    }

    pub(super) fn produced(&mut self, now: Duration, partition: i32, offset: i64, key: Option<u64>) {
        self.note(now, Note::Produced { partition, offset, key });
        self.of_partition(partition).insert(offset, Owed::Unseen);
    }

    /// Nobody owes these any more, whoever has seen them.
    pub(super) fn excuse(&mut self, now: Duration, partition: i32, from: i64, to: i64) {
        self.excuse_if(now, partition, from..to, |_| true);
    }

    /// A group begins behind these: what nobody has seen of them is not owed.
    pub(super) fn excuse_unseen(&mut self, now: Duration, partition: i32, to: i64) {
        self.excuse_if(now, partition, 0..to, |owed| owed != Owed::Seen);
    }

    fn excuse_if(
        &mut self,
        now: Duration,
        partition: i32,
        offsets: Range<i64>,
        is_meant: impl Fn(Owed) -> bool,
    ) {
        let mut excused: Vec<i64> = Vec::new();
        if !offsets.is_empty() {
            for (offset, owed) in self.of_partition(partition).range_mut(offsets) {
                if is_meant(*owed) && *owed != Owed::Not {
                    *owed = Owed::Not;
                    excused.push(*offset);
                }
            }
        }
        for run in excused.chunk_by(|one, next| one + 1 == *next) {
            if let (Some(from), Some(last)) = (run.first(), run.last()) {
                self.note(now, Note::Excused { partition, from: *from, to: last + 1 });
            }
        }
    }

    fn of_partition(&mut self, partition: i32) -> &mut BTreeMap<i64, Owed> {
        &mut self.records[place(partition)]
    }

    pub(super) fn begin(
        &mut self,
        now: Duration,
        consumer: u32,
        partition: i32,
        finished_before: Option<OffsetMap>,
    ) -> Epoch {
        let epoch = Epoch::try_from(self.epochs.len()).unwrap_or(Epoch::MAX);
        self.epochs.push(EpochState {
            consumer,
            partition,
            start: None,
            handed: Vec::new(),
            first_open: 0,
            lanes: BTreeMap::new(),
            finished_before,
            by_seek: false,
            is_unpinned: false,
            is_over: false,
            is_crashed: false,
        });
        self.note(now, Note::Assigned { consumer, assignment: epoch, partition });
        epoch
    }

    /// The assignment is read from this offset on.
    pub(super) fn starts_at(&mut self, epoch: Epoch, offset: i64, by_seek: bool) {
        let state = self.epoch(epoch);
        state.start = Some(offset);
        state.by_seek = by_seek;
    }

    /// The assignment begins at the end, and nothing was committed that says so: a later one may begin further on.
    pub(super) fn is_unpinned(&mut self, epoch: Epoch) {
        self.epoch(epoch).is_unpinned = true;
    }

    pub(super) fn was_unpinned(&self, epoch: Epoch) -> bool {
        self.epochs[epoch as usize].is_unpinned
    }

    pub(super) fn is_by_seek(&mut self, epoch: Epoch) -> bool {
        self.epoch(epoch).by_seek
    }

    fn epoch(&mut self, epoch: Epoch) -> &mut EpochState {
        &mut self.epochs[epoch as usize]
    }

    /// Whether its consumer is gone without notice, so that its handlers are, too.
    pub(super) fn is_crashed(&self, epoch: Epoch) -> bool {
        self.epochs[epoch as usize].is_crashed
    }

    /// What a handler at work for this assignment may still do is without effect for it.
    pub(super) fn is_over(&self, epoch: Epoch) -> bool {
        self.epochs[epoch as usize].is_over
    }

    /// Whether a record was settled in its assignment.
    pub(super) fn is_settled(&self, epoch: Epoch, offset: i64) -> bool {
        let handed = &self.epochs[epoch as usize].handed;
        handed.binary_search_by_key(&offset, |handed| handed.offset).is_ok_and(|at| handed[at].settled)
    }

    /// Whether one of these is to be delivered again, because it was said not to be done.
    pub(super) fn is_any_again(&self, epoch: Epoch, offsets: &[i64]) -> bool {
        let handed = &self.epochs[epoch as usize].handed;
        handed.iter().any(|handed| handed.is_again && offsets.contains(&handed.offset))
    }

    /// Whether one of these, which are at work, was so before.
    pub(super) fn is_any_started_before(&self, epoch: Epoch, offsets: &[i64]) -> bool {
        let handed = &self.epochs[epoch as usize].handed;
        handed.iter().any(|handed| handed.starts > 1 && offsets.contains(&handed.offset))
    }

    pub(super) fn handed_out(&mut self, epoch: Epoch, offset: i64, key: Option<u64>) {
        let lane = self.lane_of(key);
        let state = self.epoch(epoch);
        let finished_before = state.finished_before.as_ref().is_some_and(|map| map.contains(offset));
        if !finished_before {
            state.lanes.entry(lane).or_default().waiting.push_back(offset);
        }
        state.handed.push(Handed {
            offset,
            key,
            settled: finished_before,
            settled_at: None,
            at_work: false,
            nacked: false,
            is_again: false,
            finished_before,
            starts: 0,
            started_ns: 0,
        });
    }

    fn lane_of(&self, key: Option<u64>) -> Option<u64> {
        if self.ordering == Ordering::Key { key } else { None }
    }

    /// A handler is called with these records.
    pub(super) fn started(&mut self, now: Duration, epoch: Epoch, offsets: &[i64], attempt: u32) {
        let partition = self.epoch(epoch).partition;
        let mut at_ns = 0;
        for offset in offsets {
            at_ns = self
                .note(now, Note::AttemptStarted { assignment: epoch, partition, offset: *offset, attempt });
        }
        // Records of a batch have their start in common.
        let first_ns = at_ns.saturating_sub(offsets.len() as u64 - 1);
        if let Err(text) = self.may_start(epoch, offsets, first_ns) {
            self.fail(|| text);
        }
        if !self.epoch(epoch).is_unpinned {
            let records = self.of_partition(partition);
            for offset in offsets {
                records.entry(*offset).and_modify(|owed| {
                    if *owed == Owed::Unseen {
                        *owed = Owed::Seen;
                    }
                });
            }
        }
    }

    fn may_start(&mut self, epoch: Epoch, offsets: &[i64], at_ns: u64) -> Result<(), String> {
        let (ordering, is_manual) = (self.ordering, self.is_manual);
        let state = self.epoch(epoch);
        let name = |offset: i64| format!("{}@{offset} of assignment {epoch}", state.partition);
        if state.is_over {
            return Err(format!("I5: an attempt of {} starts after its end", name(offsets[0])));
        }
        let mut lane = None;
        for (index, offset) in offsets.iter().enumerate() {
            let Ok(at) = state.handed.binary_search_by_key(offset, |handed| handed.offset) else {
                return Err(format!("an attempt of {}, which was not handed out", name(*offset)));
            };
            let handed = &state.handed[at];
            if handed.finished_before {
                return Err(format!(
                    "I3: {} is attempted, and the metadata told that it is done",
                    name(*offset)
                ));
            }
            if handed.at_work {
                return Err(format!("I4: {} is at work already", name(*offset)));
            }
            if handed.settled && !is_manual {
                return Err(format!("I3: {} is attempted again after it was settled", name(*offset)));
            }
            lane = if ordering == Ordering::Key { handed.key } else { None };
            let next = state.lanes.get(&lane).map_or_else(Vec::new, |lane| lane.next(index));
            if ordering != Ordering::None && !next.contains(offset) {
                return Err(format!(
                    "I4: {} is attempted, and the next of its lane is {next:?}",
                    name(*offset)
                ));
            }
        }
        let lane = state.lanes.entry(lane).or_default();
        lane.starts(offsets[0], ordering);
        if ordering != Ordering::None && std::mem::replace(&mut lane.is_at_work, true) {
            return Err(format!("I4: {} starts beside another of its lane", name(offsets[0])));
        }
        for offset in offsets {
            if let Ok(at) = state.handed.binary_search_by_key(offset, |handed| handed.offset) {
                state.handed[at].at_work = true;
                state.handed[at].is_again = false;
                state.handed[at].starts += 1;
                state.handed[at].started_ns = at_ns;
            }
        }
        Ok(())
    }

    /// A handler is about to return, with this outcome of these records, or was dropped. The first call for an attempt
    /// frees its lane.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        epoch: Epoch,
        offsets: &[i64],
        attempt: u32,
        outcome: AttemptOutcome,
    ) {
        let (is_manual, ordering) = (self.is_manual, self.ordering);
        let state = self.epoch(epoch);
        let is_nacked = |handed: &Handed| handed.nacked && offsets.contains(&handed.offset);
        let is_any_nacked = state.handed.iter().any(is_nacked);
        for offset in offsets {
            let state = self.epoch(epoch);
            let partition = state.partition;
            let Ok(at) = state.handed.binary_search_by_key(offset, |handed| handed.offset) else { continue };
            let handed = &mut state.handed[at];
            handed.at_work = false;
            let (key, started_ns) = (handed.key, handed.started_ns);
            let was_nacked = std::mem::take(&mut handed.nacked);
            let is_finished = match outcome {
                AttemptOutcome::Done => !was_nacked,
                AttemptOutcome::Skipped => true,
                AttemptOutcome::Error | AttemptOutcome::Panic | AttemptOutcome::Dropped => false,
            };
            let settles = is_finished && (!is_manual || outcome == AttemptOutcome::Skipped);
            let lane = state.lanes.entry(if ordering == Ordering::Key { key } else { None }).or_default();
            lane.is_at_work = false;
            if is_any_nacked && ordering == Ordering::Partition {
                // It may be another one of its batch that goes first now.
                lane.started.clear();
            } else if matches!(outcome, AttemptOutcome::Error | AttemptOutcome::Panic) {
                lane.starts(offsets[0], ordering);
            }
            if is_finished {
                lane.started.retain(|started| started != offset);
                if ordering != Ordering::Partition {
                    lane.waiting.retain(|waiting| waiting != offset);
                    lane.again.retain(|again| again != offset);
                } else if lane.waiting.front() == Some(offset) {
                    lane.waiting.pop_front();
                }
            }
            let note = Note::AttemptEnded {
                assignment: epoch,
                partition,
                offset: *offset,
                key,
                attempt,
                started_ns,
                outcome,
            };
            self.note(now, note);
            if settles {
                self.settled(now, epoch, *offset);
            }
        }
    }

    /// These may count as done, and need not.
    pub(super) fn need_not_be_committed(&mut self, epoch: Epoch, offsets: &[i64]) {
        for handed in &mut self.epoch(epoch).handed {
            if offsets.contains(&handed.offset) {
                handed.settled_at = None;
            }
        }
    }

    /// The topic of dead letters has a record: it is done, whoever asked for that.
    pub(super) fn lettered(&mut self, now: Duration, epoch: Epoch, offset: i64) {
        let ordering = self.ordering;
        let state = self.epoch(epoch);
        let (partition, is_late) = (state.partition, state.is_over);
        let Ok(at) = state.handed.binary_search_by_key(&offset, |handed| handed.offset) else { return };
        let key = state.handed[at].key;
        let lane = state.lanes.entry(if ordering == Ordering::Key { key } else { None }).or_default();
        lane.started.retain(|started| *started != offset);
        // What follows a record that is delivered again is so, too.
        let is_behind = state.handed[..at].iter().any(|handed| handed.is_again);
        if !(is_behind && ordering == Ordering::Partition) {
            lane.waiting.retain(|waiting| *waiting != offset);
        }
        lane.again.retain(|again| *again != offset);
        self.note(now, Note::Lettered { assignment: epoch, partition, offset, key, is_late });
        self.settled(now, epoch, offset);
        if self.is_batch {
            // A batch counts as done when all of its letters have arrived: until then, one alone need not be committed.
            self.epoch(epoch).handed[at].settled_at = None;
        }
    }

    /// User code says that records are done.
    pub(super) fn acknowledged(&mut self, now: Duration, epoch: Epoch, offsets: &[i64]) {
        for offset in offsets {
            let state = self.epoch(epoch);
            let (partition, is_late) = (state.partition, state.is_over);
            let at = state.handed.binary_search_by_key(offset, |handed| handed.offset);
            let key = at.ok().and_then(|at| state.handed[at].key);
            self.note(
                now,
                Note::Acknowledged { assignment: epoch, partition, offset: *offset, key, is_late },
            );
            if !is_late {
                self.settled(now, epoch, *offset);
            }
        }
    }

    /// User code says that a record is not done.
    pub(super) fn nacked(&mut self, now: Duration, epoch: Epoch, offset: i64) {
        let ordering = self.ordering;
        let partition = self.epoch(epoch).partition;
        self.note(now, Note::Nacked { assignment: epoch, partition, offset });
        let state = self.epoch(epoch);
        let Ok(at) = state.handed.binary_search_by_key(&offset, |handed| handed.offset) else { return };
        state.handed[at].nacked = state.handed[at].at_work;
        state.handed[at].is_again = true;
        let key = if ordering == Ordering::Key { state.handed[at].key } else { None };
        let lane = state.lanes.entry(key).or_default();
        if ordering == Ordering::Partition {
            // The lane goes back to it, unless it goes further back already. Of its own batch it leaves the front behind.
            let is_at_work = |offset: i64| {
                let at = state.handed.binary_search_by_key(&offset, |handed| handed.offset);
                at.is_ok_and(|at| state.handed[at].at_work)
            };
            let is_of_its_batch = |front: i64| is_at_work(front) && is_at_work(offset);
            let front = lane.waiting.front().copied().filter(|front| !is_of_its_batch(*front));
            let from = front.map_or(offset, |front| offset.min(front));
            let again = state.handed.iter().map(|handed| handed.offset);
            lane.waiting = again.filter(|offset| *offset >= from).collect();
        } else if !lane.waiting.contains(&offset) {
            lane.again.push(offset);
        }
    }

    fn settled(&mut self, now: Duration, epoch: Epoch, offset: i64) {
        let state = self.epoch(epoch);
        let partition = state.partition;
        if let Ok(at) = state.handed.binary_search_by_key(&offset, |handed| handed.offset) {
            state.handed[at].settled = true;
            state.handed[at].settled_at.get_or_insert(now);
        }
        self.of_partition(partition).insert(offset, Owed::Not);
    }

    /// The lowest offset that is not settled, or will be the next one handed out.
    fn frontier(&mut self, epoch: Epoch) -> Option<i64> {
        let state = self.epoch(epoch);
        while state.handed.get(state.first_open).is_some_and(|handed| handed.settled) {
            state.first_open += 1;
        }
        let open = state.handed.get(state.first_open).map(|handed| handed.offset);
        open.or_else(|| state.handed.last().map(|handed| handed.offset + 1)).or(state.start)
    }

    /// A commit of the assignment is sent, or stored to be sent.
    pub(super) fn commits(&mut self, epoch: Epoch, offset: i64, metadata: Option<&str>) {
        let frontier = self.frontier(epoch);
        let partition = self.epoch(epoch).partition;
        if frontier.is_none_or(|frontier| offset > frontier) {
            self.fail(|| format!("I2: {partition}@{offset} is committed for assignment {epoch}, whose first open offset is {frontier:?}"));
        }
        let Some(map) = metadata.and_then(|text| OffsetMap::decode(offset, text).ok().flatten()) else {
            return;
        };
        let state = self.epoch(epoch);
        let wrong = state.handed.iter().find(|handed| !handed.settled && map.contains(handed.offset));
        let beyond = state.handed.last().map_or(offset, |handed| handed.offset + 1);
        let end = map.done().last().map_or(0, |run| run.end);
        if let Some(wrong) = wrong.map(|handed| handed.offset).or((end > beyond).then_some(end)) {
            self.fail(|| {
                format!("I2: the metadata of assignment {epoch} tells that {partition}@{wrong} is done")
            });
        }
    }

    /// An assignment is over.
    pub(super) fn end(&mut self, now: Duration, epoch: Epoch, end: End, committed: Option<&Committed>) {
        let state = self.epoch(epoch);
        let (consumer, partition, assignment) = (state.consumer, state.partition, epoch);
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        state.is_crashed |= matches!(end, End::Crashed { .. });
        match end {
            End::GivenUp { .. } => self.note(now, Note::Revoked { consumer, assignment, partition }),
            End::Lost => self.note(now, Note::Lost { consumer, assignment, partition }),
            End::Crashed { .. } => self.note(now, Note::Crashed { consumer, assignment, partition }),
            End::Sought => 0,
        };
        if let End::GivenUp { is_excused: false, is_told, since } = end {
            self.check_given_up(epoch, committed, is_told, since);
        }
        if let (End::Crashed { is_told: true }, true) = (end, self.waits_for_commit) {
            self.check_one_each(epoch, committed);
        }
    }

    fn check_given_up(
        &mut self,
        epoch: Epoch,
        committed: Option<&Committed>,
        is_told: bool,
        since: Duration,
    ) {
        // What is acknowledged while a partition is being given up may come too late for its last commit.
        let until = if self.is_manual { since } else { Duration::MAX };
        let is_unordered = is_told && self.ordering != Ordering::Partition;
        let state = self.epoch(epoch);
        let partition = state.partition;
        let is_due = |handed: &&Handed| handed.settled_at.is_some_and(|at| at <= until);
        // In order, what is done beyond the first open record has nowhere to be told.
        let is_in_front = |handed: &&Handed| is_unordered || handed.finished_before || is_due(handed);
        let due = state.handed.iter().take_while(is_in_front).filter(is_due).map(|handed| handed.offset);
        let untold =
            due.into_iter().find(|offset| !committed.is_some_and(|committed| tells(committed, *offset)));
        if let Some(untold) = untold {
            let committed = committed.cloned();
            self.fail(|| {
                format!("I7: assignment {epoch} is given up, {partition}@{untold} is done, and committed is {committed:?}")
            });
        }
    }

    /// With a commit for each record, no more than one a lane is done and not committed.
    fn check_one_each(&mut self, epoch: Epoch, committed: Option<&Committed>) {
        let ordering = self.ordering;
        let state = self.epoch(epoch);
        let partition = state.partition;
        // Those of one batch have their start in common.
        let mut lanes = BTreeMap::new();
        let mut twice = None;
        for handed in state.handed.iter().filter(|handed| handed.settled && !handed.finished_before) {
            let is_told = committed.is_some_and(|committed| tells(committed, handed.offset));
            let lane = if ordering == Ordering::Key { handed.key } else { None };
            if is_told || ordering == Ordering::None {
                continue;
            }
            if *lanes.entry(lane).or_insert(handed.started_ns) != handed.started_ns {
                twice = Some(handed.offset);
            }
        }
        if let Some(offset) = twice {
            let committed = committed.cloned();
            self.fail(|| format!("I3: {partition}@{offset} of assignment {epoch} went before the commit of the record in front of it: {committed:?}"));
        }
    }

    /// Whether every record is settled, or nobody owes it; else the first that is not.
    pub(super) fn first_owed(&self) -> Option<(i32, i64)> {
        (0..).zip(&self.records).find_map(|(partition, records)| {
            records.iter().find(|(_, owed)| **owed != Owed::Not).map(|(offset, _)| (partition, *offset))
        })
    }
}

/// Whether a commit tells that a record is done.
fn tells(committed: &Committed, offset: i64) -> bool {
    if offset < committed.offset {
        return true;
    }
    let map = committed.metadata.as_deref().and_then(|text| OffsetMap::decode(committed.offset, text).ok());
    map.flatten().is_some_and(|map| map.contains(offset))
}

pub(super) fn place(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or_default()
}
