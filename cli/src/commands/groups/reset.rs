//! `groups reset-offsets`: sets where a group without members goes on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kafka_boot_client::{
    Admin, ErrorKind, GroupState, OffsetReset, PartitionOffset, PlannedOffset, TopicPartition,
};
use serde_json::json;

use super::{OPERATION, REQUEST, Selection, describe, offset_file, resolve, selection};
use crate::commands::answered;
use crate::commands::positions::Offsets;
use crate::commands::time::{self, Since};
use crate::error::{CliError, Failures};
use crate::output::{Output, Table};

#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// The group
    group: String,
    /// A topic, or some of its partitions as `topic:0,1`
    #[arg(
        long = "topic",
        value_name = "TOPIC[:PARTITIONS]",
        value_parser = selection,
        required_unless_present_any = ["all_topics", "from_file"]
    )]
    topics: Vec<Selection>,
    /// Every partition for which the group has an offset
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    #[command(flatten)]
    target: Target,
    /// Set the offsets; without, they are only shown
    #[arg(long)]
    execute: bool,
    /// Write the offsets as lines of `topic,partition,offset`, which `--from-file` takes
    #[arg(long)]
    export: bool,
}

/// Where the group goes on: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// With the first record that is there
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    to_latest: bool,
    /// Where it stands, or behind the last record if it stands nowhere
    #[arg(long)]
    to_current: bool,
    /// With this offset, or the nearest that is there
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// This many records further on, or back if negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// With the first record of this time or later, in UTC unless a zone is given
    #[arg(long, value_name = "YYYY-MM-DDTHH:mm:SS.sss", value_parser = time::datetime)]
    to_datetime: Option<i64>,
    /// With the first record that is at most this old, as `PnDTnHnMnS`
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    by_duration: Option<Duration>,
    /// With the offsets of a file, whose lines are `topic,partition,offset` or `group,topic,partition,offset`, as Kafka's own
    /// tool and `--export` write them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topics", "all_topics"])]
    from_file: Option<PathBuf>,
}

impl Target {
    /// What is wanted of a partition; `listed` is what the file says.
    fn reset(&self, partition: &TopicPartition, listed: &Offsets) -> OffsetReset {
        let since = self.to_datetime.map(Since::At).or(self.by_duration.map(Since::Ago));
        match self {
            Self { to_earliest: true, .. } => OffsetReset::Earliest,
            Self { to_latest: true, .. } => OffsetReset::Latest,
            Self { to_offset: Some(offset), .. } => OffsetReset::Offset(*offset),
            Self { shift_by: Some(by), .. } => OffsetReset::ShiftBy(*by),
            _ => match (listed.get(partition), since) {
                (Some(offset), _) => OffsetReset::Offset(*offset),
                (None, Some(since)) => OffsetReset::AtOrAfter(since.millis()),
                (None, None) => OffsetReset::Current,
            },
        }
    }
}

pub(super) async fn execute(reset: &Reset, admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let group = reset.group.as_str();
    let listed = match &reset.target.from_file {
        Some(file) => Some(offset_file::read(file, group)?),
        None => None,
    };
    check_inactive(group, admin).await?;
    let mut partitions: Vec<TopicPartition> = match &listed {
        Some(listed) => resolve(&offset_file::selections(listed), admin).await?,
        None if reset.all_topics => describe::committed(group, admin).await?.into_keys().collect(),
        None => resolve(&reset.topics, admin).await?,
    };
    partitions.sort_unstable();
    let listed = listed.unwrap_or_default();
    let resets: Vec<_> = partitions
        .into_iter()
        .map(|partition| {
            let to = reset.target.reset(&partition, &listed);
            (partition, to)
        })
        .collect();
    let (mut wanted, mut failures) = (Vec::new(), Failures::default());
    for (partition, planned) in answered(|| admin.plan_group_offsets(group, &resets, REQUEST)).await? {
        match planned {
            Ok(planned) => {
                tell_of_bound(&partition, &planned, output);
                wanted.push(PartitionOffset::new(partition, planned.to));
            }
            Err(error) if *error.kind() == ErrorKind::NoOffset => failures.add(
                CliError::failed(format!("{group} has no offset for {partition} to shift"))
                    .with_help("use `--to-earliest`, `--to-latest` or `--to-offset`"),
            ),
            Err(error) => failures.add(error),
        }
    }
    failures.or(Ok(()))?;
    if reset.execute {
        let altered = answered(|| admin.alter_group_offsets(group, &wanted, OPERATION)).await?;
        altered.into_iter().filter_map(|(_, result)| result.err()).collect::<Failures>().or(Ok(()))?;
    }
    if reset.export {
        return Ok(output.sink.write_all(offset_file::write(&wanted).as_bytes())?);
    }
    show(group, &wanted, reset.execute, output)
}

/// Tells of an offset that is not the one that was asked for.
fn tell_of_bound(partition: &TopicPartition, planned: &PlannedOffset, output: &mut Output<'_>) {
    let Some(asked) = planned.asked else { return };
    let side = if asked > planned.to { "higher than latest" } else { "lower than earliest" };
    output.note(&format!(
        "New offset ({asked}) is {side} offset for topic partition {partition}. Value will be set to {}",
        planned.to
    ));
}

async fn check_inactive(group: &str, admin: &Admin) -> Result<(), CliError> {
    let groups = [group];
    for (_, result) in answered(|| admin.describe_groups(&groups, REQUEST)).await? {
        let state = result?.state;
        if !matches!(state, GroupState::Empty | GroupState::Dead) {
            return Err(CliError::failed(format!(
                "offsets can only be reset if the group '{group}' is inactive, but the current state is {state:?}"
            ))
            .with_help("stop the group's members first"));
        }
    }
    Ok(())
}

fn show(
    group: &str,
    offsets: &[PartitionOffset],
    executed: bool,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    if output.json {
        let rows: Vec<_> = offsets
            .iter()
            .map(|row| {
                json!({ "group": group, "topic": &*row.partition.topic, "partition": row.partition.partition,
                    "newOffset": row.offset, "executed": executed })
            })
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]);
    for row in offsets {
        let partition = &row.partition;
        table.row([
            group.to_owned(),
            partition.topic.to_string(),
            partition.partition.to_string(),
            row.offset.to_string(),
        ]);
    }
    output.table(&table)?;
    if !executed {
        output.note("Nothing was changed: `--execute` sets these offsets.");
    }
    Ok(())
}
