//! `offsets`: where the partitions of topics begin and end.

use clap::Args;
use kafka_boot_client::{Admin, OffsetSpec, TopicPartition};
use serde_json::json;

use super::{REQUEST, answered, unique};
use crate::error::{CliError, Failures};
use crate::output::{Output, Table};

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The topics
    #[arg(required = true)]
    topics: Vec<String>,
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let (mut partitions, mut failures) = (Vec::new(), Failures::default());
    for (name, result) in admin.describe_topics(&unique(&command.topics), REQUEST).await? {
        match result {
            Ok(found) => partitions.extend(
                found.partitions.iter().map(|partition| TopicPartition::new(name.as_str(), partition.id)),
            ),
            Err(error) => failures.add(error),
        }
    }
    failures.or(Ok(()))?;
    let first = list(&partitions, OffsetSpec::Earliest, admin).await?;
    let end = list(&partitions, OffsetSpec::Latest, admin).await?;
    let rows = partitions.iter().zip(first.into_iter().zip(end));
    if output.json {
        let rows: Vec<_> = rows
            .map(|(partition, (first, end))| {
                json!({ "topic": &*partition.topic, "partition": partition.partition, "earliest": first, "latest": end })
            })
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "EARLIEST", "LATEST"]);
    let cell = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    for (partition, (first, end)) in rows {
        table.row([partition.topic.to_string(), partition.partition.to_string(), cell(first), cell(end)]);
    }
    output.table(&table)
}

/// The offset of each of `partitions`, in their order.
async fn list(
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    admin: &Admin,
) -> Result<Vec<Option<i64>>, CliError> {
    let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = answered(|| admin.list_offsets(&wanted, REQUEST)).await?;
    let mut offsets = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let found = listed.iter().find(|(listed, _)| listed == partition);
        offsets.push(match found {
            Some((_, Ok(offset))) => offset.offset,
            Some((_, Err(error))) => return Err(error.clone().into()),
            None => None,
        });
    }
    Ok(offsets)
}
