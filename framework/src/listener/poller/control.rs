//! Partitions paused and resumed one by one, and positions moved, while the poll thread goes on.
//!
//! A position is moved only when nothing of its partition is in hand: the lane finishes the record that it is at, as
//! for a revocation, what is buffered behind it is dropped, and the partition gets a new slot. So a result that comes
//! too late changes nothing, and no record of the new position is handled beside one of the old, unless that one takes
//! longer than `drain-timeout`.
//!
//! A revocation or a loss that comes meanwhile goes first: the slot is then no longer the partition's, which ends the
//! move.

use std::time::{Duration, SystemTime};

use kafka_boot_client::{GroupMetadata, PartitionOffset, TopicPartition};
use tracing::{info, warn};

use super::{PollExit, Poller};
use crate::listener::control::SeekTo;
use crate::listener::events::ListenerEventKind;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::requests::{Refusal, Reply, Request};
use crate::listener::tracker::Slot;

/// How long looking an offset up, and moving the client's position, may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(2);

/// A partition whose position is about to be moved.
pub(super) struct Seeking {
    partition: TopicPartition,
    /// What is in hand until then.
    slot: Slot,
    offset: i64,
    /// When it is moved, even if a record is still in hand.
    deadline: Duration,
    reply: Reply<i64>,
}

/// A moved position whose commit is not confirmed.
pub(super) struct Confirming {
    slot: Slot,
    offset: i64,
    deadline: Duration,
    reply: Reply<i64>,
}

impl<C: GroupConsumer> Poller<C> {
    /// Carries out what was asked for.
    pub(super) fn serve_requests(&mut self) {
        while let Some(request) = self.shared.requests.take() {
            match request {
                Request::PausePartition { partition, reply } => {
                    answer(reply, self.pause_partition(&partition));
                }
                Request::ResumePartition { partition, reply } => {
                    answer(reply, self.resume_partition(&partition));
                }
                Request::Seek { partition, to, reply } => self.begin_seek(partition, to, reply),
                Request::Membership { slot, reply } => answer(reply, self.membership(slot)),
                Request::Resize(room) => self.lanes.resize(room),
            }
        }
    }

    /// Who this consumer is in its group, for a lane that is about to commit. Not for one that was abandoned: its partition is
    /// about to be somebody else's. And never somebody who is no member: nobody would refuse what comes of it.
    fn membership(&self, slot: Slot) -> Result<GroupMetadata, Refusal> {
        if !self.partitions.contains_key(&slot) || self.lanes.has_ended(slot) {
            return Err(Refusal::NotAssigned);
        }
        self.consumer.group_metadata().filter(GroupMetadata::is_member).ok_or(Refusal::NotAssigned)
    }

    /// Whether no records of a partition are to be fetched, whatever room its lane has.
    pub(super) fn is_held(&self, partition: &TopicPartition) -> bool {
        let slot = self.rebalance.slot(partition);
        self.paused_by_user
            || self.shared.paused.contains(partition)
            || slot.is_some_and(|slot| self.pinning.contains(&slot))
            || self.seeks.iter().any(|seeking| slot == Some(seeking.slot))
    }

    fn pause_partition(&self, partition: &TopicPartition) -> Result<(), Refusal> {
        self.rebalance.slot(partition).ok_or(Refusal::NotAssigned)?;
        if self.shared.paused.insert(partition) {
            let partitions = vec![partition.clone()];
            self.pause_or_resume(&partitions, true);
            info!(listener = %self.shared.listener, %partition, "partition paused");
            self.tell_paused(partitions, true);
        }
        Ok(())
    }

    fn resume_partition(&self, partition: &TopicPartition) -> Result<(), Refusal> {
        // Whoever asks has done so already; but a pause that was asked for before may have come in between. Also where the
        // partition is being given up: its next owner would keep it paused.
        self.shared.paused.remove(partition);
        let slot = self.rebalance.slot(partition).ok_or(Refusal::NotAssigned)?;
        let partitions = vec![partition.clone()];
        if !self.is_held(partition) && !self.lanes.is_paused(slot) {
            self.pause_or_resume(&partitions, false);
        }
        info!(listener = %self.shared.listener, %partition, "partition resumed");
        self.tell_paused(partitions, false);
        Ok(())
    }

    fn begin_seek(&mut self, partition: TopicPartition, to: SeekTo, reply: Reply<i64>) {
        let Some(slot) = self.rebalance.slot(&partition) else {
            return answer(reply, Err(Refusal::NotAssigned));
        };
        let offset = match self.resolve(&partition, to) {
            Ok(offset) => offset,
            Err(refusal) => return answer(reply, Err(refusal)),
        };
        info!(listener = %self.shared.listener, %partition, offset, "the position is to be moved");
        if let Some(earlier) = self.seeks.iter_mut().find(|seeking| seeking.partition == partition) {
            earlier.offset = offset;
            return answer(std::mem::replace(&mut earlier.reply, reply), Err(Refusal::Superseded));
        }
        // Nothing more comes from the old position, and the lane ends after the record in hand.
        self.pause_or_resume(std::slice::from_ref(&partition), true);
        self.lanes.stop(slot);
        let deadline = self.now() + self.shared.options.drain_timeout;
        self.seeks.push(Seeking { partition, slot, offset, deadline, reply });
    }

