//! How lanes and acknowledgements report to the poll thread: one box, emptied in one go.
//!
//! # Invariants
//! 1. What is in the box is bounded by what is in flight: a report is about delivered records, and runs are merged.
//! 2. A report that somebody waits for wakes the poll thread; others are found at its next turn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kafka_boot_client::Waker;

use super::tracker::Slot;
use crate::error::HandlerError;

/// The box. Shared by one consumer's poll thread, its lanes and their acknowledgements.
pub(crate) struct Settlements {
    reports: Mutex<Reports>,
    arrived: Condvar,
    poll_waits: AtomicBool,
    /// Wakes the poll thread out of its wait for records; set when the thread has made its consumer.
    waker: OnceLock<Waker>,
}

/// What was reported since the box was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Runs of settled offsets.
    pub(crate) settled: Vec<Settled>,
    /// Lanes that finished this many polled batches; none if a lane only tells that it has nothing left to do.
    pub(crate) boundaries: Vec<(Slot, u32)>,
    /// Lanes that ended.
    pub(crate) ended: Vec<LaneEnd>,
}

/// The delivered offsets from `first` to `last` are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) slot: Slot,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Whether user code said so through an `Ack`.
    pub(crate) acknowledged: bool,
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

impl Settlements {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            reports: Mutex::default(),
            arrived: Condvar::new(),
            poll_waits: AtomicBool::new(false),
            waker: OnceLock::new(),
        })
    }

    /// Sets how the poll thread is woken.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let first = self.waker.set(waker).is_ok();
        debug_assert!(first, "settlements: one consumer, one waker");
    }

    /// A lane's records from `first` to `last` are done.
    pub(crate) fn settle(&self, slot: Slot, first: i64, last: i64, urgent: bool) {
        self.report(urgent, |reports| {
            push_run(&mut reports.settled, Settled { slot, first, last, acknowledged: false });
        });
    }

    /// User code acknowledged the records from `first` to `last`.
    pub(crate) fn acknowledge(&self, slot: u32, first: i64, last: i64) {
        self.report(true, |reports| {
            push_run(&mut reports.settled, Settled { slot: Slot(slot), first, last, acknowledged: true });
        });
    }

    /// A lane has handled this many polled batches since it last said so.
    pub(crate) fn boundary(&self, slot: Slot, batches: u32, urgent: bool) {
        self.report(urgent, |reports| match reports.boundaries.last_mut() {
            Some((last, count)) if *last == slot => *count += batches,
            _ => reports.boundaries.push((slot, batches)),
        });
    }

    /// A lane ended.
    pub(crate) fn ended(&self, end: LaneEnd) {
        self.report(true, |reports| reports.ended.push(end));
    }

    /// Empties the box into `reports`, whose own contents were consumed before.
    pub(crate) fn take(&self, reports: &mut Reports) {
        reports.settled.clear();
        reports.boundaries.clear();
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
        let is_empty = |reports: &mut Reports| {
            reports.settled.is_empty() && reports.boundaries.is_empty() && reports.ended.is_empty()
        };
        drop(self.arrived.wait_timeout_while(reports, timeout, is_empty));
    }

    /// Tells whether the poll thread is about to wait for records, so that urgent reports wake it.
    pub(crate) fn set_poll_waits(&self, waits: bool) {
        self.poll_waits.store(waits, Ordering::SeqCst);
    }

    /// Whether nothing was reported since the box was last emptied.
    pub(crate) fn is_empty(&self) -> bool {
        let reports = self.lock();
        reports.settled.is_empty() && reports.boundaries.is_empty() && reports.ended.is_empty()
    }

    /// Wakes the poll thread, whatever it waits for.
    pub(crate) fn wake(&self) {
        self.wake_poll();
        self.arrived.notify_all();
    }

    fn report(&self, urgent: bool, add: impl FnOnce(&mut Reports)) {
        add(&mut self.lock());
        self.arrived.notify_one();
        if urgent && self.poll_waits.load(Ordering::SeqCst) {
            self.wake_poll();
        }
    }

    fn wake_poll(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
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

/// Adds a run, merged with the last one where it continues it. A lane's records follow each other in delivery order,
/// so a run from the same lane always continues the last, whatever gaps the offsets have.
fn push_run(runs: &mut Vec<Settled>, run: Settled) {
    match runs.last_mut() {
        Some(last)
            if !run.acknowledged && !last.acknowledged && last.slot == run.slot && run.first > last.last =>
        {
            last.last = run.last;
        }
        _ => runs.push(run),
    }
}
