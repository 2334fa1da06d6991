//! The lane of a partition whose records need not wait for one another: `ordering: key` and `none`.
//!
//! One task a partition polls the handlers of all its records at work; no task, and no allocation, a record or a key.
//! Plain `fn` handlers run on threads, and the lane waits for those.
//!
//! # Invariants
//! 1. Two records of one key are never at work at the same time, and they start in the order of their offsets; so do the
//!    records without a key, unless the listener wants no order at all.
//! 2. No more handlers are at work than there are permits, which all lanes of a consumer share. A record that waits for
//!    its next attempt, or for its commit, holds its key and no permit.
//! 3. A lane that is told to stop, or gives up on a record, starts nothing more, and ends when what is at work has ended.
//! 4. A record that its `Ack` says is not done is delivered again, not before its time; its key waits, with what of it is not
//!    started.
//! 5. What has ended is reported; what has not is never settled, and neither is what waits behind it.

mod leaving;

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::answers::Answer;
use super::gate::{Pass, Ticket, Until};
use super::hand_overs::HandOvers;
use super::handlers::Handler;
use super::kept::Kept;
use super::key_queues::{Entry, KeyQueues};
use super::lane_control::LaneControl;
use super::lanes::{EndReport, HOLD_MIN, LaneShared, concluded, panicked};
use super::running::{Panic, Running, Started};
use super::settlements::LaneFailure;
use super::time_limits::{AttemptId, TimeLimits};
use super::tracker::Slot;
use crate::config::model::{AckMode, Ordering as RecordOrder};
use crate::error::{ExtractError, HandlerError};
use crate::handler::{AckTarget, Completion, HandlerResult};
use crate::policy::Fault;
use crate::record::{Chunk, Places, RecordView, Stored};

/// How many handlers a lane polls, and how many it starts, before it lets other tasks run. Below Tokio's budget of a
/// task, so that its timers and channels are not told to wait for the next turn.
const TURN_MAX: usize = 64;
/// How many settled records are worth waking the poll thread for: there is room for others.
const ANNOUNCE_MIN: usize = 256;
/// How often what is done counts as a batch while other records wait for their keys.
const BOUNDARY_INTERVAL: Duration = Duration::from_millis(100);
/// The hash under which records without a key follow one another.
const NO_KEY: u64 = 0;

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
struct Item {
    chunk: usize,
    index: usize,
}

/// A chunk of which some records are not done.
#[derive(Debug)]
struct OpenChunk {
    chunk: Arc<Chunk>,
    left: usize,
    /// Whether it was done before, and one of its records is delivered again.
    is_again: bool,
}

/// The future of an attempt that has begun and not ended.
#[derive(Debug)]
struct AtWork {
    attempt: AttemptId,
    place: usize,
}

/// What a lane with manual acknowledgement knows beside that.
#[derive(Debug, Default)]
struct Manual {
    kept: Kept,
    /// The records whose handler is at work, or will be, once more or for the first time.
    in_hand: HashSet<i64>,
    /// Those of them that are to be delivered again when it has returned, and when.
    nacked: HashMap<i64, Instant>,
}

/// What a lane knows of an entry beside its place.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    number: u32,
    started: Instant,
    /// When it may start at the earliest.
    due: Option<Instant>,
}

/// What lanes know that limit their handlers in time, or call them through a gate.
#[derive(Debug, Default)]
struct Guarded {
    /// Attempts at work, by entry.
    at_work: HashMap<Entry, AtWork>,
    limits: TimeLimits,
    /// The permissions that attempts at work have.
    tickets: HashMap<Entry, Ticket>,
    /// A permission for the next one.
    ticket: Option<Ticket>,
    /// What is waited for before the next one may start.
    until: Option<Until>,
}

