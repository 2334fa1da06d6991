//! Handlers that are quick, slow, fail, panic, and say in every way that a record is done, or not.
//!
//! What becomes of a record is thrown from its place and from how often it was attempted, so that it does not depend on
//! what else happens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cluster::Cluster;
use super::dice::Dice;
use super::history::AttemptOutcome;
use super::ledger::Epoch;
use super::plan::Plan;
use crate::config::model::Exhausted;
use crate::error::{ExtractError, HandlerError};
use crate::handler::{Ack, BatchError, HandlerResult};
use crate::listener::{Handler, batch_handler, record_handler};
use crate::record::{BatchView, RecordView};

/// The handler of a plan.
pub(super) fn handler(cluster: &Cluster) -> Arc<dyn Handler> {
    let cast = Arc::new(Cast {
        cluster: cluster.clone(),
        plan: cluster.world().plan.clone(),
        attempts: Mutex::default(),
    });
    if cast.plan.is_batch {
        batch_handler(move |batch| cast.batch(batch)).into()
    } else {
        record_handler(move |record| cast.record(record)).into()
    }
}

/// What all calls have in common.
struct Cast {
    cluster: Cluster,
    plan: Plan,
    /// How often each record was attempted, by whomever.
    attempts: Mutex<HashMap<(i32, i64), u64>>,
}

/// One call of the handler.
struct Call {
    cluster: Cluster,
    epoch: Epoch,
    offsets: Vec<i64>,
    attempt: u32,
    ack: Option<Ack>,
    part: Part,
    /// Whether the policy counts a failure of this attempt as done; of the first record alone, if another fails.
    skips: bool,
    skips_first_time: bool,
    has_ended: bool,
}

/// What a call does, and what it says of its records.
#[derive(Debug, Clone, Copy)]
struct Part {
    wait: Option<Duration>,
    /// It gives way this many times.
    yields: u64,
    end: End,
    say: Say,
    /// The place in the batch that it names, or up to which it says something.
    index: usize,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ok,
    Error,
    ErrorAt,
    Panic,
    PanicAtOnce,
}

/// What it does with its `Ack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    Done,
    DoneLater,
    NotDone,
    NotDoneLater,
    PartlyDone,
    Nothing,
}

impl Cast {
    fn record(
        &self,
        view: &RecordView<'_>,
    ) -> Result<impl Future<Output = HandlerResult> + use<>, ExtractError> {
        let ack = if self.plan.is_manual() { Some(Ack::from_view(view)?) } else { None };
        Ok(self.call(view, vec![view.offset()], ack))
    }

    fn batch(
        &self,
        view: &BatchView<'_>,
    ) -> Result<impl Future<Output = HandlerResult> + use<>, ExtractError> {
        let ack = if self.plan.is_manual() { Some(Ack::from_batch(view)?) } else { None };
        let offsets = view.records().map(|record| record.offset()).collect();
        let first = view.records().next().ok_or_else(|| ExtractError::new("batch", "it is empty"))?;
        Ok(self.call(&first, offsets, ack))
    }

    fn call(
        &self,
        first: &RecordView<'_>,
        offsets: Vec<i64>,
        ack: Option<Ack>,
    ) -> impl Future<Output = HandlerResult> + use<> {
        let payload = first.payload().and_then(|payload| payload.try_into().ok()).unwrap_or_default();
        let epoch = Epoch::from_be_bytes(payload);
        let error = &self.plan.settings.error;
        let is_skipping = error.then == Exhausted::Skip;
        let (partition, attempt) = (first.partition(), first.attempt());
        let part = self.part(partition, &offsets);
        let mut call = Call {
            cluster: self.cluster.clone(),
            epoch,
            offsets,
            attempt,
            ack,
            part,
            skips: is_skipping && attempt >= error.attempts,
            skips_first_time: is_skipping && error.attempts <= 1,
            has_ended: false,
        };
        {
            let mut world = self.cluster.world();
            if world.ledger.is_crashed(epoch) {
                // The process is gone: nothing is called any more.
                call.has_ended = true;
            } else {
                let now = world.now();
                world.ledger.started(now, epoch, &call.offsets, attempt);
            }
        }
        if part.end == End::PanicAtOnce && !call.has_ended {
            call.fails(AttemptOutcome::Panic);
            drop(call);
            // Without a hook that prints it.
            std::panic::resume_unwind(Box::new("simulated"));
        }
        call.run()
    }

