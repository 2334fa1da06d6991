//! Which offset may be committed: the one place that knows what is delivered and what is settled.
//!
//! Sans-IO: no clock, no async, no client types. A partition is known by its [`Slot`], which is new for every
//! assignment (and for every seek), so a result that belongs to an older assignment meets an unknown slot and changes
//! nothing.
//!
//! # Invariants
//! 1. `committable` never passes the lowest delivered offset that is not settled.
//! 2. Within a slot `committable` never decreases.
//! 3. Only delivered offsets are tracked, so a gap (compaction, a transaction's marker) never blocks.
//! 4. Settling an offset twice, one never delivered, or one of an unknown slot changes nothing.
//! 5. When all that was delivered is settled, `committable` is the last delivered offset + 1.

use std::collections::{HashMap, VecDeque};

/// One assignment of one partition. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// The offsets in flight of every assigned partition.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    slots: HashMap<Slot, SlotOffsets>,
}

/// What `deliver` found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The offsets are tracked.
    Tracked,
    /// The first offset is not beyond the last one delivered: the partition's position was moved back, so these
    /// offsets need a slot of their own. Nothing was tracked.
    Rewound,
    /// The slot is not assigned. Nothing was tracked.
    Unknown,
}

#[derive(Debug, Default)]
struct SlotOffsets {
    /// Delivered and not yet behind `committable`, in increasing order.
    in_flight: VecDeque<Flight>,
    /// The last offset delivered.
    delivered: Option<i64>,
    /// The next offset to read for whoever starts from what is settled.
    committable: Option<i64>,
    /// The highest offset that the broker confirmed.
    committed: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    offset: i64,
    settled: bool,
}

impl Tracker {
    /// Starts tracking a new assignment.
    pub(crate) fn assign(&mut self, slot: Slot) {
        let previous = self.slots.insert(slot, SlotOffsets::default());
        debug_assert!(previous.is_none(), "tracker: a slot is never reused");
    }

    /// Forgets an assignment; whatever is reported of it later is dropped.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Notes offsets as delivered, in increasing order.
    pub(crate) fn deliver(&mut self, slot: Slot, offsets: impl IntoIterator<Item = i64>) -> Delivery {
        let Some(partition) = self.slots.get_mut(&slot) else { return Delivery::Unknown };
        let mut offsets = offsets.into_iter().peekable();
        let Some(&first) = offsets.peek() else { return Delivery::Tracked };
        if partition.delivered.is_some_and(|delivered| first <= delivered) {
            return Delivery::Rewound;
        }
        if partition.committable.is_none() {
            partition.committable = Some(first);
            partition.committed = Some(first);
        }
        for offset in offsets {
            debug_assert!(partition.delivered.is_none_or(|last| offset > last), "tracker: offsets increase");
            partition.in_flight.push_back(Flight { offset, settled: false });
            partition.delivered = Some(offset);
        }
        Delivery::Tracked
    }

    /// Marks the delivered offsets from `first` to `last` as settled; returns how many were newly settled.
    pub(crate) fn settle(&mut self, slot: Slot, first: i64, last: i64) -> usize {
        let Some(partition) = self.slots.get_mut(&slot) else { return 0 };
        let start = partition.in_flight.partition_point(|flight| flight.offset < first);
        let mut newly_settled = 0;
        for flight in partition.in_flight.range_mut(start..) {
            if flight.offset > last {
                break;
            }
            newly_settled += usize::from(!flight.settled);
            flight.settled = true;
        }
        partition.advance();
        newly_settled
    }

    /// The offset to commit, if it is beyond what the broker confirmed.
    pub(crate) fn committable(&self, slot: Slot) -> Option<i64> {
        let partition = self.slots.get(&slot)?;
        partition.offered().filter(|offset| partition.committed.is_none_or(|committed| *offset > committed))
    }

    /// Notes that the broker confirmed `offset`.
    pub(crate) fn committed(&mut self, slot: Slot, offset: i64) {
        if let Some(partition) = self.slots.get_mut(&slot) {
            debug_assert!(
                cfg!(feature = "seeded-bugs")
                    || partition.committable.is_some_and(|committable| offset <= committable),
                "tracker: only what was committable is committed"
            );
            partition.committed = partition.committed.max(Some(offset));
        }
    }