    /// The offset that is meant, if the partition has it.
    fn resolve(&self, partition: &TopicPartition, to: SeekTo) -> Result<i64, Refusal> {
        let (first, end) = self.consumer.watermarks(partition, SEEK_TIMEOUT).map_err(Refusal::Client)?;
        let offset = match to {
            SeekTo::Beginning => first,
            SeekTo::End => end,
            SeekTo::Offset(offset) => offset,
            SeekTo::Timestamp(time) => {
                let wanted = PartitionOffset::new(partition.clone(), millis(time));
                let found =
                    self.consumer.offsets_for_times(&[wanted], SEEK_TIMEOUT).map_err(Refusal::Client)?;
                found.first().map(|found| found.offset).filter(|offset| *offset >= 0).unwrap_or(end)
            }
        };
        if (first..=end).contains(&offset) {
            Ok(offset)
        } else {
            Err(Refusal::OutOfRange { offset, first, end })
        }
    }

    /// Moves positions whose time has come.
    pub(super) fn advance_seeks(&mut self) {
        if self.seeks.is_empty() && self.confirming.is_empty() {
            return;
        }
        for seeking in std::mem::take(&mut self.seeks) {
            if let Some(seeking) = self.advance(seeking) {
                self.seeks.push(seeking);
            }
        }
        let now = self.now();
        for confirming in std::mem::take(&mut self.confirming) {
            let Confirming { slot, offset, deadline, .. } = confirming;
            let outcome = if !self.partitions.contains_key(&slot) {
                Err(Refusal::TakenBack)
            } else if self.tracker.confirmed(slot).is_some() {
                Ok(offset)
            } else if now >= deadline {
                Err(Refusal::NotCommitted { offset })
            } else {
                // Also where a commit that fails is not sent again by itself.
                self.committer.want(slot);
                self.confirming.push(confirming);
                continue;
            };
            answer(confirming.reply, outcome);
        }
    }

    /// When `advance_seeks` has something to do at the latest.
    pub(super) fn next_seek_deadline(&self) -> Option<Duration> {
        let seeks = self.seeks.iter().map(|seeking| seeking.deadline);
        seeks.chain(self.confirming.iter().map(|confirming| confirming.deadline)).min()
    }

    /// Moves one position, unless it has to wait.
    fn advance(&mut self, seeking: Seeking) -> Option<Seeking> {
        let Seeking { slot, offset, deadline, .. } = seeking;
        if self.rebalance.slot(&seeking.partition) != Some(slot) {
            answer(seeking.reply, Err(Refusal::TakenBack));
            return None;
        }
        let now = self.now();
        // A commit of the old position that is under way is waited for, so that the new one is the later one.
        let is_committing =
            self.committer.is_in_flight() && now < deadline + self.shared.options.commit_timeout;
        let is_in_hand = !self.lanes.has_ended(slot) && now < deadline;
        if is_committing || is_in_hand {
            return Some(seeking);
        }
        let position = PartitionOffset::new(seeking.partition.clone(), offset);
        if let Err(error) = self.consumer.seek(&[position], SEEK_TIMEOUT) {
            if now < deadline {
                warn!(listener = %self.shared.listener, partition = %seeking.partition, %error, "the position could not be moved yet; trying on");
                return Some(seeking);
            }
            // What was dropped would be left out if the consumer went on: it starts again at what is committed.
            self.fail(PollExit::Client(error.clone()));
            answer(seeking.reply, Err(Refusal::Client(error)));
            return None;
        }
        self.go_on_at(seeking);
        None
    }

    /// Whether somebody waits for where a slot begins to be committed.
    pub(super) fn is_confirming(&self, slot: Slot) -> bool {
        self.confirming.iter().any(|confirming| confirming.slot == slot)
    }

    /// Gives a partition a new slot, whose first offset is to be committed.
    fn go_on_at(&mut self, Seeking { partition, slot, offset, reply, .. }: Seeking) {
        let was_pinning = self.pinning.contains(&slot);
        self.rebalance.restart(&partition, &mut self.actions);
        self.carry_out();
        let Some(slot) = self.rebalance.slot(&partition) else {
            return answer(reply, Err(Refusal::TakenBack));
        };
        self.tracker.start_at(slot, offset);
        self.committer.want(slot);
        if was_pinning || self.commits_in_transactions() {
            // Nothing is committed yet that a later owner could go on from; or nothing must be committed before it, lest it
            // come behind that.
            self.pinning.insert(slot);
        }
        if !self.is_held(&partition) {
            self.pause_or_resume(std::slice::from_ref(&partition), false);
        }
        info!(listener = %self.shared.listener, %partition, offset, "position moved");
        let deadline = self.now() + self.shared.options.commit_timeout;
        self.confirming.push(Confirming { slot, offset, deadline, reply });
        self.tell(|consumer| ListenerEventKind::Sought { consumer, partition, offset });
    }
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, Refusal>) {
    // Nobody waiting any more is no reason to complain.
    drop(reply.send(outcome));
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