    /// Throws what becomes of an attempt.
    fn part(&self, partition: i32, offsets: &[i64]) -> Part {
        let first = offsets[0];
        let before = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let before = attempts.entry((partition, first)).or_default();
            *before += 1;
            *before - 1
        };
        let faults = self.plan.faults;
        let place = [self.plan.seed, u64::from(partition.unsigned_abs()), first.unsigned_abs()];
        let mut record = Dice::of([place[0], place[1], place[2], 1]);
        let mut dice = Dice::of([place[0], place[1], place[2], 100 + before]);
        // Some records fail a few times, and then no more.
        let failures = if faults.fail && record.chance(15) { record.between(1, 4) } else { 0 };
        let panics = if faults.panic && record.chance(10) { record.between(1, 3) } else { 0 };
        let is_calm = self.cluster.world().is_calm;
        let end = if is_calm || before >= failures.max(panics) {
            End::Ok
        } else if before < panics {
            dice.pick(&[End::Panic, End::PanicAtOnce])
        } else {
            dice.pick(&[End::Error, End::ErrorAt])
        };
        let wait = match dice.below(100) {
            55..85 => Some(dice.millis(0, 40)),
            85..97 if faults.slow => Some(dice.millis(40, 1500)),
            97..100 if faults.slow && !is_calm => Some(dice.millis(1500, 9000)),
            _ => None,
        };
        let is_first = before == 0;
        let say = match dice.below(100) {
            0..15 if faults.late_ack => Say::DoneLater,
            15..25 if faults.nack && before < 3 => Say::NotDone,
            25..32 if faults.nack && before < 3 => Say::NotDoneLater,
            32..45 => Say::PartlyDone,
            45..47 if faults.dropped_ack && is_first && !is_calm => Say::Nothing,
            _ => Say::Done,
        };
        let index = dice.index(offsets.len());
        Part { wait, yields: dice.below(3), end, say, index, delay: dice.millis(0, 1500) }
    }
}

impl Call {
    async fn run(mut self) -> HandlerResult {
        if self.has_ended {
            return std::future::pending().await;
        }
        for _ in 0..self.part.yields {
            tokio::task::yield_now().await;
        }
        if let Some(wait) = self.part.wait {
            tokio::time::sleep(wait).await;
        }
        if self.cluster.world().ledger.is_crashed(self.epoch) {
            self.has_ended = true;
            return std::future::pending().await;
        }
        let fails = self.part.end != End::Ok;
        let is_nacked = self.say();
        match self.part.end {
            _ if fails && is_nacked => {
                // What its `Ack` said goes before the policy.
                self.ends(AttemptOutcome::Error);
                Err(HandlerError::msg("simulated"))
            }
            End::Ok => {
                self.ends(AttemptOutcome::Done);
                Ok(())
            }
            End::ErrorAt if self.offsets.len() > 1 => {
                self.fails_at(self.part.index);
                Err(BatchError::at(self.part.index, "simulated").into())
            }
            End::Error | End::ErrorAt => {
                self.fails(AttemptOutcome::Error);
                Err(HandlerError::msg("simulated"))
            }
            End::Panic | End::PanicAtOnce => {
                self.fails(AttemptOutcome::Panic);
                std::panic::resume_unwind(Box::new("simulated"));
            }
        }
    }

    /// Uses the `Ack`, if there is one; whether it says that records are not done.
    fn say(&mut self) -> bool {
        let Some(ack) = self.ack.take() else { return false };
        let (index, delay) = (self.part.index, self.part.delay);
        let is_settled = self.cluster.world().ledger.is_settled(self.epoch, self.offsets[index]);
        // That a record is not done which was said to be done before has no effect, or some: it is not asked for here.
        let is_too_late = is_settled && matches!(self.part.say, Say::NotDone | Say::NotDoneLater);
        // One `Ack` of a record at a time is kept beyond its handler, lest two contradict each other.
        let is_again = self.cluster.world().ledger.is_any_started_before(self.epoch, &self.offsets);
        let is_kept = !matches!(self.part.say, Say::Done | Say::NotDone);
        let say = if is_too_late || is_again && is_kept { Say::Done } else { self.part.say };
        if self.part.end != End::Ok && say != Say::NotDone {
            // The failure drops it.
            self.ack = Some(ack);
            return false;
        }
        match say {
            Say::Done => {
                self.acknowledged(0, self.offsets.len());
                ack.acknowledge();
                false
            }
            Say::DoneLater => {
                let later =
                    Later { cluster: self.cluster.clone(), epoch: self.epoch, offsets: self.offsets.clone() };
                tokio::spawn(later.acknowledge(ack, delay));
                false
            }
            Say::NotDoneLater => {
                let later =
                    Later { cluster: self.cluster.clone(), epoch: self.epoch, offsets: self.offsets.clone() };
                tokio::spawn(later.nack(ack, delay));
                false
            }
            Say::NotDone => {
                self.acknowledged(0, index);
                self.nacked(self.offsets[index]);
                let is_in_batch = ack.nack_from(index, delay).is_ok();
                debug_assert!(is_in_batch, "the index is one of the batch");
                true
            }
            Say::PartlyDone => {
                self.acknowledged(0, index + 1);
                let rest = ack.acknowledge_through(index);
                if index + 1 < self.offsets.len()
                    && let Ok(rest) = rest
                {
                    let offsets = self.offsets[index + 1..].to_vec();
                    let later = Later { cluster: self.cluster.clone(), epoch: self.epoch, offsets };
                    tokio::spawn(later.acknowledge(rest, delay));
                }
                false
            }
            Say::Nothing => false,
        }
    }

