//! How lanes and acknowledgements report to the poll thread: one box, emptied in one go.
//!
//! # Invariants
//! 1. What is in the box is bounded by what is in flight: a report is about delivered records, and runs are merged.
//! 2. A report that somebody waits for wakes the poll thread, unless it could do nothing about it yet; others are found at
//!    its next turn.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::tracker::Slot;
use crate::error::HandlerError;
use crate::policy::Fault;

/// The box. Shared by one consumer's poll thread, its lanes and their acknowledgements.
pub(crate) struct Settlements {
    reports: Mutex<Reports>,
    arrived: Condvar,
    poll_waits: AtomicU8,
    /// Wakes the poll thread out of its wait for records; set when the thread has made its consumer.
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What the poll thread wants to be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollWaits {
    /// It does not wait: it looks into the box by itself.
    No,
    /// Records that were settled can be acted on at once, as everything else.
    ForAll,
    /// What is settled has to wait for something else that will wake the thread: the answer of the commit under way.
    ForAllButSettled,
}

impl PollWaits {
    const fn code(self) -> u8 {
        match self {
            Self::No => 0,
            Self::ForAll => 1,
            Self::ForAllButSettled => 2,
        }
    }
}

/// How much somebody waits for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    None,
    /// It is about settled records, and somebody waits for them to be committed.
    Settled,
    /// It changes what the poll thread does next.
    High,
}

impl Urgency {
    const fn of_settled(urgent: bool) -> Self {
        if urgent { Self::Settled } else { Self::None }
    }
}

/// What was reported since the box was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Runs of settled offsets.
    pub(crate) settled: Vec<Settled>,
    /// Lanes that finished this many polled batches; none if a lane only tells that it has nothing left to do.
    pub(crate) boundaries: Vec<(Slot, u32)>,
    /// Records that lanes gave up on, told before the lanes have ended: others are still in work there.
    pub(crate) failed: Vec<(Slot, LaneFailure)>,
    /// Lanes that ended.
    pub(crate) ended: Vec<LaneEnd>,
}

/// The delivered offsets from `first` to `last` are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) slot: Slot,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Who said so.
    pub(crate) by: SettledBy,
}

/// Who settled records, which says what may lie between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettledBy {
    /// A lane that settles in the order of delivery: nothing that is not settled lies between two of its reports.
    OrderedLane,
    /// A lane that settles in any order.
    UnorderedLane,
    /// User code, through an `Ack`.
    Ack,
}

/// Why a lane ended.
#[derive(Debug)]
pub(crate) struct LaneEnd {
    pub(crate) slot: Slot,
    /// The record at fault, if the error pipeline said to stop.
    pub(crate) failure: Option<LaneFailure>,
}

/// A record that the error pipeline gave up on.
#[derive(Debug)]
pub(crate) struct LaneFailure {
    pub(crate) offset: i64,
    pub(crate) attempts: u32,
    pub(crate) error: HandlerError,
}

impl LaneFailure {
    /// So many handlers have not returned that the listener cannot go on.
    pub(crate) fn left_behind(offset: i64, attempts: u32, count: usize, fault: Fault) -> Self {
        let error = fault.into_error();
        let error = HandlerError::msg(format!("{count} handlers have not returned; the last one: {error}"));
        Self { offset, attempts, error }
    }
}

