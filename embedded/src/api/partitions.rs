//! `DescribeTopicPartitions`: topics page by page.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};

use super::text;
use crate::state::{LEADER_EPOCH, NODE_ID, State};

/// Partitions of one page, whatever a client asks for.
const MAX_PAGE: i32 = 2_000;

pub(super) fn describe(
    state: &State,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut names: Vec<String> = if request.topics.is_empty() {
        state.topics.all().iter().map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name.to_string()).collect()
    };
    names.sort_unstable();
    names.dedup();
    let (from_topic, mut from_partition) = request.cursor.map_or_else(Default::default, |cursor| {
        (cursor.topic_name.to_string(), cursor.partition_index.max(0))
    });
    let mut room = request.response_partition_limit.clamp(1, MAX_PAGE);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from_topic) {
        let first = if name == from_topic { std::mem::take(&mut from_partition) } else { 0 };
        if room == 0 {
            response.next_cursor = Some(cursor(&name, first));
            break;
        }
        let Some(topic) = state.topics.by_name(&name) else {
            let unknown = DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                .with_name(Some(TopicName(text(name))));
            response.topics.push(unknown);
            continue;
        };
        let count = topic.partition_count();
        let until = count.min(first.saturating_add(room));
        room -= (until - first).max(0);
        let described = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(TopicName(text(&name))))
            .with_topic_id(topic.id)
            .with_partitions((first..until).map(partition).collect());
        response.topics.push(described);
        if until < count {
            response.next_cursor = Some(cursor(&name, until));
            break;
        }
    }
    response
}

fn partition(index: i32) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(NODE_ID)
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(vec![NODE_ID])
        .with_isr_nodes(vec![NODE_ID])
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(topic))).with_partition_index(partition)
}
