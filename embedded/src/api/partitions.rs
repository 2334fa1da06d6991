//! `DescribeTopicPartitions`: topics page by page.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};

use super::{NOBODY, NONE, text};
use crate::log::topics::Topic;
use crate::state::State;

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
            .with_partitions((first..until).filter_map(|index| partition(state, &topic, index)).collect());
        response.topics.push(described);
        if until < count {
            response.next_cursor = Some(cursor(&name, until));
            break;
        }
    }
    response
}

fn partition(state: &State, topic: &Topic, index: i32) -> Option<DescribeTopicPartitionsResponsePartition> {
    let partition = topic.partition(index)?;
    let leadership = partition.leadership();
    let leaderless = leadership.leader().is_none().then_some(ResponseError::LeaderNotAvailable);
    let described = DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(leaderless.map_or(NONE, |error| error.code()))
        .with_leader_id(leadership.leader().unwrap_or(NOBODY))
        .with_leader_epoch(leadership.epoch())
        .with_replica_nodes(leadership.replicas().to_vec())
        .with_isr_nodes(state.cluster.in_sync(&leadership))
        .with_offline_replicas(state.cluster.offline(&leadership))
        // Null is allowed, and more than the Java client can bear.
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()));
    Some(described)
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(topic))).with_partition_index(partition)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};

    use super::*;

    fn state() -> State {
        State::with_topics(&[("a", 2), ("b", 5), ("c", 1)])
    }

    /// All pages, each as its topics and partitions.
    fn pages(state: &State, limit: i32) -> Vec<Vec<(String, Vec<i32>)>> {
        let (mut pages, mut cursor) = (Vec::new(), None);
        loop {
            let request = DescribeTopicPartitionsRequest::default()
                .with_response_partition_limit(limit)
                .with_cursor(cursor.take());
            let response = describe(state, request);
            let page = response.topics.into_iter().map(|topic| {
                let indexes = topic.partitions.iter().map(|one| one.partition_index).collect();
                (topic.name.unwrap().to_string(), indexes)
            });
            pages.push(page.collect());
            let Some(next) = response.next_cursor else { return pages };
            cursor = Some(
                Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index),
            );
        }
    }

    #[test]
    fn pages_hold_as_many_partitions_as_are_asked_for_and_none_is_missing() {
        let state = state();
        let topic =
            |name: &str, indexes: std::ops::Range<i32>| (name.to_owned(), indexes.collect::<Vec<_>>());
        let all = vec![topic("a", 0..2), topic("b", 0..5), topic("c", 0..1)];
        assert_eq!(pages(&state, 100), [all]);
        let three = [
            vec![topic("a", 0..2), topic("b", 0..1)],
            vec![topic("b", 1..4)],
            vec![topic("b", 4..5), topic("c", 0..1)],
        ];
        assert_eq!(pages(&state, 3), three);
        assert_eq!(pages(&state, 2).len(), 4);
    }

    #[test]
    fn an_unknown_topic_is_an_error_of_its_own_and_no_list_is_null() {
        let asked = ["a", "absent"].map(|name| TopicRequest::default().with_name(TopicName(text(name))));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(asked.to_vec())
            .with_response_partition_limit(10);
        let response = describe(&state(), request);
        let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
        let partition = &response.topics[0].partitions[0];
        assert!(partition.eligible_leader_replicas.is_some() && partition.last_known_elr.is_some());
    }
}