impl Settlements {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            reports: Mutex::default(),
            arrived: Condvar::new(),
            poll_waits: AtomicU8::new(PollWaits::No.code()),
            waker: OnceLock::new(),
        })
    }

    /// Sets how the poll thread is woken.
    pub(crate) fn set_waker(&self, wake: impl Fn() + Send + Sync + 'static) {
        let first = self.waker.set(Box::new(wake)).is_ok();
        debug_assert!(first, "settlements: one consumer, one waker");
    }

    /// A lane's records from `first` to `last` are done.
    pub(crate) fn settle(&self, slot: Slot, first: i64, last: i64, urgent: bool) {
        self.report(Urgency::of_settled(urgent), |reports| {
            push_run(&mut reports.settled, Settled { slot, first, last, by: SettledBy::OrderedLane });
        });
    }

    /// These records of a lane that settles in any order are done; its batches that ended thereby, too. Empties `offsets`.
    pub(crate) fn settle_each(&self, slot: Slot, offsets: &mut Vec<i64>, batches: u32, urgent: bool) {
        offsets.sort_unstable();
        self.report(Urgency::of_settled(urgent), |reports| {
            for offset in offsets.drain(..) {
                let run = Settled { slot, first: offset, last: offset, by: SettledBy::UnorderedLane };
                push_run(&mut reports.settled, run);
            }
            if batches > 0 {
                push_boundary(&mut reports.boundaries, slot, batches);
            }
        });
    }

    /// A lane gave up on a record, and ends when what else is in work there has ended.
    pub(crate) fn failed(&self, slot: Slot, failure: LaneFailure) {
        self.report(Urgency::High, |reports| reports.failed.push((slot, failure)));
    }

    /// User code acknowledged the records from `first` to `last`.
    pub(crate) fn acknowledge(&self, slot: u32, first: i64, last: i64) {
        self.report(Urgency::Settled, |reports| {
            push_run(&mut reports.settled, Settled { slot: Slot(slot), first, last, by: SettledBy::Ack });
        });
    }

    /// A lane has handled this many polled batches since it last said so.
    pub(crate) fn boundary(&self, slot: Slot, batches: u32, urgent: bool) {
        self.report(Urgency::of_settled(urgent), |reports| {
            push_boundary(&mut reports.boundaries, slot, batches);
        });
    }

    /// A lane ended.
    pub(crate) fn ended(&self, end: LaneEnd) {
        self.report(Urgency::High, |reports| reports.ended.push(end));
    }

    /// Empties the box into `reports`, whose own contents were consumed before.
    pub(crate) fn take(&self, reports: &mut Reports) {
        reports.settled.clear();
        reports.boundaries.clear();
        reports.failed.clear();
        reports.ended.clear();
        std::mem::swap(&mut *self.lock(), reports);
    }

    /// Takes only the settled offsets; the rest stays in the box.
    pub(crate) fn take_settled(&self) -> Vec<Settled> {
        std::mem::take(&mut self.lock().settled)
    }

    /// Waits until something is reported, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let reports = self.lock();
        drop(self.arrived.wait_timeout_while(reports, timeout, |reports| reports.is_empty()));
    }

    /// Tells whether the poll thread is about to wait for records, and what is to wake it.
    pub(crate) fn set_poll_waits(&self, waits: PollWaits) {
        self.poll_waits.store(waits.code(), Ordering::SeqCst);
    }

    /// Whether nothing was reported since the box was last emptied.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Wakes the poll thread, whatever it waits for.
    pub(crate) fn wake(&self) {
        self.wake_poll();
        self.arrived.notify_all();
    }

    fn report(&self, urgency: Urgency, add: impl FnOnce(&mut Reports)) {
        add(&mut self.lock());
        self.arrived.notify_one();
        let least = match urgency {
            Urgency::None => return,
            Urgency::Settled => [PollWaits::ForAll.code(); 2],
            Urgency::High => [PollWaits::ForAll.code(), PollWaits::ForAllButSettled.code()],
        };
        if least.contains(&self.poll_waits.load(Ordering::SeqCst)) {
            self.wake_poll();
        }
    }

    fn wake_poll(&self) {
        if let Some(wake) = self.waker.get() {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Settlements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settlements").field("reports", &self.lock()).finish_non_exhaustive()
    }
}

impl Reports {
    fn is_empty(&self) -> bool {
        self.settled.is_empty()
            && self.boundaries.is_empty()
            && self.failed.is_empty()
            && self.ended.is_empty()
    }
}

/// Adds a run, merged with the last one where it continues it. The records of a lane in order follow each other in
/// delivery order, so its next run always continues its last, whatever gaps the offsets have.
fn push_run(runs: &mut Vec<Settled>, run: Settled) {
    match runs.last_mut() {
        Some(last) if last.slot == run.slot && last.by == run.by && continues(last, &run) => {
            last.last = run.last;
        }
        _ => runs.push(run),
    }
}

fn continues(last: &Settled, run: &Settled) -> bool {
    match run.by {
        SettledBy::OrderedLane => run.first > last.last,
        SettledBy::UnorderedLane => run.first == last.last + 1,
        SettledBy::Ack => false,
    }
}

fn push_boundary(boundaries: &mut Vec<(Slot, u32)>, slot: Slot, batches: u32) {
    match boundaries.last_mut() {
        Some((last, count)) if *last == slot => *count += batches,
        _ => boundaries.push((slot, batches)),
    }
}
