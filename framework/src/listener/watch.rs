//! Notices records that hold up their partition.
//!
//! Sans-IO. The first record of a partition that is not settled is the one that keeps its offset from being committed: in
//! order, because all others wait behind it; without order, because nothing in front of it is left to wait for.
//!
//! # Invariants
//! 1. A record is told to be stuck once, and once more when it moves on.
//! 2. Its age counts from when it became the first, so that what waited behind others is not blamed for them.

use std::collections::HashMap;
use std::time::Duration;

use super::tracker::{Slot, Tracker};

/// The first open record of each partition, and since when it is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    fronts: HashMap<Slot, Front>,
}

#[derive(Debug, Clone, Copy)]
struct Front {
    offset: i64,
    since: Duration,
    told: bool,
}

/// What a look found of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// For how long the partition's first open record has been the first; zero if none is open.
    pub(crate) age: Duration,
    pub(crate) found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// The record at this offset has just become too old.
    Stuck(i64),
    /// It still is.
    StillStuck(i64),
    /// The record at this offset had been stuck, and is settled.
    MovedOn(i64),
}

impl Watch {
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.fronts.remove(&slot);
    }

    /// Looks at one partition; a record is stuck after `limit`, never if that is zero.
    pub(crate) fn look(&mut self, slot: Slot, tracker: &Tracker, now: Duration, limit: Duration) -> Look {
        let first = tracker.lowest_unsettled(slot);
        let known = self.fronts.get(&slot).copied();
        if let Some(known) = known.filter(|known| Some(known.offset) == first) {
            let age = now.saturating_sub(known.since);
            let is_stuck = !limit.is_zero() && age >= limit;
            self.fronts.insert(slot, Front { told: known.told || is_stuck, ..known });
            let found = match (is_stuck, known.told) {
                (false, _) => Found::Nothing,
                (true, false) => Found::Stuck(known.offset),
                (true, true) => Found::StillStuck(known.offset),
            };
            return Look { age, found };
        }
        match first {
            Some(offset) => self.fronts.insert(slot, Front { offset, since: now, told: false }),
            None => self.fronts.remove(&slot),
        };
        let moved_on = known.filter(|known| known.told);
        Look {
            age: Duration::ZERO,
            found: moved_on.map_or(Found::Nothing, |known| Found::MovedOn(known.offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot(1);
    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_record_is_told_once_it_is_too_old_and_again_when_it_moves_on() {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        let mut watch = Watch::default();
        let mut look = |tracker: &Tracker, seconds: u64| {
            let Look { age, found } = watch.look(SLOT, tracker, Duration::from_secs(seconds), LIMIT);
            (age.as_secs(), found)
        };
        assert_eq!(look(&tracker, 0), (0, Found::Nothing));
        tracker.deliver(SLOT, (5..9).map(|offset| (offset, 1)));
        assert_eq!(look(&tracker, 1), (0, Found::Nothing));
        assert_eq!(look(&tracker, 10), (9, Found::Nothing));
        tracker.settle(SLOT, 6, 7);
        assert_eq!(look(&tracker, 11), (10, Found::Stuck(5)));
        assert_eq!(look(&tracker, 12), (11, Found::StillStuck(5)));
        tracker.settle(SLOT, 5, 5);
        assert_eq!(look(&tracker, 13), (0, Found::MovedOn(5)));
        assert_eq!(look(&tracker, 14), (1, Found::Nothing), "the next one is young");
        tracker.settle(SLOT, 8, 8);
        assert_eq!(look(&tracker, 99), (0, Found::Nothing));
    }

    #[test]
    fn without_a_limit_nothing_is_stuck() {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        tracker.deliver(SLOT, [(5, 1)]);
        let mut watch = Watch::default();
        watch.look(SLOT, &tracker, Duration::ZERO, Duration::ZERO);
        let look = watch.look(SLOT, &tracker, Duration::from_hours(5), Duration::ZERO);
        assert_eq!(look, Look { age: Duration::from_hours(5), found: Found::Nothing });
    }
}