    /// How many offsets are delivered and not behind `committable`.
    pub(crate) fn in_flight(&self, slot: Slot) -> usize {
        self.slots.get(&slot).map_or(0, |partition| partition.in_flight.len())
    }

    /// Counts everything delivered as settled, if that is the seeded bug.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn seeded_bug_at_shutdown(&mut self, slots: &[Slot]) {
        if !crate::seeded::is(crate::seeded::Bug::CommitsQueuedAtShutdown) {
            return;
        }
        for slot in slots {
            self.settle(*slot, i64::MIN, i64::MAX);
        }
    }

    /// The lowest delivered offset that is not settled.
    #[cfg(test)]
    fn lowest_unsettled(&self, slot: Slot) -> Option<i64> {
        let partition = self.slots.get(&slot)?;
        partition.in_flight.iter().find(|flight| !flight.settled).map(|flight| flight.offset)
    }
}

impl SlotOffsets {
    /// What is offered for commit: `committable`, or what a seeded bug makes of it.
    fn offered(&self) -> Option<i64> {
        #[cfg(feature = "seeded-bugs")]
        {
            use crate::seeded::{Bug, is};
            if is(Bug::CommitsDelivered) {
                return self.delivered.map(|delivered| delivered + 1);
            }
            if is(Bug::CommitsOneTooLow) {
                return self.committable.map(|offset| (offset - 1).max(0));
            }
            if is(Bug::CommitsOneTooHigh) {
                return self.committable.map(|offset| offset + 1);
            }
        }
        self.committable
    }

