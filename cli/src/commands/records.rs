//! `records`: deletes the oldest records of a partition.

use clap::Subcommand;
use kafka_boot_client::{Admin, PartitionOffset, TopicPartition};
use serde_json::json;

use super::positions::no_partition;
use super::{OPERATION, REQUEST};
use crate::error::CliError;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deletes the records of a partition before an offset
    Delete {
        /// The partition, as `topic:partition`
        #[arg(value_parser = partition)]
        partition: TopicPartition,
        /// The offset of the first record to keep, or `end` to keep none
        #[arg(long, value_parser = bound, allow_hyphen_values = true)]
        before: i64,
    },
}

fn partition(text: &str) -> Result<TopicPartition, String> {
    let split = text.rsplit_once(':').filter(|(topic, _)| !topic.is_empty());
    match split.map(|(topic, number)| (topic, number.parse::<u16>())) {
        Some((topic, Ok(number))) => Ok(TopicPartition::new(topic, number.into())),
        _ => Err("expected `topic:partition`, such as `orders:0`".to_owned()),
    }
}

fn bound(text: &str) -> Result<i64, String> {
    if text == "end" {
        return Ok(PartitionOffset::END);
    }
    let offset = text.parse().ok().filter(|offset: &i64| *offset >= 0);
    offset.ok_or_else(|| "expected an offset from 0 on, or `end`".to_owned())
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let Command::Delete { partition, before } = command;
    let (topic, number) = (&*partition.topic, partition.partition);
    check(partition, admin).await?;
    let bound = if *before == PartitionOffset::END { "its end".to_owned() } else { before.to_string() };
    output.confirm(&format!("Delete the records of {topic}:{number} before {bound}?"))?;
    let request = [PartitionOffset::new(partition.clone(), *before)];
    for (deleted, result) in admin.delete_records(&request, OPERATION).await? {
        result?;
        let first = deleted.offset;
        if output.json {
            output.json(&json!({ "topic": topic, "partition": number, "earliest": first }))?;
        } else {
            output.line(&format!("Deleted the records of {topic}:{number} before offset {first}."))?;
        }
    }
    Ok(())
}

/// Names what does not exist, which the answer to the request would not.
async fn check(partition: &TopicPartition, admin: &Admin) -> Result<(), CliError> {
    for (topic, result) in admin.describe_topics(&[&*partition.topic], REQUEST).await? {
        let count = result?.partitions.len();
        if usize::try_from(partition.partition).is_ok_and(|number| number >= count) {
            return Err(no_partition(&topic, partition.partition, count));
        }
    }
    Ok(())
}
