//! `groups describe`: where groups stand, partition by partition.

use std::collections::{BTreeSet, HashMap};

use clap::Args;
use futures_util::future::try_join_all;
use kafka_boot::OffsetMap;
use kafka_boot_client::{
    Admin, GroupDescription, GroupMember, GroupState, OffsetSpec, PartitionOffset, TopicPartition,
};
use serde_json::json;

use super::{REQUEST, members};
use crate::commands::positions::{Offsets, offsets};
use crate::commands::{answered, unique};
use crate::error::{CliError, Failures};
use crate::output::{Output, Table};

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// The groups
    #[arg(required_unless_present = "all_groups")]
    groups: Vec<String>,
    /// Every group of the cluster
    #[arg(long, conflicts_with = "groups")]
    all_groups: bool,
    /// Show who is in the groups, and what each member reads
    #[arg(long, conflicts_with = "state")]
    members: bool,
    /// Show how the groups are: coordinator, strategy, state, number of members
    #[arg(long)]
    state: bool,
}

/// A partition, and where a group stands on it.
struct Row<'a> {
    group: &'a str,
    topic: String,
    partition: i32,
    current: Option<i64>,
    end: Option<i64>,
    member: Option<&'a GroupMember>,
    /// What kafka-boot's engine has handled behind `current`, as first and last offset.
    done: Vec<(i64, i64)>,
}

impl Row<'_> {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.current?).max(0))
    }
}

pub(super) async fn execute(
    describe: &Describe,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let mut missing = Vec::new();
    let names: Vec<String> = if describe.all_groups {
        let listings = admin.list_groups(REQUEST).await?;
        missing = listings.errors;
        listings.groups.into_iter().map(|group| group.group_id).collect()
    } else {
        unique(&describe.groups).into_iter().map(str::to_owned).collect()
    };
    let described = described(&names, describe.all_groups, admin).await?;
    for group in described.iter().filter(|group| !describe.state && group.members.is_empty()) {
        output.note(&format!("Consumer group '{}' has no active members.", group.group_id));
    }
    let shown = if describe.state {
        members::show_state(&described, output)
    } else if describe.members {
        members::show_members(&described, output)
    } else {
        show_offsets(&described, admin, output).await
    };
    // What could not be listed is told behind what is there.
    let missing = Failures::from_iter(missing);
    match shown {
        Err(error) if !matches!(error, CliError::Output(_)) => Err(error),
        shown => missing.or(shown),
    }
}

/// The groups of these names; one that has gone since it was listed is left out.
async fn described(names: &[String], listed: bool, admin: &Admin) -> Result<Vec<GroupDescription>, CliError> {
    let (mut described, mut failures) = (Vec::new(), Failures::default());
    if names.is_empty() {
        return Ok(described);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for (name, result) in answered(|| admin.describe_groups(&names, REQUEST)).await? {
        match result {
            Err(error) => failures.add(error),
            Ok(group) if group.state != GroupState::Dead => described.push(group),
            Ok(_) if listed => {}
            Ok(_) => failures.add(
                CliError::failed(format!("Consumer group '{name}' does not exist."))
                    .with_help("`kafka-boot groups list` shows those that are there"),
            ),
        }
    }
    failures.or(Ok(())).map(|()| described)
}

async fn show_offsets(
    described: &[GroupDescription],
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    // All groups are asked for at once, and each partition's end once for all of them.
    let stands = try_join_all(described.iter().map(|group| committed(&group.group_id, admin))).await?;
    let mut partitions = BTreeSet::new();
    for (group, committed) in described.iter().zip(&stands) {
        let assigned = group.members.iter().flat_map(|member| &member.assignment);
        partitions.extend(committed.keys().chain(assigned).cloned());
    }
    let partitions: Vec<_> = partitions.into_iter().collect();
    let ends = offsets(&partitions, OffsetSpec::Latest, admin).await?;
    let mut all = Vec::new();
    for (group, committed) in described.iter().zip(&stands) {
        all.extend(rows(group, committed, &ends));
    }
    show(&all, output)
}

fn rows<'a>(
    group: &'a GroupDescription,
    committed: &HashMap<TopicPartition, PartitionOffset>,
    ends: &Offsets,
) -> Vec<Row<'a>> {
    let mut owners: HashMap<&TopicPartition, &GroupMember> = HashMap::new();
    for member in &group.members {
        owners.extend(member.assignment.iter().map(|partition| (partition, member)));
    }
    let keys: BTreeSet<(&str, i32)> =
        committed.keys().chain(owners.keys().copied()).map(|key| (&*key.topic, key.partition)).collect();
    keys.into_iter()
        .map(|(topic, number)| {
            let partition = TopicPartition::new(topic, number);
            Row {
                group: &group.group_id,
                topic: topic.to_owned(),
                partition: number,
                current: committed.get(&partition).map(|committed| committed.offset),
                end: ends.get(&partition).copied(),
                member: owners.get(&partition).copied(),
                done: committed.get(&partition).map(done_ahead).unwrap_or_default(),
            }
        })
        .collect()
}

fn show(rows: &[Row<'_>], output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "group": row.group, "topic": row.topic, "partition": row.partition,
                    "currentOffset": row.current, "logEndOffset": row.end, "lag": row.lag(), "doneAhead": row.done,
                    "consumerId": row.member.map(|member| &member.member_id),
                    "host": row.member.map(|member| &member.host),
                    "clientId": row.member.map(|member| &member.client_id),
                })
            })
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&[
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    for row in rows {
        let of =
            |field: fn(&GroupMember) -> &String| row.member.map_or("-", |member| field(member)).to_owned();
        table.row([
            row.group.to_owned(),
            row.topic.clone(),
            row.partition.to_string(),
            number(row.current),
            number(row.end),
            number(row.lag()),
            of(|member| &member.member_id),
            of(|member| &member.host),
            of(|member| &member.client_id),
        ]);
    }
    output.table(&table)?;
    for row in rows.iter().filter(|row| !row.done.is_empty()) {
        let ranges: Vec<_> = row.done.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let (topic, partition) = (&row.topic, row.partition);
        let notice = format!("{}: handled ahead on {topic}:{partition}: {}", row.group, ranges.join(", "));
        output.note(&notice);
    }
    Ok(())
}

/// The offset map in a commit's metadata; other consumers keep other things there.
fn done_ahead(committed: &PartitionOffset) -> Vec<(i64, i64)> {
    let metadata = committed.metadata.as_deref().unwrap_or_default();
    let map = OffsetMap::decode(committed.offset, metadata).ok().flatten();
    map.map(|map| map.done().map(|run| (run.start, run.end - 1)).collect()).unwrap_or_default()
}

/// What `group` has committed.
pub(super) async fn committed(
    group: &str,
    admin: &Admin,
) -> Result<HashMap<TopicPartition, PartitionOffset>, CliError> {
    let mut found = HashMap::new();
    for (offset, result) in answered(|| admin.list_group_offsets(group, None, REQUEST)).await? {
        result?;
        if offset.offset >= 0 {
            found.insert(offset.partition.clone(), offset);
        }
    }
    Ok(found)
}
