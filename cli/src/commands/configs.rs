//! `configs`: settings of a topic or a broker, shown and changed one by one.

use clap::{Args, Subcommand};
use kafka_boot_client::{Admin, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource};
use serde_json::json;

use super::{REQUEST, setting};
use crate::error::CliError;
use crate::output::{Output, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the settings that are not at their default
    Describe {
        #[command(flatten)]
        resource: Resource,
        /// Show the defaults, too
        #[arg(long)]
        all: bool,
    },
    /// Changes settings; all others stay as they are
    Alter {
        #[command(flatten)]
        resource: Resource,
        #[command(flatten)]
        changes: Changes,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Resource {
    /// The topic
    #[arg(long)]
    topic: Option<String>,
    /// The broker, by id
    #[arg(long)]
    broker: Option<i32>,
}

impl Resource {
    fn get(&self) -> ConfigResource {
        match (&self.topic, self.broker) {
            (None, Some(broker)) => ConfigResource::Broker(broker),
            (topic, _) => ConfigResource::Topic(topic.clone().unwrap_or_default()),
        }
    }
}

/// What to change.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Changes {
    /// Give a setting a value
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Take a setting back to its default
    #[arg(long, value_name = "NAME")]
    delete: Vec<String>,
}

impl Changes {
    fn get(&self) -> Vec<ConfigChange> {
        let set = self.set.iter().map(|(name, value)| ConfigChange {
            name: name.clone(),
            operation: ConfigOperation::Set(value.clone()),
        });
        let delete = self
            .delete
            .iter()
            .map(|name| ConfigChange { name: name.clone(), operation: ConfigOperation::Delete });
        set.chain(delete).collect()
    }
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::Describe { resource, all } => describe(&resource.get(), *all, admin, output).await,
        Command::Alter { resource, changes } => alter(&resource.get(), &changes.get(), admin, output).await,
    }
}

fn title(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(name) => format!("topic {name}"),
        ConfigResource::Broker(id) => format!("broker {id}"),
        other => format!("{other:?}"),
    }
}

async fn describe(
    resource: &ConfigResource,
    all: bool,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let mut entries: Vec<ConfigEntry> = Vec::new();
    for (_, result) in admin.describe_configs(std::slice::from_ref(resource), REQUEST).await? {
        entries.extend(result?);
    }
    entries.retain(|entry| all || entry.source != ConfigSource::Default);
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    if output.json {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| json!({ "name": entry.name, "value": entry.value, "source": source(entry.source) }))
            .collect();
        return output.json(&json!(entries));
    }
    let mut table = Table::new(&["NAME", "VALUE", "SOURCE"]);
    for entry in &entries {
        let value = entry.value.clone().unwrap_or_else(|| "(secret)".to_owned());
        table.row([entry.name.clone(), value, source(entry.source).to_owned()]);
    }
    output.table(&table)
}

fn source(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::Topic => "topic",
        ConfigSource::Broker => "broker",
        ConfigSource::AllBrokers => "all brokers",
        ConfigSource::BrokerFile => "broker's file",
        ConfigSource::Group => "group",
        ConfigSource::Default => "default",
        _ => "unknown",
    }
}

/// Changes `resource`, and says so: `topics alter` is this, too.
pub(crate) async fn alter(
    resource: &ConfigResource,
    changes: &[ConfigChange],
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let requests = [(resource.clone(), changes.to_vec())];
    for (_, result) in admin.incremental_alter_configs(&requests, REQUEST).await? {
        result?;
    }
    output.done("updated", &title(resource), &format!("Completed updating config for {}.", title(resource)))
}

/// As [`alter`], for `topics alter`.
pub(crate) async fn alter_topic(
    topic: &str,
    changes: &Changes,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    alter(&ConfigResource::Topic(topic.to_owned()), &changes.get(), admin, output).await
}
