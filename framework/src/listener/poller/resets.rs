//! Offsets that were to be read next and are not there: retention was faster, or the partition is another one, or shorter, than
//! it was. librdkafka goes on where `auto-offset-reset` says; here it is told and counted, and librdkafka's own position put
//! right.
//!
//! Polled in batches, librdkafka 2.12 moves the position from which it goes on after a pause only forward. When a partition was
//! moved back, a pause would therefore lead back to the old offset, and everything up to there be left out.

use std::time::Duration;

use kafka_boot_client::{PartitionOffset, TopicPartition};
use tracing::warn;

use super::Poller;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::tracker::Slot;
use crate::record::Stored;

impl<C: GroupConsumer> Poller<C> {
    /// The client gave a position up.
    pub(super) fn offset_reset(&mut self, partition: &TopicPartition, from: i64) {
        let Some(slot) = self.rebalance.slot(partition) else { return };
        warn!(listener = %self.shared.listener, group = %self.shared.group, %partition, from, "the offset to read is not there: going on where `auto-offset-reset` says");
        self.resets.insert(slot, from);
    }

    /// Counts what was left out, with the first records that come after a reset.
    pub(super) fn count_gone(&mut self, slot: Slot, partition: &TopicPartition, records: &[Stored]) {
        let Some(&from) = self.resets.get(&slot) else { return };
        // What comes before it was fetched before the reset.
        let Some(to) = records.iter().map(Stored::offset).find(|offset| *offset >= from) else { return };
        self.resets.remove(&slot);
        let skipped = u64::try_from(to - from).unwrap_or_default();
        if skipped > 0 {
            self.shared.metrics.gone.increment(skipped);
            warn!(listener = %self.shared.listener, group = %self.shared.group, %partition, from, to, skipped, "records were gone before they were read");
        }
    }

    /// Lets the client go on behind these records, also after a pause.
    pub(super) fn set_position_behind(&mut self, slot: Slot, partition: &TopicPartition, records: &[Stored]) {
        self.resets.remove(&slot);
        if let Some(last) = records.last() {
            self.seek_to(partition, last.offset() + 1);
        }
    }

    /// Lets partitions that are about to go on after a pause begin where they were reset to, if nothing came of them since.
    pub(super) fn set_positions_reset(&self, partitions: &[TopicPartition]) {
        if self.resets.is_empty() || self.shared.options.start_at_latest {
            return;
        }
        for partition in partitions {
            let Some(slot) = self.rebalance.slot(partition) else { continue };
            if let Some(from) = self.resets.get(&slot)
                && self.tracker.last_delivered(slot) == Some(from - 1)
            {
                self.seek_to(partition, PartitionOffset::BEGINNING);
            }
        }
    }

    fn seek_to(&self, partition: &TopicPartition, offset: i64) {
        let position = PartitionOffset::new(partition.clone(), offset);
        if let Err(error) = self.consumer.seek(&[position], Duration::ZERO) {
            warn!(listener = %self.shared.listener, %partition, %error, "the position could not be put right");
        }
    }
}
