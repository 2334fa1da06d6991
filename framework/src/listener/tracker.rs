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
//! 6. What the last owner of a partition had finished beyond the committed offset counts as settled when it is
//!    delivered, and is told apart, so that it is not handled again.

use std::collections::{HashMap, VecDeque};

use super::offset_map::OffsetMap;

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

/// What may be committed of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offer {
    pub(crate) slot: Slot,
    /// The next offset to read.
    pub(crate) offset: i64,
    /// How many records had been settled, in whatever order: a later offer with a higher mark has more to say even if
    /// its offset is the same.
    pub(crate) mark: u64,
}

/// What settling freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) records: usize,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
struct SlotOffsets {
    /// Delivered and not yet behind `committable`, in increasing order.
    in_flight: VecDeque<Flight>,
    /// What the last owner had finished, until the last of it is delivered.
    finished: Option<OffsetMap>,
    /// How many in `in_flight` are settled.
    settled_beyond: usize,
    /// How many records were settled in this slot.
    mark: u64,
    /// The mark of the last confirmed commit.
    committed_mark: u64,
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
    /// Of key and payload.
    bytes: u32,
    settled: bool,
}

impl Tracker {
    /// Starts tracking a new assignment.
    pub(crate) fn assign(&mut self, slot: Slot) {
        let previous = self.slots.insert(slot, SlotOffsets::default());
        debug_assert!(previous.is_none(), "tracker: a slot is never reused");
    }

    /// Lets an assignment begin at an offset that is to be committed before anything of it is settled. Before anything
    /// is delivered.
    pub(crate) fn start_at(&mut self, slot: Slot, offset: i64) {
        if let Some(partition) = self.slots.get_mut(&slot) {
            debug_assert!(partition.delivered.is_none(), "tracker: a start precedes the first record");
            partition.committable = Some(offset);
        }
    }

    /// The highest offset of an assignment that the broker confirmed, or, without [`start_at`](Self::start_at), the first
    /// one that was delivered.
    pub(crate) fn confirmed(&self, slot: Slot) -> Option<i64> {
        self.slots.get(&slot)?.committed
    }

    /// Forgets an assignment; whatever is reported of it later is dropped.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Takes over what the last owner of the partition had finished beyond the committed offset. Before anything is
    /// delivered.
    pub(crate) fn take_over(&mut self, slot: Slot, finished: OffsetMap) {
        if let Some(partition) = self.slots.get_mut(&slot) {
            debug_assert!(partition.delivered.is_none(), "tracker: taken over before the first record");
            partition.finished = Some(finished);
        }
    }

    /// Whether an offset about to be delivered was finished by the last owner.
    pub(crate) fn is_finished(&self, slot: Slot, offset: i64) -> bool {
        let finished = self.slots.get(&slot).and_then(|partition| partition.finished.as_ref());
        finished.is_some_and(|finished| finished.contains(offset))
    }