/// One such lane, as its handler sees it.
#[doc(hidden)]
pub struct KeyLane {
    shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
    pass: Pass,
    guarded: Guarded,
    slot: Slot,
    partition: String,
    chunks: mpsc::Receiver<Arc<Chunk>>,
    hasher: RandomState,
    queues: KeyQueues<Item>,
    open: Vec<Option<OpenChunk>>,
    manual: Option<Manual>,
    free: Vec<usize>,
    attempts: Vec<Attempt>,
    /// Permits taken: of handlers at work, and those not used yet.
    at_work: usize,
    idle_permits: usize,
    /// Waited for, and to be used: handed on to the next lane that waits, one permit would go round for ever.
    granted_permits: usize,
    /// Records that wait for their next attempt.
    retries: BinaryHeap<Reverse<(Instant, Entry)>>,
    /// Records on their way to another topic; there with the first of them.
    hand_overs: Option<Box<HandOvers>>,
    /// Records that wait for their commit, by how many were settled with them.
    uncommitted: VecDeque<(i64, Entry)>,
    settled_count: i64,
    /// Settled and not yet reported.
    unreported: Vec<i64>,
    handled: u64,
    batches_done: u32,
    /// Something was reported since the poll thread was last told that nothing is left to start.
    owes_boundary: bool,
    boundary_at: Instant,
    /// How many were reported since the poll thread was last woken.
    unannounced: usize,
    /// No more chunks will come.
    is_closed: bool,
    /// A record was given up on.
    is_failing: bool,
    now: Instant,
    _end: EndReport,
}

impl std::fmt::Debug for KeyLane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyLane")
            .field("slot", &self.slot)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl Drop for KeyLane {
    fn drop(&mut self) {
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::KeepsPermitsOnRevoke) {
            self.at_work = 0;
        }
        self.shared.permits.give_back(self.at_work + self.idle_permits + self.granted_permits);
        self.shared.retrying.fetch_sub(self.retries.len(), Ordering::Relaxed);
    }
}

impl KeyLane {
    pub(crate) fn new(
        shared: Arc<LaneShared>,
        control: Arc<LaneControl>,
        slot: Slot,
        partition: String,
        chunks: mpsc::Receiver<Arc<Chunk>>,
    ) -> Self {
        let end = EndReport::new(Arc::clone(&shared.settlements), slot);
        Self {
            manual: shared.ack.is_manual().then(Manual::default),
            pass: Pass::new(&shared.gate),
            guarded: Guarded::default(),
            shared,
            control,
            slot,
            partition,
            chunks,
            hasher: RandomState::new(),
            queues: KeyQueues::default(),
            open: Vec::new(),
            free: Vec::new(),
            attempts: Vec::new(),
            at_work: 0,
            idle_permits: 0,
            granted_permits: 0,
            retries: BinaryHeap::new(),
            hand_overs: None,
            uncommitted: VecDeque::new(),
            settled_count: 0,
            unreported: Vec::new(),
            handled: 0,
            batches_done: 0,
            owes_boundary: false,
            boundary_at: Instant::now(),
            unannounced: 0,
            is_closed: false,
            is_failing: false,
            now: Instant::now(),
            _end: end,
        }
    }

    /// Runs the handler until the lane ends, and reports the end.
    pub(crate) async fn run(mut self, handler: Arc<dyn Handler>) {
        let outcome = AssertUnwindSafe(handler.run_by_key(&mut self)).catch_unwind().await;
        self.report(true);
        if let Err(payload) = outcome {
            let error = HandlerError::from_panic(payload.as_ref());
            error!(listener = %self.shared.listener, partition = %self.partition, %error, "a lane broke");
            self.fail(LaneFailure { offset: -1, attempts: 0, error });
        }
    }

    pub(super) fn is_blocking(&self) -> bool {
        self.shared.blocking
    }

