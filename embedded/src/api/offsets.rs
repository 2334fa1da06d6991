//! `ListOffsets`, `OffsetForLeaderEpoch` and `DeleteRecords`: where logs begin and end.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::{ANY_EPOCH, Caller, NONE, code_of};
use crate::cluster::leadership::EpochEnd;
use crate::log::partition::Position;
use crate::state::State;

/// The numbers that stand for places rather than times.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

const READ_COMMITTED: i8 = 1;

/// The end of the log, in `DeleteRecords`.
const HIGH_WATERMARK: i64 = -1;

/// The first version that tells the epoch of an offset.
const FIRST_WITH_EPOCH: i16 = 4;

const NOWHERE: Position = Position { offset: -1, timestamp: -1 };

/// Where something lies, and the epoch of the leader who wrote it.
struct Found {
    position: Position,
    leader_epoch: i32,
}

pub(super) fn list(
    state: &State,
    caller: &Caller,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let committed_only = request.isolation_level == READ_COMMITTED;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let found = find(state, caller, &topic.name, asked, committed_only);
            let code = code_of(&found);
            let Found { position, leader_epoch } =
                found.unwrap_or(Found { position: NOWHERE, leader_epoch: -1 });
            let epoch = if version >= FIRST_WITH_EPOCH && position.offset >= 0 { leader_epoch } else { -1 };
            ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code)
                .with_timestamp(position.timestamp)
                .with_offset(position.offset)
                .with_leader_epoch(epoch)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn find(
    state: &State,
    caller: &Caller,
    topic: &str,
    asked: &ListOffsetsPartition,
    committed_only: bool,
) -> Result<Found, ResponseError> {
    let partition =
        state.topics.partition(topic, asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let leadership = partition.leadership();
    leadership.check(caller.node, asked.current_leader_epoch)?;
    let at = |offset| Position { offset, timestamp: -1 };
    let position = match asked.timestamp {
        LATEST if committed_only => at(partition.stable_end()),
        LATEST => at(partition.span().end),
        EARLIEST | EARLIEST_LOCAL => at(partition.span().start),
        MAX_TIMESTAMP => partition.latest_timestamp().unwrap_or(NOWHERE),
        LATEST_TIERED => NOWHERE,
        timestamp => partition.first_since(timestamp).unwrap_or(NOWHERE),
    };
    let leader_epoch = leadership.epoch_at(position.offset);
    Ok(Found { position, leader_epoch })
}

pub(super) fn for_leader_epoch(
    state: &State,
    caller: &Caller,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let end = EpochEndOffset::default().with_partition(asked.partition);
            match end_of_epoch(state, caller, &topic.topic, asked) {
                Ok(Some(EpochEnd { epoch, offset })) => end.with_leader_epoch(epoch).with_end_offset(offset),
                Ok(None) => end,
                Err(error) => end.with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn end_of_epoch(
    state: &State,
    caller: &Caller,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<EpochEnd>, ResponseError> {
    let partition =
        state.topics.partition(topic, asked.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let leadership = partition.leadership();
    leadership.check(caller.node, asked.current_leader_epoch)?;
    let span = partition.span();
    let end = leadership.end_of(asked.leader_epoch, span.end);
    // What was written before the log begins is gone.
    Ok(end.map(|end| EpochEnd { offset: end.offset.max(span.start), ..end }))
}

pub(super) fn delete_records(
    state: &State,
    caller: &Caller,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| delete_in_topic(state, caller, topic));
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn delete_in_topic(state: &State, caller: &Caller, asked: DeleteRecordsTopic) -> DeleteRecordsTopicResult {
    let topic = state.topics.by_name(&asked.name);
    let delete = |index: i32, offset: i64| -> Result<i64, ResponseError> {
        let topic = topic.as_ref().ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = topic.partition(index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let leadership = partition.leadership();
        leadership.check(caller.node, ANY_EPOCH)?;
        if !topic.behaviour().deletes {
            return Err(ResponseError::PolicyViolation);
        }
        let until = if offset == HIGH_WATERMARK { partition.span().end } else { offset };
        partition.delete_until(until)
    };
    let partitions = asked.partitions.iter().map(|asked| {
        let result = delete(asked.partition_index, asked.offset);
        DeleteRecordsPartitionResult::default()
            .with_partition_index(asked.partition_index)
            .with_error_code(result.as_ref().err().map_or(NONE, ResponseError::code))
            .with_low_watermark(result.unwrap_or(-1))
    });
    let partitions = partitions.collect();
    DeleteRecordsTopicResult::default().with_name(asked.name).with_partitions(partitions)
}
