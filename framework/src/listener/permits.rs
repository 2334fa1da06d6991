//! How many handlers of a consumer are at work at once, where records need not wait for one another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, TryAcquireError};

/// How many handlers of a consumer are at work at once.
#[derive(Debug)]
pub(crate) struct Permits {
    semaphore: Semaphore,
    max: Mutex<usize>,
    /// How many are to be kept back when they are given back.
    owed: AtomicUsize,
    /// How many lanes wait for one.
    waiting: AtomicUsize,
}

impl Permits {
    pub(crate) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            semaphore: Semaphore::new(max),
            max: Mutex::new(max),
            owed: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Changes how many there are. Where there are fewer then, those that are taken are kept back as they are given back.
    pub(crate) fn resize(&self, max: usize) {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let mut current = self.max.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, max);
        if max >= before {
            self.give_back(max - before);
        } else {
            let too_many = before - max;
            let kept_back = self.semaphore.forget_permits(too_many);
            self.owed.fetch_add(too_many - kept_back, Ordering::AcqRel);
        }
    }

    pub(super) fn try_take(&self) -> bool {
        match self.semaphore.try_acquire() {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => false,
        }
    }

    pub(super) async fn take(&self) {
        let waiting = Waiting::new(&self.waiting);
        // The semaphore is never closed.
        if let Ok(permit) = self.semaphore.acquire().await {
            permit.forget();
        }
        drop(waiting);
    }

    pub(super) fn give_back(&self, count: usize) {
        if count == 0 {
            return;
        }
        let mut left = count;
        if self.owed.load(Ordering::Relaxed) > 0 {
            let pay = |owed: usize| Some(owed - owed.min(count));
            let owed = self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, pay).unwrap_or_default();
            left -= owed.min(count);
        }
        self.semaphore.add_permits(left);
    }

    /// How many nobody has taken.
    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.semaphore.available_permits()
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts a lane that waits, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_permits_hold_when_those_that_are_taken_have_come_back() {
        let permits = Permits::new(4);
        let take = |count: usize| (0..count).filter(|_| permits.try_take()).count();
        assert_eq!(take(3), 3);
        permits.resize(2);
        assert_eq!(take(1), 0);
        permits.give_back(1);
        assert_eq!(take(1), 0, "one more than allowed is still taken");
        permits.give_back(2);
        assert_eq!(take(5), 2);
        permits.resize(5);
        assert_eq!(take(5), 3);
        permits.give_back(5);
        assert_eq!(take(9), 5);
    }
}