    /// Runs every record through the handler that `make` calls, until the lane ends.
    pub(super) async fn drive<F>(&mut self, make: impl Fn(&RecordView<'_>, &LaneShared) -> Result<F, Fault>)
    where
        F: Future<Output = HandlerResult> + Send,
    {
        let mut running = Running::new();
        loop {
            self.now = Instant::now();
            self.take_in();
            self.end_overdue(&mut running);
            let polled = running.poll_woken(TURN_MAX, |entry, outcome| self.ended(entry, outcome));
            self.take_answers();
            let started = self.start_ready(&mut running, &make);
            let is_busy =
                polled == TURN_MAX || started == TURN_MAX || running.is_any_woken() || self.is_any_answered();
            self.report(!is_busy);
            if self.is_over() {
                return;
            }
            if is_busy {
                tokio::task::yield_now().await;
            } else {
                let woken = running.until_woken();
                self.wait(woken).await;
            }
        }
    }

    /// Takes new chunks, records whose time to be tried again has come, and those whose commit is confirmed.
    fn take_in(&mut self) {
        while !self.is_closed && !self.is_ending() {
            match self.chunks.try_recv() {
                Ok(chunk) => self.add(chunk),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => self.is_closed = true,
            }
        }
        self.hear();
        while let Some(Reverse((due, entry))) = self.retries.peek().copied() {
            if due > self.now {
                break;
            }
            self.retries.pop();
            self.shared.retrying.fetch_sub(1, Ordering::Relaxed);
            if self.hand_overs.as_ref().is_some_and(|hand_overs| hand_overs.has(entry)) {
                self.send(entry);
            } else {
                self.queues.again(entry);
            }
        }
        if self.uncommitted.is_empty() {
            return;
        }
        let confirmed = self.control.confirmed();
        while self.uncommitted.front().is_some_and(|(count, _)| *count <= confirmed) {
            if let Some((_, entry)) = self.uncommitted.pop_front() {
                self.queues.settle(entry);
            }
        }
    }

    fn add(&mut self, chunk: Arc<Chunk>) {
        let left = chunk.records.len();
        let place = self.open_place();
        if let Some(manual) = &mut self.manual {
            manual.kept.keep(&chunk, self.control.lowest_open());
        }
        for (index, record) in chunk.records.iter().enumerate() {
            let entry = self.queues.push(self.key_of(record), Item { chunk: place, index });
            self.set_attempt(entry, self.shared.policy.not_before(record));
        }
        self.open[place] = Some(OpenChunk { chunk, left, is_again: false });
    }

    fn open_place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        })
    }

    fn key_of(&self, record: &Stored) -> Option<u64> {
        match self.shared.ordering {
            RecordOrder::None => None,
            _ => Some(record.key().map_or(NO_KEY, |key| self.hasher.hash_one(key))),
        }
    }

    fn set_attempt(&mut self, entry: Entry, due: Option<Instant>) {
        let fresh = Attempt { number: 1, started: self.now, due };
        match self.attempts.get_mut(entry.index()) {
            Some(attempt) => *attempt = fresh,
            None => self.attempts.push(fresh),
        }
    }

    /// Takes in what `Ack`s said.
    fn hear(&mut self) {
        if !self.control.answers().is_any() {
            return;
        }
        let lowest_open = self.control.lowest_open();
        for answer in self.control.answers().take() {
            let (offset, Some(manual)) = (answer.first(), &mut self.manual) else { return };
            let (listener, partition) = (&self.shared.listener, &self.partition);
            match answer {
                _ if offset < lowest_open => {}
                Answer::Dropped { .. } => {
                    warn!(%listener, %partition, offset, "an `Ack` was dropped unused: its record stays undone until the next restart or rebalance, and nothing behind it is committed");
                }
                Answer::NotDone { due, .. } => {
                    info!(%listener, %partition, offset, "not done, says its `Ack`: to be delivered again");
                    self.shared.metrics.nacked.increment(1);
                    if manual.in_hand.contains(&offset) {
                        manual.nacked.insert(offset, due);
                    } else {
                        self.reopen(offset, due);
                    }
                }
            }
        }
    }

    /// Takes up a record again with which the lane was done.
    fn reopen(&mut self, offset: i64, due: Instant) {
        let found = self.manual.as_ref().and_then(|manual| manual.kept.find(offset));
        let Some((chunk, index)) = found.map(|(chunk, index)| (Arc::clone(chunk), index)) else { return };
        let place = self.open_place();
        let key = self.key_of(&chunk.records[index]);
        let (entry, is_first) = self.queues.push_first(key, Item { chunk: place, index });
        self.open[place] = Some(OpenChunk { chunk, left: 1, is_again: true });
        self.set_attempt(entry, Some(due));
        if let Some(manual) = &mut self.manual {
            manual.in_hand.insert(offset);
        }
        if is_first {
            self.hold(entry, due);
        }
    }

    /// Lets a started record wait, with its key.
    fn hold(&mut self, entry: Entry, due: Instant) {
        self.shared.retrying.fetch_add(1, Ordering::Relaxed);
        self.retries.push(Reverse((due, entry)));
    }

    /// Whether a record whose attempt has ended is to be delivered again because its `Ack` says so. If not, and the
    /// attempt failed, the error policy decides, and an `Ack` that the failure dropped says nothing.
    fn is_nacked(&mut self, entry: Entry, outcome: &Result<(), Fault>) -> bool {
        let (chunk, index) = self.record(entry);
        let offset = chunk.records[index].offset();
        if outcome.is_err() {
            self.control.answers().failed(offset, offset);
        }
        self.hear();
        let Some(manual) = &mut self.manual else { return false };
        let Some(due) = manual.nacked.remove(&offset) else {
            return false;
        };
        if let Err(fault) = outcome {
            self.shared.metrics.failed.increment(1);
            warn!(listener = %self.shared.listener, partition = %self.partition, offset, error = %fault, "attempt failed after its `Ack` had said that the record is not done");
        }
        self.set_attempt(entry, Some(due));
        self.hold(entry, due);
        true
    }

    /// Starts what may start, as far as there are permits; returns how many it started.
    fn start_ready<F>(
        &mut self,
        running: &mut Running<F, Entry>,
        make: &impl Fn(&RecordView<'_>, &LaneShared) -> Result<F, Fault>,
    ) -> usize
    where
        F: Future<Output = HandlerResult> + Send,
    {
        if self.idle_permits > 0 && self.shared.permits.is_wanted() {
            self.release_idle();
        }
        let mut started = 0;
        self.guarded.until = None;
        while started < TURN_MAX && self.queues.has_ready() && !self.is_ending() {
            if self.idle_permits == 0 {
                if self.granted_permits > 0 {
                    self.granted_permits -= 1;
                } else if !self.shared.permits.try_take() {
                    break;
                }
                self.idle_permits += 1;
            }
            if self.pass.is_guarded() && !self.is_admitted() {
                break;
            }
            self.idle_permits -= 1;
            self.at_work += 1;
            started += 1;
            let Some(entry) = self.queues.start() else { break };
            if let Some(due) = self.attempts[entry.index()].due.filter(|due| *due > self.now) {
                self.at_work -= 1;
                self.idle_permits += 1;
                self.hold(entry, due);
                continue;
            }
            match self.begin(entry, make) {
                Ok(future) => {
                    if let Some(ticket) = self.guarded.ticket.take() {
                        self.guarded.tickets.insert(entry, ticket);
                    }
                    match running.start(entry, future) {
                        Started::Finished(outcome) => self.ended(entry, outcome),
                        Started::At(place) => self.limit(entry, place),
                    }
                }
                Err(fault) => self.concluded(entry, Err(fault)),
            }
        }
        // With nothing to start, a permission is another lane's.
        self.guarded.ticket = None;
        // A lane that ends has no use for what it was granted.
        self.idle_permits += std::mem::take(&mut self.granted_permits);
        self.release_idle();
        started
    }

    /// Whether there is a permission for the next attempt; if not, says what is waited for.
    fn is_admitted(&mut self) -> bool {
        if self.guarded.ticket.is_none() {
            match self.pass.ask(1, self.now) {
                Ok(ticket) => self.guarded.ticket = Some(ticket),
                Err(until) => self.guarded.until = Some(until),
            }
        }
        self.guarded.ticket.is_some()
    }

    /// Limits the time of an attempt that waits.
    fn limit(&mut self, entry: Entry, place: usize) {
        if let Some(limit) = self.shared.handler_timeout {
            let Guarded { limits, at_work, .. } = &mut self.guarded;
            let others = at_work.len();
            let attempt =
                limits.begin(entry, (self.now, limit), others, |entry, id| is_at_work(at_work, entry, id));
            at_work.insert(entry, AtWork { attempt, place });
        }
    }

    /// Ends attempts whose time is up.
    fn end_overdue<F: Future<Output = HandlerResult>>(&mut self, running: &mut Running<F, Entry>) {
        let Some(limit) = self.shared.handler_timeout else { return };
        loop {
            let Guarded { limits, at_work, .. } = &mut self.guarded;
            let Some(entry) = limits.take_due(self.now, |entry, id| is_at_work(at_work, entry, id)) else {
                return;
            };
            let Some(AtWork { place, .. }) = at_work.remove(&entry) else { return };
            self.shared.metrics.timed_out.increment(1);
            running.end(place);
            self.ended(entry, Ok(Err(HandlerError::timed_out(limit))));
        }
    }

    /// Extracts the arguments and calls the handler; a panic of that is an error like any other.
    fn begin<F>(
        &mut self,
        entry: Entry,
        make: &impl Fn(&RecordView<'_>, &LaneShared) -> Result<F, Fault>,
    ) -> Result<F, Fault> {
        let attempt = &mut self.attempts[entry.index()];
        attempt.started = self.now;
        attempt.due = None;
        let number = attempt.number;
        if self.manual.is_some() {
            let (chunk, index) = self.record(entry);
            let offset = chunk.records[index].offset();
            self.manual.get_or_insert_default().in_hand.insert(offset);
        }
        let (chunk, index) = self.record(entry);
        let ack = self.shared.ack.is_manual().then(|| {
            Completion::Ack(AckTarget {
                settlements: Arc::clone(&self.shared.settlements),
                control: Arc::clone(&self.control),
                slot: self.slot.0,
                chunk: Arc::clone(chunk),
                places: Places::Range(index..index + 1),
                from: 0,
            })
        });
        let delivery = self.shared.policy.delivery(number, &chunk.records[index]);
        let view = RecordView::new(chunk, index, &delivery, ack.as_ref());
        catch_unwind(AssertUnwindSafe(|| {
            if self.shared.interception.lets_through(&view) {
                make(&view, &self.shared)
            } else {
                Err(Fault::Extract(ExtractError::filtered()))
            }
        }))
        .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    }

    fn ended(&mut self, entry: Entry, outcome: Result<HandlerResult, Panic>) {
        #[cfg(feature = "seeded-bugs")]
        let takes_permit = outcome.is_err() && crate::seeded::is(crate::seeded::Bug::PanicTakesPermit);
        let outcome = outcome.unwrap_or_else(|panic| Err(HandlerError::from_panic(panic.as_ref())));
        if self.shared.handler_timeout.is_some() {
            self.guarded.at_work.remove(&entry);
        }
        let ticket = if self.guarded.tickets.is_empty() { None } else { self.guarded.tickets.remove(&entry) };
        self.concluded(entry, concluded(&self.shared.policy, ticket, outcome));
        #[cfg(feature = "seeded-bugs")]
        if takes_permit {
            self.idle_permits -= 1;
        }
    }

    /// Decides what follows an attempt that has ended.
    fn concluded(&mut self, entry: Entry, outcome: Result<(), Fault>) {
        self.at_work -= 1;
        self.idle_permits += 1;
        let attempt = self.attempts[entry.index()];
        self.shared.metrics.seconds.record(self.now.saturating_duration_since(attempt.started).as_secs_f64());
        if self.shared.interception.is_there() {
            let (chunk, index) = self.record(entry);
            let delivery = self.shared.policy.delivery(attempt.number, &chunk.records[index]);
            self.shared.interception.ended(&RecordView::new(chunk, index, &delivery, None), &outcome);
        }
        if self.manual.is_some() && self.is_nacked(entry, &outcome) {
            return;
        }
        match outcome {
            Ok(()) => self.done(entry, self.shared.ack.is_manual()),
            Err(fault) if fault.is_filtered() => {
                self.shared.metrics.filtered.increment(1);
                self.done(entry, false);
                self.handled = self.handled.saturating_sub(1);
            }
            Err(fault) => self.failed(entry, attempt.number, fault),
        }
    }

    /// Ends the lane after what is at work. The failed record stays where it is, and its key's other records behind it.
    fn fail(&mut self, failure: LaneFailure) {
        self.is_failing = true;
        self.shared.settlements.failed(self.slot, failure);
    }

    /// The lane is done with a record. It is settled, unless that is up to user code.
    fn done(&mut self, entry: Entry, acknowledged_by_user: bool) {
        let Some(item) = self.queues.item(entry) else { return };
        let (chunk, index) = self.record(entry);
        let offset = chunk.records[index].offset();
        if self.shared.ack.is_manual() && !acknowledged_by_user {
            // Skipped: nobody else would ever say that it is done.
            self.shared.settlements.acknowledge(self.slot.0, offset, offset);
        } else if !acknowledged_by_user {
            self.unreported.push(offset);
            self.settled_count += 1;
        }
        if let Some(manual) = &mut self.manual {
            manual.in_hand.remove(&offset);
        }
        let open = &mut self.open[item.chunk];
        if let Some(chunk) = open {
            let is_first_time = !chunk.is_again;
            self.handled += u64::from(is_first_time);
            chunk.left -= 1;
            if chunk.left == 0 {
                *open = None;
                self.free.push(item.chunk);
                self.batches_done += u32::from(is_first_time);
            }
        }
        if self.shared.wait_for_commit && !acknowledged_by_user {
            self.uncommitted.push_back((self.settled_count, entry));
        } else {
            self.queues.settle(entry);
        }
    }

    fn record(&self, entry: Entry) -> (&Arc<Chunk>, usize) {
        let item = self.queues.item(entry).expect("an entry at work has its record");
        let open = self.open[item.chunk].as_ref().expect("a chunk stays open until its records are done");
        (&open.chunk, item.index)
    }

    /// Tells the poll thread what is done, and wakes it if that is worth it.
    fn report(&mut self, is_pausing: bool) {
        self.shared.metrics.handled.increment(std::mem::take(&mut self.handled));
        let is_waited_for = matches!(self.shared.ack, AckMode::Record | AckMode::ManualImmediate);
        let batches = std::mem::take(&mut self.batches_done);
        if batches > 0 || !self.unreported.is_empty() {
            self.unannounced += self.unreported.len();
            let is_urgent = is_pausing && is_waited_for || self.unannounced >= ANNOUNCE_MIN;
            if is_urgent {
                self.unannounced = 0;
            }
            self.shared.settlements.settle_each(self.slot, &mut self.unreported, batches, is_urgent);
            self.owes_boundary = true;
        }
        let is_due = self.queues.len() == self.at_work || self.now >= self.boundary_at;
        if is_pausing && is_due && self.owes_boundary && self.is_starving() {
            // With nothing left to start, what is done is a batch, whatever is still at work.
            self.shared.settlements.boundary(self.slot, 0, true);
            self.owes_boundary = false;
            self.unannounced = 0;
            self.boundary_at = self.now + BOUNDARY_INTERVAL;
        }
    }

    /// Whether nothing is left to start before something at work ends.
    fn is_starving(&self) -> bool {
        !self.queues.has_ready() && self.chunks.is_empty()
    }

    fn release_idle(&mut self) {
        self.shared.permits.give_back(std::mem::take(&mut self.idle_permits));
    }

    fn is_ending(&self) -> bool {
        self.is_failing || self.control.is_stopping()
    }

    fn is_over(&self) -> bool {
        let is_unanswered = self.hand_overs.as_ref().is_some_and(|hand_overs| hand_overs.unanswered() > 0);
        self.at_work == 0 && !is_unanswered && (self.is_ending() || self.is_closed && self.queues.len() == 0)
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, woken: impl Future<Output = ()> + Send) {
        let is_ending = self.is_ending();
        let next_retry = self.retries.peek().map(|Reverse((due, _))| *due).filter(|_| !is_ending);
        let boundary = (self.owes_boundary && self.is_starving()).then_some(self.boundary_at);
        if self.shared.policy.is_delayed() {
            let is_idle = self.at_work == 0 && self.is_starving();
            let holds = is_idle && next_retry.is_some_and(|due| due > self.now + HOLD_MIN);
            self.control.hold(holds, &self.shared.settlements, self.slot);
        }
        let Guarded { limits, at_work, until, .. } = &mut self.guarded;
        let limit = limits.next_due(|entry, id| is_at_work(at_work, entry, id));
        let until = until.filter(|_| !is_ending);
        let next_due = next_retry.into_iter().chain(boundary).chain(limit).min();
        let due = async {
            match next_due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let hand_overs = self.hand_overs.as_ref().map(|hand_overs| hand_overs.until_woken());
        let answered = async {
            match hand_overs {
                Some(woken) => woken.await,
                None => std::future::pending().await,
            }
        };
        let chunk = tokio::select! {
            biased;
            () = self.control.changed() => return,
            () = woken => return,
            () = answered => return,
            () = self.pass.until(until.unwrap_or(Until::Change)), if until.is_some() => return,
            () = self.shared.permits.take(), if self.queues.has_ready() && !is_ending && until.is_none() => {
                self.granted_permits += 1;
                return;
            }
            chunk = self.chunks.recv(), if !self.is_closed && !is_ending => chunk,
            () = due => return,
        };
        match chunk {
            Some(chunk) => self.add(chunk),
            None => self.is_closed = true,
        }
    }
}

fn is_at_work(at_work: &HashMap<Entry, AtWork>, entry: Entry, attempt: AttemptId) -> bool {
    at_work.get(&entry).is_some_and(|at| at.attempt == attempt)
}

#[cfg(test)]
#[path = "key_lane_tests.rs"]
mod tests;
