//! `Metadata` and `DescribeCluster`: who leads what, and where to find it.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse, TopicName,
};

use super::{NOBODY, NONE, text};
use crate::cluster::Node;
use crate::cluster::leadership::Leadership;
use crate::log::topics::Topic;
use crate::state::State;

/// The endpoints of brokers, as opposed to those of controllers.
const BROKER_ENDPOINTS: i8 = 1;

/// The first version that tells which replicas are on brokers that are down.
const FIRST_WITH_OFFLINE: i16 = 5;

pub(super) fn metadata(state: &State, request: MetadataRequest, version: i16) -> MetadataResponse {
    let asked = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    let topics = match asked {
        None => state.topics.all().iter().map(|topic| described(state, topic, version)).collect(),
        Some(topics) => {
            let may_create = request.allow_auto_topic_creation;
            topics.into_iter().map(|topic| look_up(state, topic, may_create, version)).collect()
        }
    };
    let brokers = state.cluster.live().map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(node.id)
            .with_host(text(&node.host))
            .with_port(i32::from(node.port))
    });
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text(&state.cluster_id)))
        .with_controller_id(state.cluster.controller())
        .with_topics(topics)
}

fn look_up(
    state: &State,
    asked: MetadataRequestTopic,
    may_create: bool,
    version: i16,
) -> MetadataResponseTopic {
    // A client that asks by id may send an empty name along.
    let by_name = asked.topic_id.is_nil();
    let Some(name) = asked.name.filter(|_| by_name) else {
        let missing = || {
            MetadataResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(asked.topic_id)
        };
        return state
            .topics
            .by_id(asked.topic_id)
            .map_or_else(missing, |topic| described(state, &topic, version));
    };
    match state.topic_or_new(&name, may_create) {
        Ok(topic) => described(state, &topic, version),
        Err(error) => MetadataResponseTopic::default().with_error_code(error.code()).with_name(Some(name)),
    }
}

fn described(state: &State, topic: &Arc<Topic>, version: i16) -> MetadataResponseTopic {
    let partitions = topic.partitions();
    let partitions = (0..).zip(&partitions).map(|(index, partition)| {
        described_partition(state, &partition.leadership(), version).with_partition_index(index)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}

fn described_partition(state: &State, leadership: &Leadership, version: i16) -> MetadataResponsePartition {
    let leaderless = leadership.leader().is_none().then_some(ResponseError::LeaderNotAvailable);
    let offline = if version >= FIRST_WITH_OFFLINE { state.cluster.offline(leadership) } else { Vec::new() };
    MetadataResponsePartition::default()
        .with_error_code(leaderless.map_or(NONE, |error| error.code()))
        .with_leader_id(leadership.leader().unwrap_or(NOBODY))
        .with_leader_epoch(leadership.epoch())
        .with_replica_nodes(leadership.replicas().to_vec())
        .with_isr_nodes(state.cluster.in_sync(leadership))
        .with_offline_replicas(offline)
}

pub(super) fn describe_cluster(state: &State, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default()
        .with_endpoint_type(request.endpoint_type)
        .with_controller_id(state.cluster.controller());
    if request.endpoint_type != BROKER_ENDPOINTS {
        return response
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(text("this is the endpoint of a broker, not of a controller")));
    }
    let wanted = |node: &&Node| node.is_live() || request.include_fenced_brokers;
    let brokers = state.cluster.nodes().iter().filter(wanted).map(|node| {
        DescribeClusterBroker::default()
            .with_broker_id(node.id)
            .with_host(text(&node.host))
            .with_port(i32::from(node.port))
            // A stopped broker is what Kafka calls a fenced one.
            .with_is_fenced(!node.is_live())
    });
    response.with_cluster_id(text(&state.cluster_id)).with_brokers(brokers.collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn asked_for(state: &State, topic: MetadataRequestTopic) -> MetadataResponseTopic {
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        metadata(state, request, 13).topics.remove(0)
    }

    #[test]
    fn a_topic_is_found_by_its_id_whatever_name_comes_along() {
        let state = State::with_topics(&[("orders", 1)]);
        let id = state.topics.by_name("orders").unwrap().id;
        for name in [None, Some(TopicName(text("")))] {
            let found =
                asked_for(&state, MetadataRequestTopic::default().with_name(name.clone()).with_topic_id(id));
            assert_eq!(found.name, Some(TopicName(text("orders"))), "{name:?}");
            let unknown =
                MetadataRequestTopic::default().with_name(name).with_topic_id(uuid::Uuid::from_u128(7));
            let missing = asked_for(&state, unknown);
            assert_eq!(missing.error_code, ResponseError::UnknownTopicId.code());
            assert_eq!(missing.topic_id, uuid::Uuid::from_u128(7));
        }
    }

    #[test]
    fn a_name_that_no_topic_can_have_is_told_apart_from_one_that_none_has() {
        let state = State::with_topics(&[]);
        let cases = [
            ("no topic", ResponseError::InvalidTopicException),
            ("none", ResponseError::UnknownTopicOrPartition),
        ];
        for (name, expected) in cases {
            let request = MetadataRequest::default()
                .with_topics(Some(vec![
                    MetadataRequestTopic::default().with_name(Some(TopicName(text(name)))),
                ]))
                .with_allow_auto_topic_creation(false);
            let answered = metadata(&state, request, 13).topics.remove(0);
            assert_eq!(answered.error_code, expected.code(), "{name}");
        }
    }
}
