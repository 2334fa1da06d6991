//! Notices that a consumer has nothing to do.
//!
//! Sans-IO. Idle is who was given no record, and has none in hand.
//!
//! # Invariants
//! 1. Being idle is told once an interval, and its end once, and only if it was told.

use std::time::Duration;

/// What is told of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idleness {
    /// It has been idle for so long.
    Idle(Duration),
    /// It was.
    Over(Duration),
}

/// Since when a consumer has had nothing to do.
#[derive(Debug)]
pub(crate) struct Idle {
    /// How often it is told; never, if zero.
    interval: Duration,
    since: Duration,
    /// When it is told next.
    next: Duration,
    is_told: bool,
}

impl Idle {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, since: Duration::ZERO, next: interval, is_told: false }
    }

    /// How often to look at least, if at all.
    pub(crate) fn look_interval(&self) -> Option<Duration> {
        (!self.interval.is_zero()).then_some(self.interval / 4)
    }

    /// The consumer was given records, or has some in hand.
    pub(crate) fn busy(&mut self, now: Duration) -> Option<Idleness> {
        let since = std::mem::replace(&mut self.since, now);
        self.next = now + self.interval;
        std::mem::take(&mut self.is_told).then(|| Idleness::Over(now.saturating_sub(since)))
    }

    /// Time has passed, and the consumer has nothing in hand.
    pub(crate) fn look(&mut self, now: Duration) -> Option<Idleness> {
        if self.interval.is_zero() || now < self.next {
            return None;
        }
        self.next = now + self.interval;
        self.is_told = true;
        Some(Idleness::Idle(now.saturating_sub(self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn being_idle_is_told_once_an_interval_and_its_end_once() {
        let mut idle = Idle::new(at(10));
        assert_eq!(idle.look(at(9)), None);
        assert_eq!(idle.look(at(10)), Some(Idleness::Idle(at(10))));
        assert_eq!(idle.look(at(19)), None);
        assert_eq!(idle.look(at(21)), Some(Idleness::Idle(at(21))));
        assert_eq!(idle.busy(at(22)), Some(Idleness::Over(at(22))));
        assert_eq!(idle.busy(at(23)), None);
        assert_eq!(idle.look(at(32)), None);
        assert_eq!(idle.look(at(33)), Some(Idleness::Idle(at(10))));
    }

    #[test]
    fn without_an_interval_nothing_is_told() {
        let mut idle = Idle::new(Duration::ZERO);
        assert_eq!((idle.look(at(1_000)), idle.busy(at(2_000)), idle.look_interval()), (None, None, None));
    }
}
