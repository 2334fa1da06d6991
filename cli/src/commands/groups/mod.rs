//! `groups`: consumer groups, their members, and where they stand.

mod describe;
mod members;
mod offset_file;
mod reset;

use clap::Subcommand;
use kafka_boot_client::{Admin, TopicPartition};
use serde_json::json;

use super::positions::no_partition;
use super::{OPERATION, REQUEST, unique};
use crate::error::{CliError, Failures};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the groups' names
    List {
        /// Show each one's protocol and state, too
        #[arg(long)]
        state: bool,
    },
    /// Shows where groups stand, partition by partition; or their members, or their state
    Describe(describe::Describe),
    /// Sets where a group without members goes on; shows what would be set, unless `--execute` is given
    ResetOffsets(reset::Reset),
    /// Deletes groups without members, with their offsets
    Delete {
        /// The groups
        #[arg(required = true)]
        groups: Vec<String>,
    },
    /// Forgets the offsets of topics to which no member of the group is subscribed
    DeleteOffsets {
        /// The group
        group: String,
        /// A topic, or some of its partitions as `topic:0,1`
        #[arg(long = "topic", required = true, value_name = "TOPIC[:PARTITIONS]", value_parser = selection)]
        topics: Vec<Selection>,
    },
}

/// A topic, or some of its partitions.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    topic: String,
    partitions: Option<Vec<i32>>,
}

impl Selection {
    /// The partitions that are named.
    fn named(&self) -> Vec<TopicPartition> {
        let numbers = self.partitions.iter().flatten();
        numbers.map(|number| TopicPartition::new(self.topic.as_str(), *number)).collect()
    }
}

fn selection(text: &str) -> Result<Selection, String> {
    let expected = || "expected a topic, or some of its partitions as `orders:0,1`".to_owned();
    let (topic, partitions) = match text.split_once(':') {
        None => (text, None),
        Some((topic, list)) => {
            let numbers = list.split(',').map(|number| number.parse::<u16>().map(i32::from));
            (topic, Some(numbers.collect::<Result<Vec<_>, _>>().map_err(|_| expected())?))
        }
    };
    if topic.is_empty() { Err(expected()) } else { Ok(Selection { topic: topic.to_owned(), partitions }) }
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::List { state } => list(*state, admin, output).await,
        Command::Describe(describe) => describe::execute(describe, admin, output).await,
        Command::ResetOffsets(reset) => reset::execute(reset, admin, output).await,
        Command::Delete { groups } => delete(groups, admin, output).await,
        Command::DeleteOffsets { group, topics } => delete_offsets(group, topics, admin, output).await,
    }
}

async fn list(state: bool, admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let listings = admin.list_groups(REQUEST).await?;
    // What is missing is told behind what is there.
    let missing = Failures::from_iter(listings.errors);
    if state {
        return missing.or(members::show_listings(&listings.groups, output));
    }
    let names: Vec<_> = listings.groups.into_iter().map(|group| group.group_id).collect();
    missing.or(if output.json {
        output.json(&json!(names))
    } else {
        names.iter().try_for_each(|name| output.line(name))
    })
}

async fn delete(groups: &[String], admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let names = unique(groups);
    output.confirm(&format!("Delete {} with all offsets?", names.join(", ")))?;
    let (mut failures, mut told) = (Failures::default(), Ok(()));
    for (name, result) in admin.delete_groups(&names, OPERATION).await? {
        match result {
            Ok(()) => told = told.and(output.done("deleted", &name, &format!("Deleted group {name}."))),
            // The others are told of all the same.
            Err(error) => failures.add(error),
        }
    }
    failures.or(told)
}

async fn delete_offsets(
    group: &str,
    topics: &[Selection],
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    // Partitions that are named need not be there any more: it is the group's offsets that go.
    let (named, whole): (Vec<_>, Vec<_>) =
        topics.iter().cloned().partition(|selection| selection.partitions.is_some());
    let mut partitions = resolve(&whole, admin).await?;
    partitions.extend(named.iter().flat_map(Selection::named));
    partitions.sort_unstable();
    partitions.dedup();
    output.confirm(&format!("Forget where {group} stands (partitions: {})?", partitions.len()))?;
    let (mut failures, mut told) = (Failures::default(), Ok(()));
    for (forgotten, result) in admin.delete_group_offsets(group, &partitions, OPERATION).await? {
        let name = format!("{}:{}", forgotten.partition.topic, forgotten.partition.partition);
        match result {
            Ok(()) => {
                told = told.and(output.done("deleted", &name, &format!("Forgot the offset of {name}.")));
            }
            Err(error) => failures.add(error),
        }
    }
    failures.or(told)
}

/// The partitions that `topics` mean, each of which has to be there, in order and once.
async fn resolve(topics: &[Selection], admin: &Admin) -> Result<Vec<TopicPartition>, CliError> {
    let mut found = Vec::new();
    let names: Vec<_> = topics.iter().map(|selection| selection.topic.clone()).collect();
    if names.is_empty() {
        return Ok(found);
    }
    let mut failures = Failures::default();
    for (name, result) in admin.describe_topics(&unique(&names), REQUEST).await? {
        let there = match result {
            Ok(topic) => topic.partitions,
            Err(error) => {
                failures.add(error);
                continue;
            }
        };
        for selection in topics.iter().filter(|selection| selection.topic == name) {
            let all = || there.iter().map(|partition| TopicPartition::new(name.as_str(), partition.id));
            for partition in
                selection.partitions.as_ref().map_or_else(|| all().collect(), |_| selection.named())
            {
                if there.iter().any(|known| known.id == partition.partition) {
                    found.push(partition);
                } else {
                    failures.add(no_partition(&name, partition.partition, there.len()));
                }
            }
        }
    }
    failures.or(Ok(()))?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
