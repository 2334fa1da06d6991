//! `OffsetCommit`, `OffsetFetch` and `OffsetDelete`.

use kafka_protocol::error::ResponseError;
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

use super::{Caller, code_of, text};
use crate::cluster::Coordinated;
use crate::group::{CommittedOffset, Committer, Group};
use crate::state::State;

/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4_096;

pub(super) fn commit(state: &State, request: OffsetCommitRequest, version: i16) -> OffsetCommitResponse {
    let who = Committer {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let check = |group: &mut Group, now_ms| group.check_commit(now_ms, who, version);
    let allowed = if who.generation < 0 {
        // A consumer without a group's membership makes the group with its first commit.
        state.groups.with_new(&request.group_id, check).flatten()
    } else {
        let unknown =
            if version < 9 { ResponseError::IllegalGeneration } else { ResponseError::GroupIdNotFound };
        state.groups.with(&request.group_id, check).unwrap_or(Err(unknown))
    };
    let now_ms = state.stopwatch.wall_ms();
    let retained_ms = request.retention_time_ms;
    let expires_ms = (retained_ms >= 0).then(|| now_ms.saturating_add(retained_ms));
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let result = allowed.and_then(|()| {
                let offset = CommittedOffset {
                    offset: asked.committed_offset,
                    leader_epoch: asked.committed_leader_epoch,
                    metadata: asked.committed_metadata.map(|text| text.to_string()).unwrap_or_default(),
                    committed_ms: now_ms,
                    expires_ms,
                };
                commit_one(state, &request.group_id, &topic.name, index, offset)
            });
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
    index: i32,
    offset: CommittedOffset,
) -> Result<(), ResponseError> {
    check_offset(state, topic, index, &offset)?;
    let committed = state
        .groups
        .with(group_id, |group, _| group.offsets.commit(&state.offsets, group_id, topic, index, offset));
    committed.ok_or(ResponseError::GroupIdNotFound)?
}

/// Whether an offset may be committed, whoever commits it.
pub(super) fn check_offset(
    state: &State,
    topic: &str,
    partition: i32,
    offset: &CommittedOffset,
) -> Result<(), ResponseError> {
    if offset.metadata.len() > MAX_METADATA_BYTES {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let known = state.topics.partition(topic, partition).is_some();
    if known { Ok(()) } else { Err(ResponseError::UnknownTopicOrPartition) }
}

/// What is asked for: everything, or these partitions.
type Asked = Option<Vec<(TopicName, Vec<i32>)>>;

/// What one group has committed for a topic, in no version's form.
struct Fetched {
    topic: TopicName,
    partitions: Vec<(i32, Result<CommittedOffset, ResponseError>)>,
}

fn nothing_committed() -> CommittedOffset {
    CommittedOffset {
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        committed_ms: -1,
        expires_ms: None,
    }
}

fn fetch_group(state: &State, group_id: &GroupId, asked: &Asked, stable_only: bool) -> Vec<Fetched> {
    let found = state.groups.with(group_id, |group, _| fetch_from(group, asked, stable_only));
    // A group that does not exist has committed nothing.
    found.unwrap_or_else(|| fetch_from(&Group::default(), asked, stable_only))
}

fn fetch_from(group: &Group, asked: &Asked, stable_only: bool) -> Vec<Fetched> {
    let fetch = |topic: &TopicName, indexes: &mut dyn Iterator<Item = i32>| Fetched {
        topic: topic.clone(),
        partitions: indexes.map(|index| (index, standing(group, topic, index, stable_only))).collect(),
    };
    let Some(topics) = asked else {
        let all = group.offsets.all();
        return all.map(|(topic, mut partitions)| fetch(&TopicName(text(topic)), &mut partitions)).collect();
    };
    topics.iter().map(|(topic, indexes)| fetch(topic, &mut indexes.iter().copied())).collect()
}

fn standing(
    group: &Group,
    topic: &str,
    index: i32,
    stable_only: bool,
) -> Result<CommittedOffset, ResponseError> {
    if stable_only && group.offsets.is_unstable(topic, index) {
        return Err(ResponseError::UnstableOffsetCommit);
    }
    Ok(group.offsets.get(topic, index).cloned().unwrap_or_else(nothing_committed))
}

pub(super) fn fetch(
    state: &State,
    caller: &Caller,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    if version < 8 {
        let asked = request
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics = fetch_group(state, &request.group_id, &asked, request.require_stable).into_iter().map(
            |fetched| {
                let partitions = fetched.partitions.into_iter().map(|(index, standing)| {
                    let code = code_of(&standing);
                    let committed = standing.unwrap_or_else(|_| nothing_committed());
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(code)
                        .with_committed_offset(committed.offset)
                        .with_committed_leader_epoch(committed.leader_epoch)
                        .with_metadata(Some(text(committed.metadata)))
                });
                let partitions = partitions.collect();
                OffsetFetchResponseTopic::default().with_name(fetched.topic).with_partitions(partitions)
            },
        );
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        if !state.cluster.coordinates(caller.node, Coordinated::Group, &group.group_id) {
            let error = ResponseError::NotCoordinator.code();
            return OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(error);
        }
        let checked = state.groups.with(&group.group_id, |known, _| {
            known.check_fetch(group.member_id.as_deref(), group.member_epoch)
        });
        if let Some(Err(error)) = checked {
            return OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_error_code(error.code());
        }
        let asked = group
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics =
            fetch_group(state, &group.group_id, &asked, request.require_stable).into_iter().map(|fetched| {
                let partitions = fetched.partitions.into_iter().map(|(index, standing)| {
                    let code = code_of(&standing);
                    let committed = standing.unwrap_or_else(|_| nothing_committed());
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_error_code(code)
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
    if request.group_id.is_empty() {
        return OffsetDeleteResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    let deleted = state.groups.with(&request.group_id, |group, _| {
        group.check_offset_deletion()?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code_of(
                    &delete_one(state, &request.group_id, group, &topic.name, index),
                ))
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        Ok(OffsetDeleteResponse::default().with_topics(topics.collect()))
    });
    deleted
        .unwrap_or(Err(ResponseError::GroupIdNotFound))
        .unwrap_or_else(|error| OffsetDeleteResponse::default().with_error_code(error.code()))
}

fn delete_one(
    state: &State,
    group_id: &str,
    group: &mut Group,
    topic: &str,
    index: i32,
) -> Result<(), ResponseError> {
    if state.topics.partition(topic, index).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    if group.subscribes(topic) {
        return Err(ResponseError::GroupSubscribedToTopic);
    }
    group.offsets.forget(&state.offsets, group_id, topic, index)
}