    /// Whether anything that the last owner finished may still be delivered.
    pub(crate) fn has_finished(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|partition| partition.finished.is_some())
    }

    /// The last offset that was delivered.
    pub(crate) fn last_delivered(&self, slot: Slot) -> Option<i64> {
        self.slots.get(&slot)?.delivered
    }

    /// Notes records as delivered: their offsets, increasing, and the bytes of each.
    pub(crate) fn deliver(&mut self, slot: Slot, records: impl IntoIterator<Item = (i64, u32)>) -> Delivery {
        let Some(partition) = self.slots.get_mut(&slot) else { return Delivery::Unknown };
        let mut records = records.into_iter().peekable();
        let Some(&(first, _)) = records.peek() else { return Delivery::Tracked };
        if partition.delivered.is_some_and(|delivered| first <= delivered) {
            return Delivery::Rewound;
        }
        if partition.committable.is_none() {
            partition.committable = Some(first);
            partition.committed = Some(first);
        }
        for (offset, bytes) in records {
            debug_assert!(partition.delivered.is_none_or(|last| offset > last), "tracker: offsets increase");
            partition.in_flight.push_back(Flight { offset, bytes, settled: false });
            partition.delivered = Some(offset);
        }
        if partition.finished.is_some() {
            partition.settle_finished(first);
        }
        Delivery::Tracked
    }

    /// Marks the delivered offsets from `first` to `last` as settled; returns what that freed.
    pub(crate) fn settle(&mut self, slot: Slot, first: i64, last: i64) -> Freed {
        let Some(partition) = self.slots.get_mut(&slot) else { return Freed::default() };
        let start = partition.in_flight.partition_point(|flight| flight.offset < first);
        let mut freed = Freed::default();
        for flight in partition.in_flight.range_mut(start..) {
            if flight.offset > last {
                break;
            }
            if !flight.settled {
                freed.records += 1;
                freed.bytes += u64::from(flight.bytes);
            }
            flight.settled = true;
        }
        partition.mark += freed.records as u64;
        partition.settled_beyond += freed.records;
        partition.advance();
        freed
    }

    /// What to commit, if it is beyond what the broker confirmed. With `maps`, also what was settled beyond the same
    /// offset.
    pub(crate) fn offer(&self, slot: Slot, maps: bool) -> Option<Offer> {
        let partition = self.slots.get(&slot)?;
        let offset = partition.offered()?;
        let is_further = partition.committed.is_none_or(|committed| offset > committed);
        let knows_more = maps && partition.mark > partition.committed_mark && partition.settled_beyond > 0;
        (is_further || knows_more).then_some(Offer { slot, offset, mark: partition.mark })
    }

    /// The records that are settled beyond `committable`; none if there are none. What lies between two of them and was never delivered does not
    /// exist, and counts as done.
    pub(crate) fn settled_beyond(&self, slot: Slot) -> Option<OffsetMap> {
        let partition = self.slots.get(&slot)?;
        if partition.settled_beyond == 0 && !cfg!(feature = "seeded-bugs") {
            return None;
        }
        let mut runs: Vec<std::ops::Range<i64>> = Vec::new();
        let mut continues = false;
        for flight in &partition.in_flight {
            let settled = flight.settled;
            #[cfg(feature = "seeded-bugs")]
            let settled = settled || crate::seeded::is(crate::seeded::Bug::MapClaimsTooMuch);
            match runs.last_mut() {
                Some(run) if settled && continues => run.end = flight.offset + 1,
                _ if settled => runs.push(flight.offset..flight.offset + 1),
                _ => {}
            }
            continues = settled;
        }
        Some(OffsetMap::from_done(partition.committable?, runs))
    }

    /// Notes that the broker confirmed an offer.
    pub(crate) fn committed(&mut self, offer: Offer) {
        if let Some(partition) = self.slots.get_mut(&offer.slot) {
            debug_assert!(
                cfg!(feature = "seeded-bugs")
                    || partition.committable.is_some_and(|committable| offer.offset <= committable),
                "tracker: only what was committable is committed"
            );
            partition.committed = partition.committed.max(Some(offer.offset));
            partition.committed_mark = partition.committed_mark.max(offer.mark);
        }
    }

    /// The lowest offset that is not settled, or will be the next one delivered.
    pub(crate) fn frontier(&self, slot: Slot) -> Option<i64> {
        self.slots.get(&slot)?.committable
    }

    /// The lowest delivered offset that is not settled.
    pub(crate) fn lowest_unsettled(&self, slot: Slot) -> Option<i64> {
        // Whatever is settled in front of it was taken off by `advance`.
        self.slots.get(&slot)?.in_flight.front().map(|flight| flight.offset)
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

    /// Settles what of the delivered offsets from `first` on the last owner had finished.
    fn settle_finished(&mut self, first: i64) {
        let Some(finished) = &self.finished else { return };
        let start = self.in_flight.partition_point(|flight| flight.offset < first);
        for flight in self.in_flight.range_mut(start..) {
            if !flight.settled && finished.contains(flight.offset) {
                flight.settled = true;
                self.settled_beyond += 1;
            }
        }
        let last = finished.done().last().map_or(i64::MIN, |run| run.end);
        if self.delivered.is_some_and(|delivered| delivered + 1 >= last) {
            self.finished = None;
        }
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(front) = self.in_flight.front() {
            if !front.settled {
                break;
            }
            self.committable = Some(front.offset + 1);
            self.settled_beyond -= 1;
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
    use std::iter;

    const SLOT: Slot = Slot(1);

    /// Each record as large as its offset says, so that the bytes show whose they are.
    fn sized(offsets: impl IntoIterator<Item = i64>) -> impl Iterator<Item = (i64, u32)> {
        offsets.into_iter().map(|offset| (offset, u32::try_from(offset).unwrap()))
    }

    fn committable(tracker: &Tracker, slot: Slot) -> Option<i64> {
        tracker.offer(slot, false).map(|offer| offer.offset)
    }

    fn delivered(offsets: &[i64]) -> Tracker {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        assert_eq!(tracker.deliver(SLOT, sized(offsets.iter().copied())), Delivery::Tracked);
        tracker
    }

    #[test]
    fn nothing_is_committable_before_the_first_record_is_settled() {
        let tracker = delivered(&[5, 6, 7]);
        assert_eq!(committable(&tracker, SLOT), None);
        assert_eq!(tracker.in_flight(SLOT), 3);
    }

    #[test]
    fn an_assignment_that_starts_somewhere_offers_that_until_it_is_confirmed() {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        tracker.start_at(SLOT, 3);
        let start = tracker.offer(SLOT, false).unwrap();
        assert_eq!((start.offset, tracker.confirmed(SLOT)), (3, None));
        tracker.deliver(SLOT, sized([5, 6]));
        assert_eq!(committable(&tracker, SLOT), Some(3), "what is delivered is not settled");
        tracker.committed(start);
        assert_eq!((committable(&tracker, SLOT), tracker.confirmed(SLOT)), (None, Some(3)));
        tracker.settle(SLOT, 5, 5);
        assert_eq!(committable(&tracker, SLOT), Some(6));
    }

    #[test]
    fn an_unsettled_record_holds_back_what_is_settled_behind_it() {
        let mut tracker = delivered(&[5, 6, 7]);
        tracker.settle(SLOT, 6, 7);
        assert_eq!(committable(&tracker, SLOT), None);
        tracker.settle(SLOT, 5, 5);
        assert_eq!(committable(&tracker, SLOT), Some(8));
    }

    #[test]
    fn gaps_in_the_offsets_never_block() {
        let mut tracker = delivered(&[5, 9, 40]);
        tracker.settle(SLOT, 5, 9);
        assert_eq!(committable(&tracker, SLOT), Some(10));
        tracker.settle(SLOT, 40, 40);
        assert_eq!(committable(&tracker, SLOT), Some(41));
    }

    #[test]
    fn a_result_of_an_older_assignment_changes_nothing() {
        let mut tracker = delivered(&[5]);
        tracker.forget(SLOT);
        let next = Slot(2);
        tracker.assign(next);
        tracker.deliver(next, sized([5, 6]));
        assert_eq!(tracker.settle(SLOT, 5, 6), Freed::default());
        assert_eq!(committable(&tracker, next), None);
    }

    #[test]
    fn a_position_moved_back_is_told_and_not_mixed_in() {
        let mut tracker = delivered(&[5, 6]);
        assert_eq!(tracker.deliver(SLOT, sized([3])), Delivery::Rewound);
        assert_eq!(tracker.deliver(Slot(9), sized([3])), Delivery::Unknown);
        assert_eq!(tracker.in_flight(SLOT), 2);
    }

    #[test]
    fn a_confirmed_offset_is_not_offered_again() {
        let mut tracker = delivered(&[5, 6]);
        tracker.settle(SLOT, 5, 5);
        tracker.committed(Offer { slot: SLOT, offset: 6, mark: 1 });
        assert_eq!(committable(&tracker, SLOT), None);
        tracker.settle(SLOT, 6, 6);
        assert_eq!(committable(&tracker, SLOT), Some(7));
    }

    #[test]
    fn what_is_settled_beyond_an_open_record_is_offered_once_with_a_map() {
        let mut tracker = delivered(&[5, 6, 7, 9]);
        assert_eq!(tracker.settle(SLOT, 6, 9), Freed { records: 3, bytes: 22 });
        assert_eq!(committable(&tracker, SLOT), None);
        let offer = tracker.offer(SLOT, true).unwrap();
        assert_eq!((offer.offset, offer.mark), (5, 3));
        assert_eq!(tracker.settled_beyond(SLOT), Some(OffsetMap::from_done(5, iter::once(6..10))));
        tracker.committed(offer);
        assert_eq!(tracker.offer(SLOT, true), None);
    }

    #[test]
    fn what_the_last_owner_finished_is_settled_when_it_is_delivered() {
        let mut tracker = Tracker::default();
        tracker.assign(SLOT);
        tracker.take_over(SLOT, OffsetMap::from_done(5, [6..8, 10..11]));
        assert!(tracker.is_finished(SLOT, 7) && !tracker.is_finished(SLOT, 8));
        tracker.deliver(SLOT, sized([5, 6, 7, 8]));
        assert!(tracker.has_finished(SLOT));
        tracker.settle(SLOT, 5, 5);
        assert_eq!(committable(&tracker, SLOT), Some(8));
        tracker.deliver(SLOT, sized([9, 10, 11]));
        assert!(!tracker.has_finished(SLOT));
        tracker.settle(SLOT, 8, 9);
        assert_eq!(committable(&tracker, SLOT), Some(11));
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
                        prop_assert_eq!(tracker.deliver(slot, sized(offsets)), Delivery::Tracked);
                    }
                    Step::Settle { from, count } => {
                        let first = model.offset_at(from);
                        let last = first + i64::from(count) - 1;
                        let open = model.offsets.range(first..=last).filter(|(_, settled)| !**settled);
                        let newly: Vec<i64> = open.map(|(offset, _)| *offset).collect();
                        for (_, settled) in model.offsets.range_mut(first..=last) {
                            *settled = true;
                        }
                        let bytes = newly.iter().map(|offset| offset.unsigned_abs()).sum();
                        prop_assert_eq!(tracker.settle(slot, first, last), Freed { records: newly.len(), bytes });
                    }
                    Step::Reassign => {
                        // What the map says is what was settled, and the next owner knows it by the map alone.
                        let base = tracker.frontier(slot);
                        let map = tracker.settled_beyond(slot);
                        tracker.forget(slot);
                        slot = Slot(slot.0 + 1);
                        tracker.assign(slot);
                        let beyond = |model: &Model| -> Vec<(i64, bool)> {
                            let from = base.unwrap_or(model.next);
                            model.offsets.range(from..).map(|(offset, settled)| (*offset, *settled)).collect()
                        };
                        let again = beyond(&model);
                        let (next, confirmed) = (model.next, None);
                        model = Model { next, confirmed, ..Model::default() };
                        if let Some(base) = base {
                            let map = map.unwrap_or_else(|| OffsetMap::from_done(base, []));
                            for (offset, settled) in &again {
                                prop_assert_eq!(map.contains(*offset), *settled, "{} in {:?}", offset, map);
                            }
                            if !map.is_empty() {
                                tracker.take_over(slot, map);
                            }
                            tracker.deliver(slot, sized(again.iter().map(|(offset, _)| *offset)));
                            model.offsets.extend(again);
                        }
                        last_committable = None;
                    }
                    Step::SettleOld { from, count } if slot.0 > 0 => {
                        let first = model.offset_at(from);
                        prop_assert_eq!(tracker.settle(Slot(slot.0 - 1), first, first + i64::from(count)), Freed::default());
                    }
                    Step::SettleOld { .. } => {}
                    Step::Confirm => {
                        if let Some(offer) = tracker.offer(slot, false) {
                            tracker.committed(offer);
                            model.confirmed = Some(offer.offset);
                            prop_assert_eq!(committable(&tracker, slot), None);
                        }
                    }
                }
                let frontier = model.frontier();
                let expected = frontier.filter(|offset| model.confirmed.map_or_else(
                    || Some(offset) > model.offsets.keys().next().as_ref().copied(),
                    |confirmed| *offset > confirmed,
                ));
                prop_assert_eq!(committable(&tracker, slot), expected);
                if let (Some(committable), Some(lowest)) = (committable(&tracker, slot), tracker.lowest_unsettled(slot)) {
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
