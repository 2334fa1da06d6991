//! `OffsetCommit`, `OffsetFetch` and `OffsetDelete`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::group_admin::subscribes;
use super::{NONE, code_of, text};
use crate::group::{CommittedOffset, Group};
use crate::state::State;

/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4_096;

pub(super) fn commit(state: &State, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let instance = request.group_instance_id.as_deref();
    let generation = request.generation_id_or_member_epoch;
    let check =
        |group: &mut Group, now_ms| group.check_commit(now_ms, &request.member_id, instance, generation);
    let allowed = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else if generation < 0 {
        // A consumer without a group's membership makes the group with its first commit.
        state.groups.with_new(&request.group_id, check).flatten()
    } else {
        state.groups.with(&request.group_id, check).unwrap_or(Err(ResponseError::IllegalGeneration))
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let result = allowed.and_then(|()| commit_one(state, &request.group_id, &topic.name, asked));
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code_of(&result))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn commit_one(
    state: &State,
    group_id: &str,
    topic: &str,
    asked: OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let metadata = asked.committed_metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    if state.topics.partition(topic, asked.partition_index).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let offset = CommittedOffset {
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata,
    };
    state
        .groups
        .with(group_id, |group, _| group.offsets.commit(topic, asked.partition_index, offset))
        .ok_or(ResponseError::GroupIdNotFound)
}

/// What one group has committed, in no version's form.
struct Fetched {
    topic: TopicName,
    partitions: Vec<(i32, CommittedOffset)>,
}

fn nothing_committed() -> CommittedOffset {
    CommittedOffset { offset: -1, leader_epoch: -1, metadata: String::new() }
}

fn fetch_group(state: &State, group_id: &GroupId, asked: Option<Vec<(TopicName, Vec<i32>)>>) -> Vec<Fetched> {
    let look = |group: Option<&Group>| match asked {
        None => group.map(everything).unwrap_or_default(),
        Some(topics) => topics
            .into_iter()
            .map(|(topic, indexes)| {
                let committed = |index| group.and_then(|group| group.offsets.get(&topic, index)).cloned();
                let partitions = indexes
                    .into_iter()
                    .map(|index| (index, committed(index).unwrap_or_else(nothing_committed)))
                    .collect();
                Fetched { topic, partitions }
            })
            .collect(),
    };
    let mut look = Some(look);
    let found = state.groups.with(group_id, |group, _| look.take().map(|look| look(Some(group))));
    found.flatten().or_else(|| look.map(|look| look(None))).unwrap_or_default()
}

fn everything(group: &Group) -> Vec<Fetched> {
    let all = group.offsets.all().map(|(topic, partitions)| Fetched {
        topic: TopicName(text(topic)),
        partitions: partitions.iter().map(|(index, offset)| (*index, offset.clone())).collect(),
    });
    all.collect()
}

pub(super) fn fetch(state: &State, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version < 8 {
        let asked = request
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics = fetch_group(state, &request.group_id, asked).into_iter().map(|fetched| {
            let partitions = fetched.partitions.into_iter().map(|(index, committed)| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(committed.metadata)))
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopic::default().with_name(fetched.topic).with_partitions(partitions)
        });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let asked = group
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics = fetch_group(state, &group.group_id, asked).into_iter().map(|fetched| {
            let partitions = fetched.partitions.into_iter().map(|(index, committed)| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(committed.metadata)))
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopics::default().with_name(fetched.topic).with_partitions(partitions)
        });
        let topics = topics.collect();
        OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

pub(super) fn delete(state: &State, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
    let deleted = state.groups.with(&request.group_id, |group, _| {
        let topics = request.topics.iter().map(|topic| {
            let subscribed = subscribes(group, &topic.name);
            let partitions = topic.partitions.iter().map(|partition| {
                let code = if subscribed {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    group.offsets.forget(&topic.name, partition.partition_index);
                    NONE
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        OffsetDeleteResponse::default().with_topics(topics.collect())
    });
    deleted.unwrap_or_else(|| {
        OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code())
    })
}
