//! What user code says of records through their `Ack`s, other than that they are done.
//!
//! The lane asks whenever it turns to its next record, and is woken where it waits. What is said after the lane has ended
//! concerns nobody: whoever has the partition now delivers the record again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// What was said of the records from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// They are not done: deliver them again, not before `due`.
    NotDone { first: i64, due: Instant },
    /// Their `Ack` was dropped: nothing will ever say that those up to `last` are done.
    Dropped { first: i64, last: i64 },
}

impl Answer {
    pub(crate) fn first(&self) -> i64 {
        match self {
            Self::NotDone { first, .. } | Self::Dropped { first, .. } => *first,
        }
    }
}

/// A lane's box of answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    given: Mutex<Vec<Answer>>,
    /// Whether the box holds any: asked for every record.
    is_any: AtomicBool,
}

impl Answers {
    pub(crate) fn give(&self, answer: Answer) {
        let mut given = self.lock();
        given.push(answer);
        self.is_any.store(true, Ordering::Release);
    }

    /// Whether something was said that was not taken yet.
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self) -> Vec<Answer> {
        if !self.is_any() {
            return Vec::new();
        }
        let mut given = self.lock();
        self.is_any.store(false, Ordering::Release);
        std::mem::take(&mut *given)
    }

    /// An attempt at these records failed, so its `Ack`s were dropped for a reason: forgets that. Whether one had said
    /// that they are not done.
    pub(crate) fn failed(&self, first: i64, last: i64) -> bool {
        if !self.is_any() {
            return false;
        }
        let mut given = self.lock();
        let is_of_these = |answer: &Answer| (first..=last).contains(&answer.first());
        given.retain(|answer| !(is_of_these(answer) && matches!(answer, Answer::Dropped { .. })));
        given.iter().any(is_of_these)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
