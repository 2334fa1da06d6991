//! The memory that all logs together may take.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count of bytes with a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    limit: u64,
}

/// How much there is in all, and how much of it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    /// Takes room for so many bytes, or none.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        taken.is_ok()
    }

    /// Takes room for what has to be stored whatever the limit says, because it ends something.
    pub(crate) fn reserve_beyond_limit(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.limit
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn room(&self) -> Room {
        let free_bytes = self.limit.saturating_sub(self.used.load(Ordering::Relaxed));
        Room { total_bytes: self.limit, free_bytes }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_may_be_taken_again_and_no_more() {
        let budget = Budget::new(10);
        assert!(budget.reserve(7));
        assert!(!budget.reserve(4));
        assert!(budget.reserve(3));
        assert!(!budget.reserve(u64::MAX));
        budget.release(7);
        assert!(budget.reserve(7));
    }

    #[test]
    fn what_has_to_be_stored_is_stored_and_counted() {
        let budget = Budget::new(10);
        assert!(budget.reserve(9) && !budget.is_full());
        budget.reserve_beyond_limit(5);
        assert!(budget.is_full());
        budget.release(5);
        assert!(!budget.is_full());
    }
}