    fn advance(&mut self) {
        while let Some(front) = self.in_flight.front() {
            if !front.settled {
                break;
            }
            self.committable = Some(front.offset + 1);
            self.in_flight.pop_front();
        }
        // What lies between the last settled offset and the next delivered one does not exist, so only the delivered
        // offsets count; the frontier stays just behind the last settled one until the next is settled.
        debug_assert!(
            self.in_flight
                .front()
                .is_none_or(|front| self.committable.is_none_or(|next| next <= front.offset)),
            "tracker: committable never passes an unsettled offset"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const SLOT: Slot = Slot(1);

    fn delivered(offsets: &[i64]) -> Tracker {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        assert_eq!(tracker.deliver(SLOT, offsets.iter().copied()), Delivery::Tracked);
        tracker
    }

    #[test]
    fn nothing_is_committable_before_the_first_record_is_settled() {
        let tracker = delivered(&[5, 6, 7]);
        assert_eq!(tracker.committable(SLOT), None);
        assert_eq!(tracker.in_flight(SLOT), 3);
    }

    #[test]
    fn an_unsettled_record_holds_back_what_is_settled_behind_it() {
        let mut tracker = delivered(&[5, 6, 7]);
        tracker.settle(SLOT, 6, 7);
        assert_eq!(tracker.committable(SLOT), None);
        tracker.settle(SLOT, 5, 5);
        assert_eq!(tracker.committable(SLOT), Some(8));
    }

    #[test]
    fn gaps_in_the_offsets_never_block() {
        let mut tracker = delivered(&[5, 9, 40]);
        tracker.settle(SLOT, 5, 9);
        assert_eq!(tracker.committable(SLOT), Some(10));
        tracker.settle(SLOT, 40, 40);
        assert_eq!(tracker.committable(SLOT), Some(41));
    }

    #[test]
    fn a_result_of_an_older_assignment_changes_nothing() {
        let mut tracker = delivered(&[5]);
        tracker.forget(SLOT);
        let next = Slot(2);
        tracker.assign(next);
        tracker.deliver(next, [5, 6]);
        assert_eq!(tracker.settle(SLOT, 5, 6), 0);
        assert_eq!(tracker.committable(next), None);
    }

    #[test]
    fn a_position_moved_back_is_told_and_not_mixed_in() {
        let mut tracker = delivered(&[5, 6]);
        assert_eq!(tracker.deliver(SLOT, [3]), Delivery::Rewound);
        assert_eq!(tracker.deliver(Slot(9), [3]), Delivery::Unknown);
        assert_eq!(tracker.in_flight(SLOT), 2);
    }

    #[test]
    fn a_confirmed_offset_is_not_offered_again() {
        let mut tracker = delivered(&[5, 6]);
        tracker.settle(SLOT, 5, 5);
        tracker.committed(SLOT, 6);
        assert_eq!(tracker.committable(SLOT), None);
        tracker.settle(SLOT, 6, 6);
        assert_eq!(tracker.committable(SLOT), Some(7));
    }

    /// One step of a random history.
    #[derive(Debug, Clone)]
    enum Step {
        Deliver { gaps: Vec<u8> },
        Settle { from: u16, count: u8 },
        Reassign,
        SettleOld { from: u16, count: u8 },
        Confirm,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop::collection::vec(0u8..4, 1..12).prop_map(|gaps| Step::Deliver { gaps }),
            6 => (any::<u16>(), 1u8..8).prop_map(|(from, count)| Step::Settle { from, count }),
            1 => Just(Step::Reassign),
            1 => (any::<u16>(), 1u8..8).prop_map(|(from, count)| Step::SettleOld { from, count }),
            2 => Just(Step::Confirm),
        ]
    }

    /// The model: every delivered offset of the current assignment, and whether it is settled.
    #[derive(Default)]
    struct Model {
        offsets: BTreeMap<i64, bool>,
        next: i64,
        confirmed: Option<i64>,
    }

    impl Model {
        fn frontier(&self) -> Option<i64> {
            let first = *self.offsets.keys().next()?;
            let settled = self.offsets.iter().take_while(|(_, settled)| **settled).last();
            Some(settled.map_or(first, |(offset, _)| offset + 1))
        }

        fn offset_at(&self, from: u16) -> i64 {
            let span = self.next.max(1);
            i64::from(from) % span
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_history_keeps_the_invariants(steps in prop::collection::vec(step(), 1..60)) {
            let mut tracker = Tracker::default();
            let mut model = Model::default();
            let mut slot = Slot(0);
            tracker.assign(slot);
            let mut last_committable = None;
            for step in steps {
                match step {
                    Step::Deliver { gaps } => {
                        let mut offsets = Vec::new();
                        for gap in gaps {
                            model.next += i64::from(gap) + 1;
                            offsets.push(model.next - 1);
                            model.offsets.insert(model.next - 1, false);
                        }
                        prop_assert_eq!(tracker.deliver(slot, offsets), Delivery::Tracked);
                    }
                    Step::Settle { from, count } => {
                        let first = model.offset_at(from);
                        let last = first + i64::from(count) - 1;
                        let newly = model.offsets.range(first..=last).filter(|(_, settled)| !**settled).count();
                        for (_, settled) in model.offsets.range_mut(first..=last) {
                            *settled = true;
                        }
                        prop_assert_eq!(tracker.settle(slot, first, last), newly);
                    }
                    Step::Reassign => {
                        tracker.forget(slot);
                        slot = Slot(slot.0 + 1);
                        tracker.assign(slot);
                        model = Model { next: model.next, ..Model::default() };
                        last_committable = None;
                    }
                    Step::SettleOld { from, count } if slot.0 > 0 => {
                        let first = model.offset_at(from);
                        prop_assert_eq!(tracker.settle(Slot(slot.0 - 1), first, first + i64::from(count)), 0);
                    }
                    Step::SettleOld { .. } => {}
                    Step::Confirm => {
                        if let Some(offset) = tracker.committable(slot) {
                            tracker.committed(slot, offset);
                            model.confirmed = Some(offset);
                            prop_assert_eq!(tracker.committable(slot), None);
                        }
                    }
                }
                let frontier = model.frontier();
                let expected = frontier.filter(|offset| model.confirmed.map_or_else(
                    || Some(offset) > model.offsets.keys().next().as_ref().copied(),
                    |confirmed| *offset > confirmed,
                ));
                prop_assert_eq!(tracker.committable(slot), expected);
                if let (Some(committable), Some(lowest)) = (tracker.committable(slot), tracker.lowest_unsettled(slot)) {
                    prop_assert!(committable <= lowest);
                }
                if frontier.is_some() {
                    prop_assert!(frontier >= last_committable, "committable went back");
                    last_committable = frontier;
                }
                let unsettled_or_behind = model.offsets.range(frontier.unwrap_or(0)..).count();
                prop_assert_eq!(tracker.in_flight(slot), unsettled_or_behind);
            }
        }
    }
}
