//! Partitions that are assigned by hand: read without membership in the group, from where the configuration says.

use std::collections::HashMap;
use std::time::Duration;

use kafka_boot_client::{ClientError, ErrorKind, PartitionOffset, TopicPartition};
use tracing::warn;

use super::{PollExit, Poller};
use crate::config::StartAt;
use crate::listener::group_consumer::GroupConsumer;

/// How long looking an offset up may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a consumer reads without the group's help.
#[derive(Debug, Default)]
pub(super) struct ByHand {
    /// What is not assigned yet.
    pending: Option<Vec<(TopicPartition, StartAt)>>,
    /// When the next try is due.
    due: Duration,
    /// Where partitions start that do not start at the committed offset.
    starts: HashMap<TopicPartition, i64>,
}

impl ByHand {
    /// When the next try is due, if there is one.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.pending.as_ref().map(|_| self.due)
    }

    /// Where a partition starts, if not at the committed offset.
    pub(super) fn start(&self, partition: &TopicPartition) -> Option<i64> {
        self.starts.get(partition).copied()
    }
}

impl<C: GroupConsumer> Poller<C> {
    /// The same consumer, with these partitions instead of those that a group gives it.
    pub(crate) fn with_partitions(mut self, partitions: Vec<(TopicPartition, StartAt)>) -> Self {
        self.by_hand = Some(ByHand { pending: Some(partitions), ..ByHand::default() });
        self
    }

    /// Assigns the partitions, as soon as it is known where they start.
    pub(super) fn assign_by_hand(&mut self) {
        let now = self.now();
        let Some(pending) = self.by_hand.as_ref().filter(|by_hand| now >= by_hand.due) else { return };
        let Some(partitions) = pending.pending.clone() else { return };
        let starts = self.look_starts_up(&partitions);
        let Some(by_hand) = &mut self.by_hand else { return };
        match starts {
            Ok(starts) => {
                for (partition, offset) in &starts {
                    self.shared.positions.moved(partition, *offset);
                }
                *by_hand = ByHand { starts, ..ByHand::default() };
                let partitions = partitions.into_iter().map(|(partition, _)| partition).collect();
                self.rebalance.assigned(partitions, now, &mut self.actions);
                self.carry_out();
            }
            Err(error) => {
                by_hand.due = now + RETRY_INTERVAL;
                warn!(listener = %self.shared.listener, %error, "could not look up where partitions start; trying on");
            }
        }
    }

    fn look_starts_up(
        &self,
        partitions: &[(TopicPartition, StartAt)],
    ) -> Result<HashMap<TopicPartition, i64>, ClientError> {
        let mut starts = HashMap::new();
        for (partition, start) in partitions {
            let offset = match start {
                StartAt::Committed => continue,
                _ if let Some(offset) = self.shared.positions.of(partition) => offset,
                StartAt::Offset(offset) => *offset,
                StartAt::Beginning => self.consumer.watermarks(partition, LOOK_UP_TIMEOUT)?.0,
                // "The end" is that of now: resolved with the first fetch, it would skip what comes meanwhile.
                StartAt::End => self.consumer.watermarks(partition, LOOK_UP_TIMEOUT)?.1,
                StartAt::Timestamp(millis) => self.first_since(partition, *millis)?,
            };
            starts.insert(partition.clone(), offset);
        }
        Ok(starts)
    }

    fn first_since(&self, partition: &TopicPartition, millis: i64) -> Result<i64, ClientError> {
        let wanted = [PartitionOffset::new(partition.clone(), millis)];
        let found = self.consumer.offsets_for_times(&wanted, LOOK_UP_TIMEOUT)?;
        match found.first().map(|found| found.offset).filter(|offset| *offset >= 0) {
            Some(offset) => Ok(offset),
            None => Ok(self.consumer.watermarks(partition, LOOK_UP_TIMEOUT)?.1),
        }
    }

    /// A group with members takes commits of nobody else: offsets would never be kept.
    pub(super) fn refuse_shared_group(&mut self, refusal: &ClientError) {
        let is_members_only =
            matches!(refusal.kind(), ErrorKind::UnknownMember | ErrorKind::IllegalGeneration);
        if self.by_hand.is_some() && is_members_only {
            let group = &self.shared.group;
            self.fail(PollExit::Broken(format!(
                "group `{group}` has members, and takes no commits of a listener whose `partitions` are assigned by \
                 hand: give that listener a `group-id` of its own"
            )));
        }
    }
}
