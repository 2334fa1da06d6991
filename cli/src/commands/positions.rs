//! Where partitions begin and end, and what was in them at a time.

use std::collections::HashMap;

use kafka_boot_client::{Admin, ErrorKind, OffsetSpec, TopicPartition};

use super::{REQUEST, answered};
use crate::error::CliError;

/// Offsets by partition.
pub(super) type Offsets = HashMap<TopicPartition, i64>;

/// The partitions of a topic.
pub(super) async fn partitions(topic: &str, admin: &Admin) -> Result<Vec<TopicPartition>, CliError> {
    let mut found = Vec::new();
    for (name, result) in admin.describe_topics(&[topic], REQUEST).await? {
        let partitions = result?.partitions;
        found.extend(partitions.iter().map(|partition| TopicPartition::new(name.as_str(), partition.id)));
    }
    found.sort_unstable();
    Ok(found)
}

/// The error of a partition that is not there.
pub(super) fn no_partition(topic: &str, partition: i32, count: usize) -> CliError {
    CliError::failed(format!("`{topic}` has no partition {partition}"))
        .with_help(format!("it has {count}, counted from 0"))
}

/// An offset of each of `partitions`; those of deleted topics have none.
pub(super) async fn offsets(
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    admin: &Admin,
) -> Result<Offsets, CliError> {
    let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = answered(|| admin.list_offsets(&wanted, REQUEST)).await?;
    let mut found = Offsets::new();
    for (partition, outcome) in listed {
        match outcome {
            Ok(listed) => found.extend(listed.offset.map(|offset| (partition, offset))),
            Err(error) if *error.kind() == ErrorKind::UnknownTopic => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
