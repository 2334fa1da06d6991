//! What other systems lost records by: a simulation of any seed, narrowed down until most seeds get into that situation.
//!
//! The whole of the simulation gets into all of these, too. What this adds is a name for each, and few seeds that are about
//! nothing else, so that a bug that comes back is called by its name.

use std::time::Duration;

use super::plan::{Faults, Plan};
use crate::config::model::{AckMode, AutoOffsetReset, CommitMode, Exhausted, Ordering};

/// A situation in which records were lost, repeated or stuck elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// Partitions are given up while records are delivered and not handled: committing what was seen loses them.
    SeenIsNotDone,
    /// A partition comes back to the consumer that lost it, and only then a record of before is acknowledged: that says
    /// nothing of the new assignment.
    StaleResult,
    /// A partition is given up while handlers are at work and a commit is on its way: nobody may wait for the other in
    /// a circle, and what the handlers held has to be free afterwards.
    RevokedInFlight,
    /// Other partitions are taken or given while records of those that stay are waiting.
    BufferedAcrossRebalance,
    /// The same for listeners of batches.
    BatchAcrossRebalance,
    /// A partition changes hands back and forth: two consumers must not work on it at once.
    OldAndNewOwner,
    /// A partition has records from the moment in which it is assigned.
    RecordsAtOnce,
    /// A consumer is thrown out of its group, and starts anew.
    Recovery,
    /// Offsets are committed by a timer, and the partition is lost before.
    TimedCommitOfLost,
    /// Offsets are committed by a timer, the partition goes to somebody else and comes back: an old offset must not
    /// come with it.
    TimedCommitAfterReturn,
    /// A handler fails for good, and its record is not to be done.
    ErrorIsNotDone,
    /// Commits fail while the consumer closes.
    CommitFailsInClose,
    /// Commits are refused in every way that a coordinator has, or are not answered, or are applied and not answered.
    RefusedCommits,
}

impl Incident {
    /// Changes a plan so that this is what it is about.
    pub(super) fn narrow(self, plan: &mut Plan) {
        plan.faults = Faults::NONE;
        plan.seats = 3;
        plan.partitions = plan.partitions.max(3);
        plan.records_before = 120;
        plan.records_meanwhile = 120;
        plan.duration = Duration::from_secs(15);
        plan.is_batch = false;
        plan.settings.ordering = Ordering::Partition;
        let consumer = &mut plan.settings.consumer;
        consumer.auto_offset_reset = AutoOffsetReset::Earliest;
        consumer.commit = CommitMode::Sync;
        consumer.ack_mode = AckMode::Batch;
        plan.settings.error.then = Exhausted::DeadLetter;
        plan.faults.slow = true;
        self.add(plan);
    }

    fn add(self, plan: &mut Plan) {
        let (faults, consumer) = (&mut plan.faults, &mut plan.settings.consumer);
        match self {
            Self::SeenIsNotDone => {
                (faults.stop, faults.crash, faults.rebalance) = (true, true, true);
            }
            Self::StaleResult => {
                (faults.expire, faults.rebalance, faults.late_ack) = (true, true, true);
                plan.seats = 1;
                plan.is_cooperative = false;
                // Handlers that are at work end with their partition. An `Ack` that somebody keeps does not.
                (consumer.commit, consumer.ack_mode) = (CommitMode::Manual, AckMode::Manual);
            }
            Self::RevokedInFlight => {
                (faults.rebalance, faults.stop, faults.commit) = (true, true, true);
                plan.is_cooperative = false;
                // The permits of a listener by key are what could be kept.
                plan.settings.ordering = Ordering::Key;
                consumer.max_in_flight = 4;
                consumer.ack_mode = AckMode::Record;
            }
            Self::BufferedAcrossRebalance => {
                (faults.rebalance, faults.stop) = (true, true);
                plan.is_cooperative = true;
                plan.partitions = 6;
            }
            Self::BatchAcrossRebalance => {
                (faults.rebalance, faults.stop) = (true, true);
                (plan.is_cooperative, plan.is_batch) = (true, true);
                plan.partitions = 6;
            }
            Self::OldAndNewOwner => {
                (faults.rebalance, faults.stop) = (true, true);
                plan.is_cooperative = false;
                consumer.max_poll_records = 3;
            }
            Self::RecordsAtOnce => {
                (faults.rebalance, faults.expire) = (true, true);
                plan.records_before = 240;
            }
            Self::Recovery => (faults.expire, faults.outage, faults.cut) = (true, true, true),
            Self::TimedCommitOfLost => {
                (faults.expire, faults.stall, faults.rebalance) = (true, true, true);
                consumer.commit = CommitMode::Auto;
            }
            Self::TimedCommitAfterReturn => {
                (faults.expire, faults.rebalance) = (true, true);
                plan.seats = 2;
                plan.is_cooperative = false;
                consumer.commit = CommitMode::Auto;
            }
            Self::ErrorIsNotDone => {
                (faults.fail, faults.panic, faults.stop) = (true, true, true);
                plan.settings.error.then = Exhausted::Stop;
            }
            Self::CommitFailsInClose => {
                (faults.stop, faults.commit, faults.outage) = (true, true, true);
            }
            Self::RefusedCommits => {
                (faults.commit, faults.rebalance, faults.expire) = (true, true, true);
                consumer.ack_mode = AckMode::Record;
            }
        }
    }
}