    fn acknowledged(&self, from: usize, to: usize) {
        let mut world = self.cluster.world();
        let now = world.now();
        world.ledger.acknowledged(now, self.epoch, &self.offsets[from..to]);
    }

    fn nacked(&self, offset: i64) {
        let mut world = self.cluster.world();
        let now = world.now();
        world.ledger.nacked(now, self.epoch, offset);
    }

    fn fails(&mut self, outcome: AttemptOutcome) {
        self.ends(if self.skips { AttemptOutcome::Skipped } else { outcome });
    }

    /// The record at an index failed, and those before it did not.
    fn fails_at(&mut self, index: usize) {
        let skips = if index > 0 { self.skips_first_time } else { self.skips };
        let outcome = if skips { AttemptOutcome::Skipped } else { AttemptOutcome::Error };
        self.has_ended = true;
        let mut world = self.cluster.world();
        let now = world.now();
        let (before, rest) = self.offsets.split_at(index);
        let (failed, behind) = rest.split_at(1);
        if self.ack.is_some() {
            // What precedes it is done, and no `Ack` has to say so.
            world.ledger.acknowledged(now, self.epoch, before);
        }
        world.ledger.ended(now, self.epoch, before, self.attempt, AttemptOutcome::Done);
        world.ledger.ended(now, self.epoch, failed, self.attempt, outcome);
        if skips && index > 0 && world.plan.waits_for_commit() {
            // Its turn comes when those before it are committed, and that may be never.
            world.ledger.need_not_be_committed(self.epoch, failed);
        }
        world.ledger.ended(now, self.epoch, behind, self.attempt, AttemptOutcome::Dropped);
    }

    fn ends(&mut self, outcome: AttemptOutcome) {
        self.has_ended = true;
        let mut world = self.cluster.world();
        let now = world.now();
        world.ledger.ended(now, self.epoch, &self.offsets, self.attempt, outcome);
    }
}

impl Drop for Call {
    /// A lane that is ended drops its handler.
    fn drop(&mut self) {
        if !self.has_ended {
            self.ends(AttemptOutcome::Dropped);
        }
    }
}

/// An `Ack` that is kept beyond its handler.
struct Later {
    cluster: Cluster,
    epoch: Epoch,
    offsets: Vec<i64>,
}

impl Later {
    async fn acknowledge(self, ack: Ack, delay: Duration) {
        tokio::time::sleep(delay).await;
        {
            let mut world = self.cluster.world();
            // Of two deliveries of a record that disagree about it, either may be heard first: here the one that says that
            // it is not done.
            if world.ledger.is_crashed(self.epoch) || world.ledger.is_any_again(self.epoch, &self.offsets) {
                return;
            }
            let now = world.now();
            world.ledger.acknowledged(now, self.epoch, &self.offsets);
        }
        ack.acknowledge();
    }

    async fn nack(self, ack: Ack, delay: Duration) {
        tokio::time::sleep(delay).await;
        {
            let mut world = self.cluster.world();
            let ledger = &world.ledger;
            // Of a record that is settled, or has been delivered again since, somebody else says what it is.
            if ledger.is_over(self.epoch)
                || ledger.is_settled(self.epoch, self.offsets[0])
                || ledger.is_any_started_before(self.epoch, &self.offsets)
            {
                return;
            }
            let now = world.now();
            world.ledger.nacked(now, self.epoch, self.offsets[0]);
        }
        ack.nack(delay / 4);
    }
}
