//! What becomes of a record whose attempt failed: another one, or its way out of the lane.

use tracing::{error, info, warn};

use super::{KeyLane, TURN_MAX};
use crate::listener::hand_overs::HandOvers;
use crate::listener::key_queues::Entry;
use crate::listener::settlements::LaneFailure;
use crate::policy::{Decision, Fault, RecoverError};

impl KeyLane {
    pub(super) fn failed(&mut self, entry: Entry, attempt: u32, fault: Fault) {
        self.shared.metrics.failed.increment(1);
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::ErrorIsDone) {
            return self.done(entry, false);
        }
        let (chunk, index) = self.record(entry);
        let offset = chunk.records[index].offset();
        let (listener, partition) = (&self.shared.listener, &self.partition);
        if let Some(count) = self.shared.threads_left_behind() {
            return self.fail(LaneFailure::left_behind(offset, attempt, count, fault));
        }
        if let Fault::Outage(error) = &fault {
            info!(%listener, %partition, offset, attempt, %error, "attempt failed while the circuit is open: it does not count");
            self.shared.metrics.retried.increment(1);
            // It goes first as soon as the circuit lets it.
            return self.queues.again(entry);
        }
        match self.shared.policy.decide(&fault, attempt, &chunk.records[index]) {
            Decision::Retry(delay) => {
                warn!(%listener, %partition, offset, attempt, error = %fault, retry_in = ?delay, "attempt failed");
                self.shared.metrics.retried.increment(1);
                self.attempts[entry.index()].number = attempt.saturating_add(1);
                self.hold(entry, self.now + delay);
            }
            Decision::Skip => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "record skipped: its attempts are used up");
                self.shared.metrics.skipped.increment(1);
                self.done(entry, false);
            }
            Decision::Leave(_) if self.shared.recovery.is_there() => self.leave(entry, &fault, attempt),
            Decision::Stop | Decision::Leave(_) => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "listener stops: a record's attempts are used up");
                self.fail(LaneFailure { offset, attempts: attempt, error: fault.into_error() });
            }
        }
    }

    /// Begins to give a record away.
    fn leave(&mut self, entry: Entry, fault: &Fault, attempts: u32) {
        let (chunk, index) = self.record(entry);
        let leaving =
            self.shared.recovery.leave(&self.shared, chunk, std::iter::once(index), fault, attempts);
        if leaving.is_empty() {
            // Its time was up between one look at the clock and the next.
            return self.done(entry, false);
        }
        let hand_overs = self.hand_overs.get_or_insert_with(|| Box::new(HandOvers::new()));
        for leaving in leaving {
            hand_overs.take(entry, leaving);
        }
        self.send(entry);
    }

    /// Tries to write a record where it is to go.
    pub(super) fn send(&mut self, entry: Entry) {
        let Some(hand_overs) = &mut self.hand_overs else { return };
        if let Some(answer) = hand_overs.send(entry, &self.shared.recovery) {
            self.answered(entry, answer);
        }
    }

    pub(super) fn take_answers(&mut self) {
        let Some(hand_overs) = &mut self.hand_overs else { return };
        for (entry, answer) in hand_overs.answers(TURN_MAX) {
            self.answered(entry, answer);
        }
    }

    fn answered(&mut self, entry: Entry, answer: Result<String, RecoverError>) {
        let Some(hand_overs) = &mut self.hand_overs else { return };
        let (listener, recovery) = (&self.shared.listener, &self.shared.recovery);
        match answer {
            Ok(to) => {
                if let Some(leaving) = hand_overs.gone(entry) {
                    recovery.taken(listener, &leaving, &to);
                }
                self.done(entry, false);
            }
            Err(refusal) => {
                let Some(leaving) = hand_overs.leaving(entry) else { return };
                let delay = recovery.refused(listener, leaving, &refusal);
                self.hold(entry, self.now + delay);
            }
        }
    }

    pub(super) fn is_any_answered(&self) -> bool {
        self.hand_overs.as_ref().is_some_and(|hand_overs| hand_overs.is_any_woken())
    }
}
