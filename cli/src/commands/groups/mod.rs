//! `groups`: consumer groups, their members, and where they stand.

mod describe;
mod members;
mod offset_file;
mod reset;

use clap::Subcommand;
use kafka_boot_client::{Admin, TopicPartition};
use serde_json::json;

use super::positions::no_partition;
use super::{OPERATION, REQUEST};
use crate::error::CliError;
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
    if state {
        members::show_listings(&listings.groups, output)?;
        return listings.errors.into_iter().next().map_or(Ok(()), |error| Err(error.into()));
    }
    let names: Vec<_> = listings.groups.into_iter().map(|group| group.group_id).collect();
    if output.json {
        output.json(&json!(names))?;
    } else {
        for name in names {
            output.line(&name)?;
        }
    }
    // What is missing is told behind what is there.
    listings.errors.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

async fn delete(groups: &[String], admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let names: Vec<_> = groups.iter().map(String::as_str).collect();
    output.confirm(&format!("Delete {} with all offsets?", names.join(", ")))?;
    let mut failure = None;
    for (name, result) in admin.delete_groups(&names, OPERATION).await? {
        match result {
            Ok(()) => output.done("deleted", &name, &format!("Deleted group {name}."))?,
            // The others are told of all the same.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

async fn delete_offsets(
    group: &str,
    topics: &[Selection],
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let partitions = resolve(topics, admin).await?;
    output.confirm(&format!("Forget where {group} stands (partitions: {})?", partitions.len()))?;
    let mut failure = None;
    for (forgotten, result) in admin.delete_group_offsets(group, &partitions, OPERATION).await? {
        let name = format!("{}:{}", forgotten.partition.topic, forgotten.partition.partition);
        match result {
            Ok(()) => output.done("deleted", &name, &format!("Forgot the offset of {name}."))?,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The partitions that `topics` mean, each of which has to be there.
async fn resolve(topics: &[Selection], admin: &Admin) -> Result<Vec<TopicPartition>, CliError> {
    let names: Vec<_> = topics.iter().map(|selection| selection.topic.as_str()).collect();
    let described = admin.describe_topics(&names, REQUEST).await?;
    let mut found = Vec::new();
    for selection in topics {
        let name = selection.topic.as_str();
        let Some((_, result)) = described.iter().find(|(topic, _)| topic == name) else { continue };
        let there = &result.as_ref().map_err(Clone::clone)?.partitions;
        let all = || there.iter().map(|partition| partition.id).collect();
        for partition in selection.partitions.clone().unwrap_or_else(all) {
            if !there.iter().any(|known| known.id == partition) {
                return Err(no_partition(name, partition, there.len()));
            }
            found.push(TopicPartition::new(name, partition));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
