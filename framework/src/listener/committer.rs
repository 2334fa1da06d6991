//! When offsets are committed, and what follows an answer.
//!
//! Sans-IO: the poll thread asks `next` what to send, and reports what came of it.
//!
//! # Invariants
//! 1. Only what the tracker offers is committed.
//! 2. One commit is under way at a time, so an older one can never overwrite a newer one.
//! 3. A commit never stops the lanes; `sync` means confirmed and retried, `async` means neither.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::config::model::{AckMode, CommitMode};

use super::tracker::{Offer, Slot, Tracker};

/// The wait after a failed commit before the next one is sent: from this, doubling, to [`RETRY_MAX`].
const RETRY_INITIAL: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// With `ack-mode: batch`: the least time between two commits. A trickle of records arrives in batches of
/// one or two, and a commit for each of them would cost the broker more than the records do.
const BATCH_PAUSE: Duration = Duration::from_millis(5);

/// How and when to commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitPlan {
    pub(crate) commit: CommitMode,
    pub(crate) ack: AckMode,
    pub(crate) ack_count: u64,
    pub(crate) ack_time: Duration,
    /// Whether records are settled in any order, so that what is done beyond the offset to commit is worth a commit, and
    /// a batch may stay open for long while others are finished.
    pub(crate) unordered: bool,
}

/// What became of one partition's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The broker has it.
    Confirmed,
    /// It is not there, for whatever reason: even an answer that sounds final may be another one later, and until it is
    /// confirmed, somebody may wait for it.
    Failed,
    /// The assignment it belongs to is over: it must not be sent again.
    Stale,
}

/// One consumer's commits.
#[derive(Debug)]
pub(crate) struct Committer {
    plan: CommitPlan,
    slots: HashMap<Slot, Pending>,
    in_flight: Option<Vec<Offer>>,
    /// Records settled since the last commit was sent.
    settled: u64,
    sent_at: Duration,
    retry_at: Option<Duration>,
    failures: u32,
    last_call: Option<BTreeSet<Slot>>,
    /// When the first of the commits was sent that have failed since the last one that did not.
    failing_since: Option<Duration>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Polled batches that the lane has not finished.
    open_batches: u32,
    /// Something settled that no trigger has asked to commit yet.
    ripe: bool,
    /// A trigger asked to commit what is settled.
    due: bool,
}

impl Committer {
    pub(crate) fn new(plan: CommitPlan) -> Self {
        Self {
            plan,
            slots: HashMap::new(),
            in_flight: None,
            settled: 0,
            sent_at: Duration::ZERO,
            retry_at: None,
            failures: 0,
            last_call: None,
            failing_since: None,
        }
    }

    pub(crate) fn assign(&mut self, slot: Slot) {
        self.slots.insert(slot, Pending::default());
    }

    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// A polled batch was given to the slot's lane.
    pub(crate) fn dispatched(&mut self, slot: Slot) {
        if let Some(pending) = self.slots.get_mut(&slot) {
            pending.open_batches += 1;
        }
    }

    /// Records of the slot were settled.
    pub(crate) fn settled(&mut self, slot: Slot, count: usize, acknowledged: bool) {
        self.settled += count as u64;
        let Some(pending) = self.slots.get_mut(&slot) else { return };
        pending.ripe = true;
        pending.due |= match self.plan.ack {
            AckMode::Record => true,
            AckMode::ManualImmediate => acknowledged,
            AckMode::Manual => acknowledged && (pending.open_batches == 0 || self.plan.unordered),
            AckMode::Batch | AckMode::Time | AckMode::Count | AckMode::CountTime => false,
        };
    }

    /// The slot's lane finished polled batches: the moment at which most modes commit.
    pub(crate) fn boundary(&mut self, slot: Slot, batches: u32, now: Duration) {
        let Some(pending) = self.slots.get_mut(&slot) else { return };
        pending.open_batches = pending.open_batches.saturating_sub(batches);
        let (count, time) = (self.settled >= self.plan.ack_count, now >= self.sent_at + self.plan.ack_time);
        let is_due = match self.plan.ack {
            AckMode::Record | AckMode::Batch | AckMode::Manual | AckMode::ManualImmediate => true,
            AckMode::Time => time,
            AckMode::Count => count,
            AckMode::CountTime => count || time,
        };
        if !is_due {
            return;
        }
        if matches!(self.plan.ack, AckMode::Time | AckMode::Count | AckMode::CountTime) {
            for pending in self.slots.values_mut() {
                pending.due |= pending.ripe;
            }
        } else {
            pending.due |= pending.ripe;
        }
    }

