//! Offsets of partitions: where they begin and end, and cutting their beginning off.

use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::{rd_kafka_OffsetSpec_t, rd_kafka_admin_op_t};

use super::Admin;
use super::native::{Arguments, elements};
use crate::error::ClientError;
use crate::partition::{
    PartitionList, PartitionOffset, PartitionResults, TopicPartition, read_results, result_of,
};

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// That of the first record that is still there.
    Earliest,
    /// The one the next record will get.
    Latest,
    /// That of the first record at or after a time, in milliseconds since the Unix epoch.
    AtOrAfter(i64),
    /// That of the record with the latest time.
    MaxTimestamp,
}

impl OffsetSpec {
    fn native(self) -> i64 {
        match self {
            Self::Earliest => rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
            Self::Latest => rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
            Self::MaxTimestamp => rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_MAX_TIMESTAMP as i64,
            Self::AtOrAfter(millis) => millis,
        }
    }
}

/// An offset that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` when no record is that late.
    pub offset: Option<i64>,
    /// The record's time in milliseconds since the Unix epoch, when the question was about times.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, where known.
    pub leader_epoch: Option<i32>,
}

impl Admin {
    /// An offset of each of `partitions`.
    pub async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        deadline: Duration,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, ClientError>)>, ClientError> {
        const DOING: &str = "list offset";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let wanted: Vec<_> = partitions
                .iter()
                .map(|(partition, spec)| PartitionOffset::new(partition.clone(), spec.native()))
                .collect();
            let list = PartitionList::of_offsets(&wanted)?;
            self.start(
                rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
                DOING,
                deadline,
                // SAFETY: all live for the call; the request copies the list.
                |client, options, queue| unsafe {
                    rdsys::rd_kafka_ListOffsets(client, list.as_ptr(), options, queue);
                },
            )?
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_ListOffsets_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_ListOffsets_result_infos(result, count));
            Ok(found
                .iter()
                .map(|info| {
                    let partition = rdsys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                    let timestamp = rdsys::rd_kafka_ListOffsetsResultInfo_timestamp(*info);
                    let (offset, outcome) = result_of(&*partition, DOING);
                    let listed = ListedOffset {
                        offset: (offset.offset >= 0).then_some(offset.offset),
                        timestamp: (timestamp >= 0).then_some(timestamp),
                        leader_epoch: offset.leader_epoch,
                    };
                    (offset.partition, outcome.map(|()| listed))
                })
                .collect())
        }
    }

    /// Deletes the records before each offset ([`PartitionOffset::END`] deletes all); `offset` in the results is the
    /// new beginning of the partition.
    pub async fn delete_records(
        &self,
        before: &[PartitionOffset],
        deadline: Duration,
    ) -> Result<PartitionResults, ClientError> {
        const DOING: &str = "delete records";
        if before.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let list = PartitionList::of_offsets(before)?;
            let mut arguments = Arguments::new(rdsys::rd_kafka_DeleteRecords_destroy);
            // SAFETY: the list is copied; the argument is destroyed by its list.
            unsafe { arguments.push(rdsys::rd_kafka_DeleteRecords_new(list.as_ptr())) };
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_DeleteRecords,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DeleteRecords_result(event.as_ptr());
            Ok(read_results(rdsys::rd_kafka_DeleteRecords_result_offsets(result), DOING))
        }
    }
}
