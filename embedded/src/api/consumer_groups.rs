//! The group protocol of KIP-848: `ConsumerGroupHeartbeat` and `ConsumerGroupDescribe`.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment as DescribedAssignment, DescribedGroup, Member as DescribedMember,
    TopicPartitions as DescribedPartitions,
};
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Caller, text};
use crate::cluster::Coordinated;
use crate::group::consumer::{
    Assignor, ConsumerGroup, Heartbeat, JOINING, LEAVING_FOR_A_WHILE, Member, Partitions, Refused,
};
use crate::group::{Group, Kind};
use crate::state::State;

/// The first version in which a member makes its own id, and can subscribe by an expression.
const FIRST_WITH_OWN_IDS: i16 = 1;

/// The kinds of members, by their protocol, in `ConsumerGroupDescribe`.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(super) fn heartbeat(
    state: &State,
    caller: &Caller,
    client_id: &str,
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
) -> ConsumerGroupHeartbeatResponse {
    let answered = check(request, version).and_then(|()| {
        if request.member_epoch < JOINING {
            return leave(state, request);
        }
        let group_id = request.group_id.as_str();
        let beat = said(caller, client_id, request)?;
        let (place, interval_ms) = state.groups.consumer_heartbeat(group_id, beat, &state.topics)?;
        Ok(ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(place.member_id)))
            .with_member_epoch(place.epoch)
            .with_heartbeat_interval_ms(i32::try_from(interval_ms).unwrap_or(i32::MAX))
            .with_assignment(place.assignment.map(|partitions| {
                let topics = by_topic(&partitions).map(|(topic_id, partitions)| {
                    TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions)
                });
                Assignment::default().with_topic_partitions(topics.collect())
            })))
    });
    answered.unwrap_or_else(|(error, message)| {
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(message)))
    })
}

fn leave(
    state: &State,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
    let instance = request.instance_id.as_deref();
    let epoch = request.member_epoch;
    state.groups.consumer_leave(&request.group_id, &request.member_id, instance, epoch)?;
    Ok(ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(request.member_id.clone()))
        .with_member_epoch(epoch))
}

/// Whether the request says what one of its epoch has to say.
fn check(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), Refused> {
    let refuse = |why: &str| Err((ResponseError::InvalidRequest, why.to_owned()));
    let is_empty = |value: &Option<StrBytes>| value.as_ref().is_some_and(|value| value.is_empty());
    let epoch = request.member_epoch;
    if request.group_id.is_empty() {
        return refuse("the group id is empty");
    }
    if is_empty(&request.instance_id) || is_empty(&request.rack_id) {
        return refuse("the instance id or the rack id is empty; a member that has none leaves it out");
    }
    if request.member_id.is_empty() && (version >= FIRST_WITH_OWN_IDS || epoch != JOINING) {
        return refuse("the member id is empty");
    }
    if epoch < LEAVING_FOR_A_WHILE {
        return refuse("the member epoch is less than -2");
    }
    if epoch == LEAVING_FOR_A_WHILE && request.instance_id.is_none() {
        return refuse("only a member with an instance id can leave for a while");
    }
    if epoch != JOINING {
        return Ok(());
    }
    if request.rebalance_timeout_ms < 0 {
        return refuse("a member that joins has to say its rebalance timeout");
    }
    if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return refuse("a member that joins has to say that it owns no partitions");
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return refuse("a member that joins has to say what it subscribes to");
    }
    Ok(())
}