    /// What the tracker offers of this slot is to be committed, whatever the ack mode.
    pub(crate) fn want(&mut self, slot: Slot) {
        if let Some(pending) = self.slots.get_mut(&slot) {
            pending.due = true;
        }
    }

    /// These slots are about to be given up: commit all that is settled in them.
    pub(crate) fn last_call(&mut self, slots: Vec<Slot>) {
        for slot in &slots {
            if let Some(pending) = self.slots.get_mut(slot) {
                pending.due = true;
            }
        }
        self.retry_at = None;
        self.last_call = Some(slots.into_iter().collect());
    }

    /// Whether the last call has been answered: nothing of it is due or under way. Told once.
    pub(crate) fn take_last_call_done(&mut self, tracker: &Tracker) -> bool {
        let Some(slots) = &self.last_call else { return false };
        let under_way = self.in_flight.iter().flatten().any(|offer| slots.contains(&offer.slot));
        let is_due = |slot: &Slot| self.slots.get(slot).is_some_and(|pending| pending.due);
        let offers = |slot: &Slot| tracker.offer(*slot, self.plan.unordered).is_some();
        let done = !under_way && !slots.iter().any(|slot| is_due(slot) && offers(slot));
        if done {
            self.last_call = None;
        }
        done
    }

    /// Whether the last commit of something that is given up is under way.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn seeded_bug_last_call(&self) -> bool {
        self.last_call.is_some() && self.in_flight.is_some()
    }

    /// What to send now, if anything.
    pub(crate) fn next(&mut self, now: Duration, tracker: &Tracker) -> Option<Vec<Offer>> {
        self.time_trigger(now);
        let earliest = self.retry_at.into_iter().chain(self.paused_until()).max();
        if self.in_flight.is_some() || earliest.is_some_and(|at| now < at) {
            return None;
        }
        self.retry_at = None;
        let mut offers = Vec::new();
        for (slot, pending) in &mut self.slots {
            if !pending.due {
                continue;
            }
            match tracker.offer(*slot, self.plan.unordered) {
                Some(offer) => offers.push(offer),
                None => pending.due = false,
            }
        }
        if offers.is_empty() {
            return None;
        }
        offers.sort_unstable();
        for offer in &offers {
            if let Some(pending) = self.slots.get_mut(&offer.slot) {
                *pending = Pending { open_batches: pending.open_batches, ..Pending::default() };
            }
        }
        self.settled = 0;
        self.sent_at = now;
        self.in_flight = Some(offers.clone());
        Some(offers)
    }

    /// The commit under way was answered, or could not be sent: `answer` tells of each slot.
    pub(crate) fn answered(
        &mut self,
        now: Duration,
        tracker: &mut Tracker,
        mut answer: impl FnMut(Slot) -> Answer,
    ) -> CommitReport {
        let mut report = CommitReport::default();
        for offer in self.in_flight.take().unwrap_or_default() {
            match answer(offer.slot) {
                Answer::Confirmed => {
                    tracker.committed(offer);
                    report.confirmed.push(offer);
                }
                Answer::Failed => {
                    report.failed += 1;
                    // What is given up has no later commit that could make good for this one; and that a partition starts
                    // where it does must be known before anything else of it.
                    let is_last = self.last_call.as_ref().is_some_and(|slots| slots.contains(&offer.slot));
                    let is_first = tracker.confirmed(offer.slot).is_none();
                    if self.plan.commit != CommitMode::Async || is_last || is_first {
                        self.slots.entry(offer.slot).and_modify(|pending| pending.due = true);
                        report.retried = true;
                    }
                }
                Answer::Stale => report.stale += 1,
            }
        }
        if report.failed == 0 {
            self.failing_since = None;
        } else {
            self.failing_since.get_or_insert(self.sent_at);
        }
        // Also what is settled meanwhile would fail: without a pause, every record would cost a request.
        if report.failed + report.stale > 0 {
            let exponent = self.failures.min(8);
            self.failures += 1;
            self.retry_at = Some(now + (RETRY_INITIAL * 2u32.pow(exponent)).min(RETRY_MAX));
        } else {
            self.failures = 0;
            self.retry_at = None;
        }
        report
    }

    /// Whether a commit is under way.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether nothing that is settled meanwhile makes the next commit come sooner: one is under way, or one that is due
    /// waits for its time.
    pub(crate) fn is_waiting(&self, now: Duration) -> bool {
        self.in_flight.is_some()
            || self.paused_until().is_some_and(|until| now < until)
                && self.slots.values().any(|pending| pending.due)
    }

    /// Since when something is to be committed and no commit succeeds, if that is so: the one under way is not answered, or those
    /// before it failed.
    pub(crate) fn unconfirmed_since(&self) -> Option<Duration> {
        let is_wanted = self.in_flight.is_some() || self.slots.values().any(|pending| pending.due);
        let since = self.failing_since.or(self.in_flight.as_ref().map(|_| self.sent_at));
        since.filter(|_| is_wanted)
    }

    /// When `next` has something to do at the latest, for reasons of time alone.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let waits_for_time = matches!(self.plan.ack, AckMode::Time | AckMode::CountTime)
            && self.slots.values().any(|pending| pending.ripe);
        let time = waits_for_time.then(|| self.sent_at + self.plan.ack_time);
        let waits_for_pause = self.in_flight.is_none() && self.slots.values().any(|pending| pending.due);
        let pause = self.paused_until().filter(|_| waits_for_pause);
        self.retry_at.into_iter().chain(time).chain(pause).min()
    }

    /// Before when no commit is sent, unless something is given up.
    fn paused_until(&self) -> Option<Duration> {
        let is_paced = self.plan.ack == AckMode::Batch && self.last_call.is_none();
        is_paced.then(|| self.sent_at + BATCH_PAUSE)
    }

    /// The modes with a time commit what finished batches settled even if no further batch comes.
    fn time_trigger(&mut self, now: Duration) {
        if !matches!(self.plan.ack, AckMode::Time | AckMode::CountTime)
            || now < self.sent_at + self.plan.ack_time
        {
            return;
        }
        for pending in self.slots.values_mut() {
            pending.due |= pending.ripe && (pending.open_batches == 0 || self.plan.unordered);
        }
    }
}

