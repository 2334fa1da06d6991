//! Where a partition is read from when it is taken over, and what of it is done already.

use std::time::Duration;

use kafka_boot_client::{ClientError, PartitionOffset, TopicPartition};
use tracing::{info, warn};

use super::Poller;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::offset_map::OffsetMap;
use crate::listener::tracker::Slot;

/// How long looking an offset up may take while partitions are taken over.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// How often offsets with maps are asked for. Without them, records that are done would be handled again.
const LOOK_UPS_MAX: usize = 3;

impl<C: GroupConsumer> Poller<C> {
    /// Where to read from: the committed offset. With `auto-offset-reset: latest`, a partition that has none starts at
    /// its end *as of now*, and is not read before that is committed: resolved later, or again after a crash, "latest"
    /// would skip what came meanwhile.
    pub(super) fn start_offsets(&mut self, partitions: &[TopicPartition]) -> Vec<PartitionOffset> {
        let Some(by_hand) = &self.by_hand else { return self.group_offsets(partitions) };
        let given = partitions.iter().filter_map(|partition| Some((partition, by_hand.start(partition)?)));
        let mut start: Vec<_> =
            given.map(|(partition, offset)| PartitionOffset::new(partition.clone(), offset)).collect();
        let is_open = |partition: &&TopicPartition| by_hand.start(partition).is_none();
        let others: Vec<_> = partitions.iter().filter(is_open).cloned().collect();
        start.extend(self.group_offsets(&others));
        start
    }

    /// Where to go on with what the group had, or begin.
    fn group_offsets(&mut self, partitions: &[TopicPartition]) -> Vec<PartitionOffset> {
        let (at_latest, with_maps) = (self.shared.options.start_at_latest, self.has_maps());
        if partitions.is_empty() || !(at_latest || with_maps) {
            return at_committed(partitions);
        }
        let mut start = match self.look_up(partitions, if with_maps { LOOK_UPS_MAX } else { 1 }) {
            Ok(start) => start,
            Err(error) => {
                let lost = match (at_latest, with_maps) {
                    (true, false) => "the client will look up where `latest` is, with its first fetch",
                    _ => "records that were finished out of order are handled again",
                };
                warn!(listener = %self.shared.listener, %error, "could not look up committed offsets: {lost}");
                return at_committed(partitions);
            }
        };
        if with_maps {
            self.take_over(&start);
        }
        for offset in &mut start {
            offset.metadata = None;
        }
        if at_latest && let Err(error) = self.pin_latest(&mut start) {
            warn!(listener = %self.shared.listener, %error, "could not look up where `latest` is; the client will, with its first fetch");
        }
        start
    }

    /// Whether what is done beyond the committed offset is kept beside it.
    pub(super) fn has_maps(&self) -> bool {
        self.shared.options.plan.unordered
    }

    fn look_up(
        &self,
        partitions: &[TopicPartition],
        tries: usize,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let mut result = self.consumer.committed(partitions, LOOK_UP_TIMEOUT);
        for _ in 1..tries {
            if result.as_ref().is_err_and(ClientError::is_retriable) {
                result = self.consumer.committed(partitions, LOOK_UP_TIMEOUT);
            }
        }
        result
    }

    /// Reads what the last owners had finished beyond the committed offsets.
    fn take_over(&mut self, committed: &[PartitionOffset]) {
        for offset in committed.iter().filter(|offset| offset.offset >= 0) {
            let (Some(slot), Some(metadata)) = (self.rebalance.slot(&offset.partition), &offset.metadata)
            else {
                continue;
            };
            let (listener, partition) = (&self.shared.listener, &offset.partition);
            match OffsetMap::decode(offset.offset, metadata) {
                Ok(None) => {}
                Ok(Some(map)) => {
                    info!(%listener, %partition, offset = offset.offset, finished = map.len(), "records beyond the committed offset are done already");
                    #[cfg(feature = "seeded-bugs")]
                    if crate::seeded::is(crate::seeded::Bug::MapIsLost) {
                        continue;
                    }
                    self.tracker.take_over(slot, map);
                }
                Err(error) => {
                    warn!(%listener, %partition, offset = offset.offset, %error, "commit metadata ignored: records finished out of order may be handled again");
                }
            }
        }
    }

    /// Lets partitions without a committed offset start at their end.
    fn pin_latest(&mut self, start: &mut [PartitionOffset]) -> Result<(), ClientError> {
        for offset in start.iter_mut().filter(|offset| offset.offset < 0) {
            let (_, end) = self.consumer.watermarks(&offset.partition, LOOK_UP_TIMEOUT)?;
            offset.offset = end;
            let Some(slot) = self.rebalance.slot(&offset.partition) else { continue };
            self.tracker.start_at(slot, end);
            self.committer.want(slot);
            self.pinning.insert(slot);
        }
        Ok(())
    }

    /// Where a partition starts is committed: it may be read.
    pub(super) fn pinned(&mut self, slot: Slot) {
        if !self.pinning.remove(&slot) {
            return;
        }
        let Some(partition) = self.partitions.get(&slot) else { return };
        if !self.is_held(partition) && !self.lanes.is_paused(slot) {
            self.pause_or_resume(std::slice::from_ref(partition), false);
        }
    }
}

fn at_committed(partitions: &[TopicPartition]) -> Vec<PartitionOffset> {
    let at = |partition: &TopicPartition| PartitionOffset::new(partition.clone(), PartitionOffset::COMMITTED);
    partitions.iter().map(at).collect()
}
