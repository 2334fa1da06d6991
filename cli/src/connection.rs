//! Where the cluster is: flags over the environment over `--command-config` over the service's own YAML.
//!
//! All of it goes through the framework's loader, so that the tool connects exactly as the service does.

use std::fs;
use std::path::{Path, PathBuf};

use kafka_boot::config::{LoadOptions, Settings};
use kafka_boot_client::{ClientConfig, is_known_property};
use serde_json::{Map, Value, json};

use crate::arguments::Connection;
use crate::error::CliError;

/// The variable that names the active profiles.
const PROFILES: &str = "APP_PROFILES_ACTIVE";

/// The settings of an admin client.
pub(crate) fn settings(
    connection: &Connection,
    environment: &[(String, String)],
) -> Result<ClientConfig, CliError> {
    let settings = Settings::load(options(connection, environment)?)?;
    let client = settings.admin_client(None).unwrap_or_default();
    settings.check_raw_settings(&is_known_property)?;
    if client.get("bootstrap.servers").is_none() {
        return Err(CliError::failed(
            "the service's broker is inside its own process (`bootstrap-servers: embedded`)",
        )
        .with_help(
            "give that one a port with `kafka.embedded.port`, and name it with `--bootstrap-servers`",
        ));
    }
    Ok(client.iter().collect())
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
        options.documents.push((file.display().to_string(), document(file)?));
    }
    if let Some(servers) = &connection.bootstrap_servers {
        options.arguments.push(format!("--kafka.bootstrap-servers={servers}"));
    }
    Ok(options)
}

/// A properties file as a document of the framework's.
fn document(file: &Path) -> Result<String, CliError> {
    let text = fs::read_to_string(file).map_err(|error| {
        CliError::failed(format!("`--command-config {}`: {error}", file.display()))
            .with_help("name a file of client settings, a `name=value` a line")
    })?;
    let mut kafka = Map::new();
    let mut properties = Map::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            // The line itself may hold a secret.
            return Err(CliError::failed(format!("{}:{}: expected `name=value`", file.display(), index + 1))
                .with_help("write a setting a line, and comments behind `#`"));
        };
        let (name, value) = (name.trim(), Value::from(value.trim()));
        if name == "bootstrap.servers" {
            kafka.insert("bootstrap-servers".to_owned(), value);
        } else {
            properties.insert(name.to_owned(), value);
        }
    }
    kafka.insert("properties".to_owned(), Value::Object(properties));
    // JSON is YAML.
    Ok(json!({ "kafka": kafka }).to_string())
}
