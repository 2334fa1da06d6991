//! What the poll thread needs of a member of a consumer group: librdkafka's consumer, or one that a test makes up.
//!
//! Methods are those of [`Consumer`], where they are described.

use std::time::Duration;

use kafka_boot_client::{
    ClientError, CommitId, Consumer, ConsumerEvent, GroupMetadata, PartitionOffset, PartitionResults,
    Protocol, RawRecord, TopicPartition,
};

use crate::record::Stored;

/// A member of a consumer group, used by one thread.
pub(crate) trait GroupConsumer {
    /// What it hands out.
    type Record: PolledRecord;

    fn poll(
        &mut self,
        max: usize,
        timeout: Duration,
        records: &mut Vec<Self::Record>,
        events: &mut Vec<ConsumerEvent>,
    ) -> Result<(), ClientError>;
    fn rebalance_protocol(&self) -> Protocol;
    fn assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError>;
    fn incremental_assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError>;
    fn incremental_unassign(&self, partitions: &[TopicPartition]) -> Result<(), ClientError>;
    fn unassign_all(&self) -> Result<(), ClientError>;
    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), ClientError>;
    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), ClientError>;
    fn seek(&self, offsets: &[PartitionOffset], timeout: Duration) -> Result<(), ClientError>;
    fn commit(&self, offsets: &[PartitionOffset]) -> Result<CommitId, ClientError>;
    fn store_offsets(&self, offsets: &[PartitionOffset]) -> Result<PartitionResults, ClientError>;
    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError>;
    fn watermarks(&self, partition: &TopicPartition, timeout: Duration) -> Result<(i64, i64), ClientError>;
    fn offsets_for_times(
        &self,
        times: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError>;
    fn group_metadata(&self) -> Option<GroupMetadata>;
    /// Leaves the group. What the group still says has nobody left to concern.
    fn close(self, deadline: Duration) -> Result<(), ClientError>;
}

/// A record as a poll hands it out.
pub(crate) trait PolledRecord {
    /// A number that tells topics apart while the assignment lasts.
    fn topic_id(&self) -> usize;
    fn topic(&self) -> &str;
    fn partition(&self) -> i32;
    fn into_stored(self) -> Stored;
}

impl PolledRecord for RawRecord {
    fn topic_id(&self) -> usize {
        RawRecord::topic_id(self)
    }

    fn topic(&self) -> &str {
        RawRecord::topic(self)
    }

    fn partition(&self) -> i32 {
        RawRecord::partition(self)
    }

    fn into_stored(self) -> Stored {
        Stored::Raw(self)
    }
}

impl GroupConsumer for Consumer {
    type Record = RawRecord;

    fn poll(
        &mut self,
        max: usize,
        timeout: Duration,
        records: &mut Vec<RawRecord>,
        events: &mut Vec<ConsumerEvent>,
    ) -> Result<(), ClientError> {
        Consumer::poll(self, max, timeout, records, events)
    }

    fn rebalance_protocol(&self) -> Protocol {
        Consumer::rebalance_protocol(self)
    }

    fn assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        Consumer::assign(self, partitions)
    }

    fn incremental_assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        Consumer::incremental_assign(self, partitions)
    }

    fn incremental_unassign(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        Consumer::incremental_unassign(self, partitions)
    }

    fn unassign_all(&self) -> Result<(), ClientError> {
        Consumer::unassign_all(self)
    }

    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        Consumer::pause(self, partitions)
    }

    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        Consumer::resume(self, partitions)
    }

    fn seek(&self, offsets: &[PartitionOffset], timeout: Duration) -> Result<(), ClientError> {
        Consumer::seek(self, offsets, timeout)
    }

    fn commit(&self, offsets: &[PartitionOffset]) -> Result<CommitId, ClientError> {
        Consumer::commit(self, offsets)
    }

    fn store_offsets(&self, offsets: &[PartitionOffset]) -> Result<PartitionResults, ClientError> {
        Consumer::store_offsets(self, offsets)
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        Consumer::committed(self, partitions, timeout)
    }

    fn watermarks(&self, partition: &TopicPartition, timeout: Duration) -> Result<(i64, i64), ClientError> {
        Consumer::watermarks(self, partition, timeout)
    }

    fn offsets_for_times(
        &self,
        times: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        Consumer::offsets_for_times(self, times, timeout)
    }

    fn group_metadata(&self) -> Option<GroupMetadata> {
        Consumer::group_metadata(self)
    }

    fn close(self, deadline: Duration) -> Result<(), ClientError> {
        Consumer::close(self, deadline, |_, _| {})
    }
}
