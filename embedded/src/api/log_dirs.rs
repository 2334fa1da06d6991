//! `DescribeLogDirs`: the one place where records are kept.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use super::{Caller, text};
use crate::log::topics::Topic;
use crate::state::State;

/// What stands for a path where there is none.
const MEMORY: &str = "memory";

/// The first version that says how large the place is.
const FIRST_WITH_TOTALS: i16 = 4;

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    request: DescribeLogDirsRequest,
    version: i16,
) -> DescribeLogDirsResponse {
    let topics = match request.topics {
        None => state
            .topics
            .all()
            .iter()
            .map(|topic| described(caller, topic, 0..topic.partition_count()))
            .collect(),
        Some(asked) => {
            let found = asked.into_iter().filter_map(|asked| {
                // What is not here is left out, as by Kafka.
                let topic = state.topics.by_name(&asked.topic)?;
                Some(described(caller, &topic, asked.partitions.into_iter()))
                    .filter(|one| !one.partitions.is_empty())
            });
            found.collect()
        }
    };
    let directory = state.storage.0.as_ref().map(|directory| directory.path().display().to_string());
    let log_dir = directory.unwrap_or_else(|| MEMORY.to_owned());
    let mut place = DescribeLogDirsResult::default().with_log_dir(text(log_dir)).with_topics(topics);
    // The limit on all logs, on a disk too: what is beyond it is refused, however large the disk is.
    if version >= FIRST_WITH_TOTALS {
        let room = state.topics.room();
        place.total_bytes = i64::try_from(room.total_bytes).unwrap_or(i64::MAX);
        place.usable_bytes = i64::try_from(room.free_bytes).unwrap_or(i64::MAX);
    }
    DescribeLogDirsResponse::default().with_results(vec![place])
}

/// Each broker tells of the partitions that it has a replica of.
fn described(caller: &Caller, topic: &Topic, indexes: impl Iterator<Item = i32>) -> DescribeLogDirsTopic {
    let partitions = indexes.filter_map(|index| {
        let partition = topic.partition(index)?;
        if !partition.leadership().replicas().contains(&caller.node) {
            return None;
        }
        let size = partition.stored_bytes();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        Some(DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(size))
    });
    let partitions = partitions.collect();
    DescribeLogDirsTopic::default().with_name(TopicName(text(&topic.name))).with_partitions(partitions)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;

    use super::*;
    use crate::log::batch::tests::sequenced;

    fn caller() -> Caller {
        Caller { node: BrokerId(1), host: "/127.0.0.1".to_owned() }
    }

    #[test]
    fn sizes_are_those_of_the_records_and_what_is_unknown_is_left_out() {
        let state = State::with_topics(&[("orders", 2), ("other", 1)]);
        let all = describe(&state, &caller(), DescribeLogDirsRequest::default().with_topics(None), 3);
        assert_eq!(all.results[0].topics.len(), 2);
        let orders = state.topics.by_name("orders").unwrap();
        let records = sequenced(-1, -1, -1, 3).freeze();
        orders.partition(1).unwrap().append(records, orders.behaviour(), 0, |_| Ok(())).unwrap();
        let asked = |name: &str, partitions: &[i32]| {
            DescribableLogDirTopic::default()
                .with_topic(TopicName(text(name)))
                .with_partitions(partitions.to_vec())
        };
        let topics = vec![asked("orders", &[0, 1, 2]), asked("absent", &[0]), asked("other", &[9])];
        let some =
            describe(&state, &caller(), DescribeLogDirsRequest::default().with_topics(Some(topics)), 4);
        let place = &some.results[0];
        assert_eq!(place.topics.len(), 1);
        let sizes: Vec<_> = place.topics[0].partitions.iter().map(|one| one.partition_size).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes[0] == 0 && sizes[1] > 61, "{sizes:?}");
        let used = place.total_bytes - place.usable_bytes;
        assert!(place.total_bytes == 1_000_000 && used > sizes[1], "{used} with what is kept of the batch");
    }
}
