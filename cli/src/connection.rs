//! Where the cluster is: flags over the environment over `--command-config` over the service's own YAML.
//!
//! All of it goes through the framework's loader, so that the tool connects exactly as the service does.

use std::fs;
use std::path::{Path, PathBuf};

use kafka_boot::config::{AttributeSetting, AttributeValue, LoadOptions, Settings};
use kafka_boot_client::{ClientConfig, is_known_property};
use serde_json::{Value, json};

use crate::arguments::Connection;
use crate::error::CliError;

/// The variable that names the active profiles.
const PROFILES: &str = "APP_PROFILES_ACTIVE";

const RECONNECT_BACKOFF: &str = "reconnect.backoff.ms";

/// What the tool calls itself where it needs a group or a client id of its own.
const TOOL: &str = "kafka-boot-cli";

/// The configuration of a cluster, as the service has it.
pub(crate) struct Connected {
    settings: Settings,
    cluster: Option<String>,
}

impl Connected {
    pub(crate) fn new(connection: &Connection, environment: &[(String, String)]) -> Result<Self, CliError> {
        let settings = service(connection, environment)?;
        settings.check_raw_settings(&is_known_property)?;
        let cluster = connection.cluster.clone();
        if let Some(name) = &cluster
            && !settings.kafka().clusters.contains_key(name)
        {
            let known: Vec<_> = settings.kafka().clusters.keys().map(|name| format!("`{name}`")).collect();
            let help = match known.as_slice() {
                [] => "the configuration has no `kafka.clusters`".to_owned(),
                known => format!("`kafka.clusters` has {}", known.join(", ")),
            };
            return Err(CliError::failed(format!("there is no cluster `{name}`")).with_help(help));
        }
        let connected = Self { settings, cluster };
        if connected.admin().get("bootstrap.servers").is_none() {
            return Err(CliError::failed(
                "the service's broker is inside its own process (`bootstrap-servers: embedded`)",
            )
            .with_help(
                "give that one a port with `kafka.embedded.port`, and name it with `--bootstrap-servers`",
            ));
        }
        Ok(connected)
    }

    /// The settings of an admin client.
    pub(crate) fn admin(&self) -> ClientConfig {
        let client = self.settings.admin_client(self.cluster.as_deref()).unwrap_or_default();
        prompt(client.iter().collect())
    }

    /// The settings of the service's producer, but for what would get in the way of the service itself.
    pub(crate) fn producer(&self) -> ClientConfig {
        let client = self.settings.producer_client(self.cluster.as_deref()).unwrap_or_default();
        let mut config: ClientConfig = client.iter().collect();
        // Two producers of one transactional id fence each other.
        config.remove("transactional.id");
        prompt(config)
    }

    /// The settings of a consumer of the service, but for its group and what would get in the way of the service itself.
    pub(crate) fn consumer(&self, group: Option<&str>) -> Result<ClientConfig, CliError> {
        let text = |key, value| AttributeSetting {
            key,
            value: AttributeValue::Str(value),
            file: file!(),
            line: line!(),
        };
        // The topic is only there because a listener has one.
        let mut attributes = vec![text("topic", TOOL), text("group", TOOL)];
        if let Some(cluster) = &self.cluster {
            // Attributes are constants of a program; this one lives as long as the process, like them.
            attributes.push(text("cluster", Box::leak(cluster.clone().into_boxed_str())));
        }
        let listener = self.settings.listener(TOOL, &attributes)?;
        let mut config: ClientConfig = self.settings.consumer_client(&listener).iter().collect();
        config.set("group.id", group.unwrap_or(TOOL));
        config.set("client.id", TOOL);
        config.set("enable.auto.commit", "false");
        // Two consumers of one instance id fence each other.
        config.remove("group.instance.id");
        Ok(prompt(config))
    }
}

/// Has a client look for a broker at once. librdkafka waits half of its reconnect backoff, 50 ms, between its first attempts,
/// which is longer than most commands take; the backoff still grows while no broker answers.
fn prompt(mut config: ClientConfig) -> ClientConfig {
    if config.get(RECONNECT_BACKOFF).is_none() {
        config.set(RECONNECT_BACKOFF, "10");
    }
    config
}

/// The service's whole configuration, whether or not it tells of brokers.
pub(crate) fn service(
    connection: &Connection,
    environment: &[(String, String)],
) -> Result<Settings, CliError> {
    Ok(Settings::load(options(connection, environment)?)?)
}

fn options(connection: &Connection, environment: &[(String, String)]) -> Result<LoadOptions, CliError> {
    let mut options = LoadOptions { environment: environment.to_vec(), ..LoadOptions::default() };
    // Who names the brokers does not mean the service whose folder this happens to be.
    let named = connection.bootstrap_servers.is_some() || connection.command_config.is_some();
    options.directory = match &connection.config_dir {
        Some(folder) if !folder.is_dir() => {
            return Err(CliError::failed(format!(
                "`--config-dir {}`: there is no such folder",
                folder.display()
            ))
            .with_help("name the service's folder, in which (or in whose `config`) `application.yml` is"));
        }
        Some(folder) => Some(folder.clone()),
        None if named => None,
        None => Some(PathBuf::from(".")),
    };
    if let Some(profile) = &connection.profile {
        options.environment.retain(|(name, _)| name != PROFILES);
        options.environment.push((PROFILES.to_owned(), profile.clone()));
    }
    if let Some(file) = &connection.command_config {
        options.documents.extend(documents(file)?);
    }
    if let Some(servers) = &connection.bootstrap_servers {
        options.arguments.push(format!("--kafka.bootstrap-servers={servers}"));
    }
    Ok(options)
}

/// A properties file as documents of the framework's: a line of the file is a line of the document, so that messages
/// name the right one, and show no other, which may hold a secret.
fn documents(file: &Path) -> Result<Vec<(String, String)>, CliError> {
    let text = fs::read_to_string(file).map_err(|error| {
        CliError::failed(format!("`--command-config {}`: {error}", file.display()))
            .with_help("name a file of client settings, a `name=value` a line")
    })?;
    let source = file.display().to_string();
    let mut documents = Vec::new();
    let mut properties = String::from("{\"kafka\":{\"properties\":{");
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with(['#', '!']) {
            let Some((name, value)) = line.split_once('=') else {
                // The line itself may hold a secret.
                return Err(CliError::failed(format!("{source}:{}: expected `name=value`", index + 1))
                    .with_help("write a setting a line, and comments behind `#`"));
            };
            // JSON is YAML, but for the comma behind the last entry, which only YAML allows.
            let (name, value) = (name.trim(), Value::from(value.trim()));
            if name == "bootstrap.servers" {
                let servers = json!({ "kafka": { "bootstrap-servers": value } });
                documents.push((source.clone(), servers.to_string()));
            } else {
                properties.extend([
                    Value::from(name).to_string(),
                    ": ".to_owned(),
                    value.to_string(),
                    ",".to_owned(),
                ]);
            }
        }
        properties.push('\n');
    }
    properties.push_str("}}}");
    documents.push((source, properties));
    Ok(documents)
}
