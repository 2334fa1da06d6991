//! `topics`: list, describe, create, alter, delete, and more partitions.

use std::time::{Duration, Instant};

use clap::Subcommand;
use kafka_boot_client::{
    Admin, BrokerMetadata, ClientError, ErrorKind, ItemResults, NewPartitions, NewTopic, TopicDescription,
};
use serde_json::json;

use super::{OPERATION, REQUEST, configs, setting, unique};
use crate::error::{CliError, Failures};
use crate::output::{Output, Table};

/// How often the brokers are asked whether they know of a change.
const KNOWN_INTERVAL: Duration = Duration::from_millis(20);

/// The topics that Kafka keeps for itself.
const INTERNAL: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the topics' names
    List {
        /// Leave out those that Kafka keeps for itself
        #[arg(long)]
        exclude_internal: bool,
    },
    /// Shows each partition's leader and replicas
    Describe {
        /// The topics
        #[arg(required = true)]
        topics: Vec<String>,
    },
    /// Creates a topic
    Create {
        /// Its name
        topic: String,
        /// How many partitions [default: what the broker is set to]
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// On how many brokers each is kept [default: what the broker is set to]
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=32767))]
        replication_factor: Option<i32>,
        /// A setting of its own
        #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
        config: Vec<(String, String)>,
        /// Succeed when it is there already, and leave it as it is
        #[arg(long)]
        if_not_exists: bool,
    },
    /// Changes settings of a topic; all others stay as they are
    Alter {
        /// The topic
        topic: String,
        #[command(flatten)]
        changes: configs::Changes,
    },
    /// Deletes topics with all their records
    Delete {
        /// The topics
        #[arg(required = true)]
        topics: Vec<String>,
    },
    /// Gives a topic more partitions; records that are there stay where they are
    Partitions {
        /// The topic
        topic: String,
        /// How many there shall be, those that are there included
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        total: u32,
    },
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::List { exclude_internal } => list(*exclude_internal, admin, output).await,
        Command::Describe { topics } => describe(topics, admin, output).await,
        Command::Create { topic, partitions, replication_factor, config, if_not_exists } => {
            let mut new = NewTopic::new(topic);
            new.partitions = *partitions;
            new.replication_factor = *replication_factor;
            new.configs.clone_from(config);
            create(new, *if_not_exists, admin, output).await
        }
        Command::Alter { topic, changes } => configs::alter_topic(topic, changes, admin, output).await,
        Command::Delete { topics } => delete(topics, admin, output).await,
        Command::Partitions { topic, total } => grow(topic, *total, admin, output).await,
    }
}

/// What the brokers know of a topic.
type Found = Result<TopicDescription, ClientError>;

/// The controller has decided; waits until the brokers know of it too, so that what comes next finds it so.
async fn until(topic: &str, admin: &Admin, is_so: impl Fn(Found) -> bool) -> Result<(), CliError> {
    let deadline = Instant::now() + OPERATION;
    while Instant::now() < deadline {
        let described = admin.describe_topics(&[topic], REQUEST).await?;
        if described.into_iter().any(|(_, found)| is_so(found)) {
            break;
        }
        tokio::time::sleep(KNOWN_INTERVAL).await;
    }
    Ok(())
}

async fn list(exclude_internal: bool, admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let topics = admin.list_topics(REQUEST).await?;
    let mut names: Vec<_> = topics.into_iter().map(|topic| topic.name).collect();
    names.retain(|name| !exclude_internal || !INTERNAL.contains(&name.as_str()));
    names.sort_unstable();
    if output.json {
        return output.json(&json!(names));
    }
    for name in names {
        output.line(&name)?;
    }
    Ok(())
}

async fn describe(topics: &[String], admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let (mut found, mut failures) = (Vec::new(), Failures::default());
    for (_, result) in admin.describe_topics(&unique(topics), REQUEST).await? {
        match result {
            Ok(topic) => found.push(topic),
            Err(error) => failures.add(error),
        }
    }
    failures.or(Ok(()))?;
    if output.json {
        let topics: Vec<_> = found.iter().map(to_json).collect();
        return output.json(&json!(topics));
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR"]);
    for topic in &found {
        for partition in &topic.partitions {
            table.row([
                topic.name.clone(),
                partition.id.to_string(),
                partition.leader.as_ref().map_or_else(|| "none".to_owned(), |leader| leader.id.to_string()),
                ids(&partition.replicas),
                ids(&partition.in_sync_replicas),
            ]);
        }
    }
    output.table(&table)
}

fn ids(brokers: &[BrokerMetadata]) -> String {
    brokers.iter().map(|broker| broker.id.to_string()).collect::<Vec<_>>().join(",")
}

fn to_json(topic: &TopicDescription) -> serde_json::Value {
    let id = |broker: &BrokerMetadata| broker.id;
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| {
            json!({
                "partition": partition.id,
                "leader": partition.leader.as_ref().map(id),
                "replicas": partition.replicas.iter().map(id).collect::<Vec<_>>(),
                "isr": partition.in_sync_replicas.iter().map(id).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "topic": topic.name, "internal": topic.is_internal, "partitions": partitions })
}

async fn create(
    topic: NewTopic,
    if_not_exists: bool,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let name = topic.name.clone();
    for (_, result) in admin.create_topics(&[topic], OPERATION).await? {
        match result {
            Err(error)
                if if_not_exists
                    && error.code() == Some(kafka_boot_client::ErrorCode::TOPIC_ALREADY_EXISTS) =>
            {
                return output.done("unchanged", &name, &format!("Topic {name} exists already."));
            }
            other => other?,
        }
    }
    until(&name, admin, |found| found.is_ok_and(|topic| topic.partitions.iter().all(|p| p.leader.is_some())))
        .await?;
    output.done("created", &name, &format!("Created topic {name}."))
}

async fn delete(topics: &[String], admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let names = unique(topics);
    output.confirm(&format!("Delete {} with all records?", names.join(", ")))?;
    let results: ItemResults<()> = admin.delete_topics(&names, OPERATION).await?;
    let (mut failures, mut told) = (Failures::default(), Ok(()));
    for (name, result) in results {
        match result {
            Ok(()) => {
                let is_gone =
                    |found: Found| found.is_err_and(|error| *error.kind() == ErrorKind::UnknownTopic);
                until(&name, admin, is_gone).await?;
                told = told.and(output.done("deleted", &name, &format!("Deleted topic {name}.")));
            }
            // The others are told of all the same.
            Err(error) => failures.add(error),
        }
    }
    failures.or(told)
}

async fn grow(topic: &str, total: u32, admin: &Admin, output: &mut Output<'_>) -> Result<(), CliError> {
    let growth =
        NewPartitions { topic: topic.to_owned(), total: usize::try_from(total).unwrap_or(usize::MAX) };
    for (_, result) in admin.create_partitions(&[growth], OPERATION).await? {
        result?;
    }
    let is_grown = |found: Found| found.is_ok_and(|found| found.partitions.len() >= total as usize);
    until(topic, admin, is_grown).await?;
    output.done("grown", topic, &format!("Topic {topic} has {total} partitions."))
}
