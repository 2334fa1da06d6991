//! What a poll thread tells a lane, and what `Ack`s tell it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

use super::answers::{Answer, Answers};
use super::settlements::Settlements;
use super::tracker::Slot;

/// The poll thread's side of a lane: tells it to stop, and when its offset is committed.
#[derive(Debug, Default)]
pub(crate) struct LaneControl {
    stopping: AtomicBool,
    /// What is confirmed: the next offset to read, or, where records are settled in any order, how many of them are.
    committed: AtomicI64,
    /// The lowest offset that is not settled; with manual acknowledgement.
    settled_to: AtomicI64,
    /// What `Ack`s say.
    answers: Answers,
    /// Whether the lane waits for its next record's time, and has no use for more.
    is_holding: AtomicBool,
    changed: Notify,
}

impl LaneControl {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn confirmed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// User code says something of records, through an `Ack`.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.give(answer);
        self.changed.notify_one();
    }

    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The lane has no use for more records for a while, or has again.
    pub(super) fn hold(&self, holds: bool, settlements: &Settlements, slot: Slot) {
        if self.is_holding.load(Ordering::Relaxed) != holds {
            self.is_holding.store(holds, Ordering::Release);
            // Told at once, so that the poll thread pauses or resumes the partition.
            settlements.boundary(slot, 0, true);
        }
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::Acquire)
    }

    pub(crate) fn settled_to(&self, offset: i64) {
        self.settled_to.store(offset, Ordering::Release);
    }

    pub(super) fn lowest_open(&self) -> i64 {
        self.settled_to.load(Ordering::Acquire)
    }

    /// Waits until the poll thread, or an `Ack`, has told something.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    pub(crate) fn committed(&self, reached: i64) {
        self.committed.fetch_max(reached, Ordering::AcqRel);
        self.changed.notify_one();
    }
}