fn said(
    caller: &Caller,
    client_id: &str,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<Heartbeat, Refused> {
    let string = |value: &Option<StrBytes>| value.as_ref().map(ToString::to_string);
    let member_id = match request.member_id.as_str() {
        "" => Uuid::new_v4().to_string(),
        id => id.to_owned(),
    };
    let owned = request.topic_partitions.as_ref().map(|topics| {
        let partitions =
            topics.iter().map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)));
        partitions.flatten().collect()
    });
    let names = request.subscribed_topic_names.as_ref();
    Ok(Heartbeat {
        member_id,
        epoch: request.member_epoch,
        instance: string(&request.instance_id),
        rack: string(&request.rack_id),
        client_id: client_id.to_owned(),
        client_host: caller.host.clone(),
        rebalance_timeout_ms: u64::try_from(request.rebalance_timeout_ms).ok(),
        topics: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        pattern: string(&request.subscribed_topic_regex),
        assignor: request.server_assignor.as_deref().map(Assignor::named).transpose()?,
        owned,
        classic: None,
    })
}

/// Partitions, by topic.
fn by_topic(partitions: &Partitions) -> impl Iterator<Item = (Uuid, Vec<i32>)> {
    let mut partitions = partitions.iter().peekable();
    std::iter::from_fn(move || {
        let (topic, first) = *partitions.next()?;
        let mut indexes = vec![first];
        while let Some((_, index)) = partitions.next_if(|(next, _)| *next == topic) {
            indexes.push(*index);
        }
        Some((topic, indexes))
    })
}

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let topics = state.topics.all();
    let names: HashMap<Uuid, &str> = topics.iter().map(|topic| (topic.id, topic.name.as_str())).collect();
    let groups = request.group_ids.into_iter().map(|id| {
        let described = if id.is_empty() {
            refused(ResponseError::InvalidGroupId, "the group id is empty")
        } else if !state.cluster.coordinates(caller.node, Coordinated::Group, &id) {
            refused(ResponseError::NotCoordinator, "another broker coordinates the group")
        } else {
            let described = state.groups.with(&id, |group, _| describe_one(group, &names));
            described.unwrap_or_else(|| refused(ResponseError::GroupIdNotFound, "there is no such group"))
        };
        described.with_group_id(id)
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

fn refused(error: ResponseError, why: &str) -> DescribedGroup {
    DescribedGroup::default().with_error_code(error.code()).with_error_message(Some(text(why)))
}

fn describe_one(group: &Group, names: &HashMap<Uuid, &str>) -> DescribedGroup {
    let Kind::Consumer(consumer) = group.kind() else {
        return refused(ResponseError::GroupIdNotFound, "the group is no group of the consumer protocol");
    };
    let members = consumer.members().map(|(id, member)| described_member(consumer, id, member, names));
    DescribedGroup::default()
        .with_group_state(text(group.state_name()))
        .with_group_epoch(consumer.epoch())
        .with_assignment_epoch(consumer.target_epoch())
        .with_assignor_name(text(consumer.assignor().name()))
        .with_members(members.collect())
}

fn described_member(
    group: &ConsumerGroup,
    id: &str,
    member: &Member,
    names: &HashMap<Uuid, &str>,
) -> DescribedMember {
    let described = |partitions: &Partitions| {
        // Of a topic that has just been deleted nobody knows the name.
        let topics = by_topic(partitions).filter_map(|(topic_id, partitions)| {
            let name = TopicName(text(*names.get(&topic_id)?));
            let described = DescribedPartitions::default().with_topic_id(topic_id).with_topic_name(name);
            Some(described.with_partitions(partitions))
        });
        DescribedAssignment::default().with_topic_partitions(topics.collect())
    };
    DescribedMember::default()
        .with_member_id(text(id))
        .with_instance_id(member.instance.clone().map(text))
        .with_rack_id(member.rack.clone().map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_subscribed_topic_names(member.topics.iter().map(|name| TopicName(text(name))).collect())
        .with_subscribed_topic_regex(member.pattern.clone().map(text))
        .with_assignment(described(&member.assigned))
        .with_target_assignment(group.target_of(id).map(described).unwrap_or_default())
        .with_member_type(if member.classic.is_some() { CLASSIC_MEMBER } else { CONSUMER_MEMBER })
}

#[cfg(test)]
#[path = "consumer_groups_tests.rs"]
mod tests;