/// What an answer changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitReport {
    pub(crate) confirmed: Vec<Offer>,
    pub(crate) failed: usize,
    pub(crate) stale: usize,
    pub(crate) retried: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot(1);

    struct Bench {
        committer: Committer,
        tracker: Tracker,
        now: Duration,
    }

    impl Bench {
        fn new(commit: CommitMode, ack: AckMode) -> Self {
            let plan =
                CommitPlan { commit, ack, ack_count: 3, ack_time: Duration::from_secs(5), unordered: false };
            let mut bench = Self {
                committer: Committer::new(plan),
                tracker: Tracker::default(),
                now: Duration::from_secs(1),
            };
            bench.tracker.assign(SLOT);
            bench.committer.assign(SLOT);
            bench
        }

        fn deliver(&mut self, offsets: std::ops::Range<i64>) {
            self.tracker.deliver(SLOT, offsets.map(|offset| (offset, 1)));
            self.committer.dispatched(SLOT);
        }

        fn settle(&mut self, offset: i64) {
            let count = self.tracker.settle(SLOT, offset, offset).records;
            self.committer.settled(SLOT, count, self.committer.plan.ack.is_manual());
        }

        fn next(&mut self) -> Option<i64> {
            self.committer.next(self.now, &self.tracker).map(|offers| offers[0].offset)
        }

        fn boundary(&mut self) {
            self.committer.boundary(SLOT, 1, self.now);
        }

        fn answer(&mut self, answer: Answer) -> CommitReport {
            self.committer.answered(self.now, &mut self.tracker, |_| answer)
        }
    }

    /// What each ack mode commits: after the first of two records, at the batch's end, after three records in all at
    /// the next batch's end, and 5 s later.
    #[test]
    fn each_ack_mode_commits_when_it_says() {
        let table = [
            (AckMode::Record, [Some(1), Some(2), Some(3), None]),
            (AckMode::Batch, [None, Some(2), Some(3), None]),
            (AckMode::Count, [None, None, Some(3), None]),
            (AckMode::Time, [None, None, None, Some(3)]),
            (AckMode::CountTime, [None, None, Some(3), None]),
            (AckMode::Manual, [None, Some(2), Some(3), None]),
            (AckMode::ManualImmediate, [Some(1), Some(2), Some(3), None]),
        ];
        for (ack, expected) in table {
            let mut bench = Bench::new(CommitMode::Sync, ack);
            bench.committer.sent_at = bench.now;
            let mut seen = Vec::new();
            let step = |bench: &mut Bench, seen: &mut Vec<Option<i64>>| {
                bench.now += BATCH_PAUSE;
                seen.push(bench.next());
                bench.answer(Answer::Confirmed);
            };
            bench.deliver(0..2);
            bench.settle(0);
            step(&mut bench, &mut seen);
            bench.settle(1);
            bench.boundary();
            step(&mut bench, &mut seen);
            bench.deliver(2..3);
            bench.settle(2);
            bench.boundary();
            step(&mut bench, &mut seen);
            bench.now += Duration::from_secs(5);
            step(&mut bench, &mut seen);
            assert_eq!(seen, expected, "{ack:?}");
        }
    }

    /// Records that are done behind one that is not are worth a commit where their order does not matter, at the end of
    /// their own batch although an earlier one stays open.
    #[test]
    fn what_is_done_beyond_an_open_record_is_committed_without_order() {
        for (unordered, expected) in [(false, None), (true, Some(0))] {
            let mut bench = Bench::new(CommitMode::Sync, AckMode::Batch);
            bench.committer.plan.unordered = unordered;
            bench.deliver(0..2);
            bench.deliver(2..3);
            bench.settle(2);
            bench.boundary();
            assert_eq!(bench.next(), expected);
            bench.answer(Answer::Confirmed);
            bench.boundary();
            bench.now += BATCH_PAUSE;
            assert_eq!(bench.next(), None, "told once");
        }
    }

    #[test]
    fn a_trickle_of_batches_does_not_cost_a_commit_each_until_the_partition_is_given_up() {
        let mut bench = Bench::new(CommitMode::Sync, AckMode::Batch);
        let one_batch = |bench: &mut Bench, offset| {
            bench.deliver(offset..offset + 1);
            bench.settle(offset);
            bench.boundary();
        };
        one_batch(&mut bench, 0);
        assert_eq!(
            (bench.committer.next_deadline(), bench.next()),
            (Some(BATCH_PAUSE), Some(1)),
            "the first"
        );
        assert_eq!(bench.committer.next_deadline(), None, "the answer wakes");
        bench.answer(Answer::Confirmed);
        one_batch(&mut bench, 1);
        assert_eq!(bench.next(), None, "not so soon");
        assert!(bench.committer.is_waiting(bench.now));
        assert_eq!(bench.committer.next_deadline(), Some(bench.now + BATCH_PAUSE));
        one_batch(&mut bench, 2);
        bench.now += BATCH_PAUSE;
        assert_eq!(bench.next(), Some(3), "both");
        bench.answer(Answer::Confirmed);
        one_batch(&mut bench, 3);
        bench.committer.last_call(vec![SLOT]);
        assert_eq!(bench.next(), Some(4), "at once");
    }

    #[test]
    fn a_commit_that_is_refused_again_and_again_is_told_like_one_without_an_answer() {
        let mut bench = Bench::new(CommitMode::Sync, AckMode::Record);
        assert_eq!(bench.committer.unconfirmed_since(), None);
        bench.deliver(0..2);
        bench.settle(0);
        let began = bench.now;
        for _ in 0..5 {
            assert_eq!(bench.next(), Some(1));
            assert_eq!(bench.committer.unconfirmed_since(), Some(began), "not answered");
            bench.answer(Answer::Failed);
            assert_eq!(bench.committer.unconfirmed_since(), Some(began), "refused");
            bench.now += RETRY_MAX;
        }
        assert_eq!(bench.next(), Some(1));
        bench.answer(Answer::Confirmed);
        assert_eq!(bench.committer.unconfirmed_since(), None);
        bench.settle(1);
        bench.now += RETRY_MAX;
        assert_eq!(bench.next(), Some(2));
        assert_eq!(bench.committer.unconfirmed_since(), Some(bench.now), "anew");
    }

    #[test]
    fn one_commit_is_under_way_at_a_time() {
        let mut bench = Bench::new(CommitMode::Async, AckMode::Record);
        bench.deliver(0..2);
        bench.settle(0);
        assert_eq!(bench.next(), Some(1));
        bench.settle(1);
        assert_eq!(bench.next(), None);
        bench.answer(Answer::Confirmed);
        assert_eq!(bench.next(), Some(2));
    }

    #[test]
    fn a_sync_commit_is_sent_again_after_a_pause_and_an_async_one_is_not() {
        for (mode, again) in
            [(CommitMode::Sync, Some(1)), (CommitMode::Manual, Some(1)), (CommitMode::Async, None)]
        {
            let ack = if mode == CommitMode::Manual { AckMode::ManualImmediate } else { AckMode::Record };
            let mut bench = Bench::new(mode, ack);
            bench.deliver(0..1);
            bench.settle(0);
            assert_eq!(bench.next(), Some(1));
            bench.answer(Answer::Failed);
            assert_eq!(bench.next(), None, "not at once");
            bench.now += Duration::from_millis(100);
            assert_eq!(bench.next(), again, "{mode:?}");
        }
    }

    #[test]
    fn after_a_failure_what_is_settled_meanwhile_waits_too_in_every_mode() {
        for mode in [CommitMode::Sync, CommitMode::Async, CommitMode::Manual] {
            for answer in [Answer::Failed, Answer::Stale] {
                let ack = if mode == CommitMode::Manual { AckMode::ManualImmediate } else { AckMode::Record };
                let mut bench = Bench::new(mode, ack);
                bench.deliver(0..100);
                let mut sent = 0;
                for offset in 0..100 {
                    bench.settle(offset);
                    if bench.next().is_some() {
                        bench.answer(answer);
                        sent += 1;
                    }
                    bench.now += Duration::from_millis(10);
                }
                assert_eq!(sent, 4, "{mode:?}, {answer:?}: within a second at 0, 100, 300 and 700 ms");
                assert!(bench.committer.next_deadline().is_some_and(|at| at > bench.now));
            }
        }
    }

    #[test]
    fn that_an_assignment_starts_somewhere_is_sent_again_in_every_mode() {
        for mode in [CommitMode::Sync, CommitMode::Async, CommitMode::Manual] {
            let mut bench = Bench::new(mode, AckMode::Batch);
            bench.tracker.start_at(SLOT, 7);
            bench.committer.want(SLOT);
            assert_eq!(bench.next(), Some(7));
            bench.answer(Answer::Failed);
            bench.now += Duration::from_millis(100);
            assert_eq!(bench.next(), Some(7), "{mode:?}");
            bench.answer(Answer::Confirmed);
            assert_eq!((bench.next(), bench.tracker.confirmed(SLOT)), (None, Some(7)));
        }
    }

    #[test]
    fn the_last_commit_is_sent_again_in_every_mode() {
        for mode in [CommitMode::Sync, CommitMode::Async, CommitMode::Manual] {
            let mut bench = Bench::new(mode, AckMode::Batch);
            bench.deliver(0..2);
            bench.settle(0);
            bench.committer.last_call(vec![SLOT]);
            assert_eq!(bench.next(), Some(1));
            bench.answer(Answer::Failed);
            assert!(!bench.committer.take_last_call_done(&bench.tracker), "{mode:?}");
            bench.now += Duration::from_secs(1);
            assert_eq!(bench.next(), Some(1), "{mode:?}");
            bench.answer(Answer::Confirmed);
            assert!(bench.committer.take_last_call_done(&bench.tracker), "{mode:?}");
        }
    }

    #[test]
    fn a_commit_of_a_lost_assignment_is_not_sent_again() {
        let mut bench = Bench::new(CommitMode::Sync, AckMode::Record);
        bench.deliver(0..1);
        bench.settle(0);
        bench.next();
        assert_eq!(bench.answer(Answer::Stale).stale, 1);
        bench.now += Duration::from_mins(1);
        assert_eq!(bench.next(), None);
    }

    #[test]
    fn the_last_call_commits_what_is_settled_in_the_middle_of_a_batch() {
        let mut bench = Bench::new(CommitMode::Sync, AckMode::Batch);
        bench.deliver(0..5);
        bench.settle(0);
        bench.settle(1);
        assert_eq!(bench.next(), None);
        bench.committer.last_call(vec![SLOT]);
        assert!(!bench.committer.take_last_call_done(&bench.tracker));
        assert_eq!(bench.next(), Some(2));
        assert!(!bench.committer.take_last_call_done(&bench.tracker));
        bench.answer(Answer::Confirmed);
        assert!(bench.committer.take_last_call_done(&bench.tracker));
        assert!(!bench.committer.take_last_call_done(&bench.tracker), "told once");
    }
}
