//! Which handlers at work have used up their time, where many of a listener's handlers are at work at once.
//!
//! All attempts of a listener have the same limit, so they run out in the order in which they began.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::key_queues::Entry;

/// How many that have ended may be kept, beside as many as are at work.
const ENDED_MAX: usize = 64;

/// Attempts at work, and when their time is up.
#[derive(Debug, Default)]
pub(super) struct TimeLimits {
    began: VecDeque<Began>,
    count: u64,
}

/// An attempt that has begun.
#[derive(Debug, Clone, Copy)]
struct Began {
    due: Instant,
    entry: Entry,
    attempt: AttemptId,
}

/// Tells an attempt from every other one of its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptId(u64);

impl TimeLimits {
    /// An attempt begins, beside so many others. Those that have ended are let go.
    pub(super) fn begin(
        &mut self,
        entry: Entry,
        (now, limit): (Instant, Duration),
        others: usize,
        is_at_work: impl Fn(Entry, AttemptId) -> bool,
    ) -> AttemptId {
        // Behind one that lasts, others end and would pile up.
        if self.began.len() > ENDED_MAX + 2 * others {
            self.began.retain(|began| is_at_work(began.entry, began.attempt));
        }
        self.count += 1;
        let attempt = AttemptId(self.count);
        self.began.push_back(Began { due: now + limit, entry, attempt });
        attempt
    }

    /// When the next time is up, of an attempt that has not ended.
    pub(super) fn next_due(&mut self, is_at_work: impl Fn(Entry, AttemptId) -> bool) -> Option<Instant> {
        while let Some(began) = self.began.front() {
            if is_at_work(began.entry, began.attempt) {
                return Some(began.due);
            }
            self.began.pop_front();
        }
        None
    }

    /// The next attempt whose time is up, if it has not ended.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        is_at_work: impl Fn(Entry, AttemptId) -> bool,
    ) -> Option<Entry> {
        self.next_due(is_at_work).filter(|due| *due <= now)?;
        self.began.pop_front().map(|began| began.entry)
    }
}
