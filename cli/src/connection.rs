//! Where the cluster is: flags over the environment over `--command-config` over the service's own YAML.
//!
//! All of it goes through the framework's loader, so that the tool connects exactly as the service does.

use std::fs;
use std::path::{Path, PathBuf};

use kafka_boot::config::{LoadOptions, Settings};
use kafka_boot_client::{ClientConfig, is_known_property};
use serde_json::{Value, json};

use crate::arguments::Connection;
use crate::error::CliError;

/// The variable that names the active profiles.
const PROFILES: &str = "APP_PROFILES_ACTIVE";

/// The settings of an admin client, and those of a producer.
pub(crate) fn settings(
    connection: &Connection,
    environment: &[(String, String)],
) -> Result<(ClientConfig, ClientConfig), CliError> {
    let settings = Settings::load(options(connection, environment)?)?;
    let client = settings.admin_client(None).unwrap_or_default();
    let producer = settings.producer_client(None).unwrap_or_default();
    settings.check_raw_settings(&is_known_property)?;
    if client.get("bootstrap.servers").is_none() {
        return Err(CliError::failed(
            "the service's broker is inside its own process (`bootstrap-servers: embedded`)",
        )
        .with_help(
            "give that one a port with `kafka.embedded.port`, and name it with `--bootstrap-servers`",
        ));
    }
    Ok((client.iter().collect(), producer.iter().collect()))
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
