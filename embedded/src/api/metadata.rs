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

use super::text;
use crate::log::topics::Topic;
use crate::state::{LEADER_EPOCH, NODE_ID, State};

/// The endpoints of brokers, as opposed to those of controllers.
const BROKER_ENDPOINTS: i8 = 1;

pub(super) fn metadata(state: &State, request: MetadataRequest, version: i16) -> MetadataResponse {
    let asked = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    let topics = match asked {
        None => state.topics.all().iter().map(described).collect(),
        Some(topics) => {
            let may_create = request.allow_auto_topic_creation;
            topics.into_iter().map(|topic| look_up(state, topic, may_create)).collect()
        }
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE_ID)
        .with_host(text(&state.host))
        .with_port(i32::from(state.port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&state.cluster_id)))
        .with_controller_id(NODE_ID)
        .with_topics(topics)
}

fn look_up(state: &State, asked: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    // A client that asks by id may send an empty name along.
    let by_name = asked.topic_id.is_nil();
    let Some(name) = asked.name.filter(|_| by_name) else {
        let missing = || {
            MetadataResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(asked.topic_id)
        };
        return state.topics.by_id(asked.topic_id).as_ref().map_or_else(missing, described);
    };
    match state.topic_or_new(&name, may_create) {
        Ok(topic) => described(&topic),
        Err(error) => MetadataResponseTopic::default().with_error_code(error.code()).with_name(Some(name)),
    }
}

fn described(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partitions = (0..topic.partition_count()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE_ID)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE_ID])
            .with_isr_nodes(vec![NODE_ID])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}

pub(super) fn describe_cluster(state: &State, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default()
        .with_endpoint_type(request.endpoint_type)
        .with_controller_id(NODE_ID);
    if request.endpoint_type != BROKER_ENDPOINTS {
        return response
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(text("this is the endpoint of a broker, not of a controller")));
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(NODE_ID)
        .with_host(text(&state.host))
        .with_port(i32::from(state.port));
    response.with_cluster_id(text(&state.cluster_id)).with_brokers(vec![broker])
}
