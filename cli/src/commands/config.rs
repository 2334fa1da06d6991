//! `config`: a service's YAML, checked and shown without running the service.

use std::collections::BTreeSet;

use clap::Subcommand;
use kafka_boot::config::{self, LoadOptions, Settings};
use kafka_boot_client::{ClientConfig, builtin_features, is_known_property};
use serde_json::json;

use crate::arguments::Connection;
use crate::connection;
use crate::error::CliError;
use crate::output::{Output, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reports everything that is wrong with the configuration, as the service would at its start
    Check,
    /// Shows what is set, and where; secrets and the service's own sections are masked
    Print {
        /// Show the defaults of everything else, too
        #[arg(long)]
        effective: bool,
    },
    /// Prints the JSON schema of `application.yml`, for editors
    Schema,
    /// Prints every key with its default and what it is for, as a file to copy from
    Reference,
}

pub(super) fn execute(
    command: &Command,
    connection: &Connection,
    environment: &[(String, String)],
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::Check => {
            let settings = connection::service(connection, environment, output.errors)?;
            require_file(&settings, connection)?;
            check(&settings, output)
        }
        Command::Print { effective } => {
            let settings = connection::service(connection, environment, output.errors)?;
            print(&settings, *effective, output)
        }
        Command::Schema => output.json(&config::json_schema()),
        Command::Reference => Ok(write!(output.sink, "{}", config::REFERENCE)?),
    }
}

fn check(settings: &Settings, output: &mut Output<'_>) -> Result<(), CliError> {
    settings.check_raw_settings(&is_known_property)?;
    for cluster in clusters(settings) {
        check_clients(settings, cluster, output)?;
    }
    check_listeners(settings, output)?;
    let missing = missing_features(settings);
    if output.json {
        return output.json(&json!({
            "result": "valid", "sources": settings.sources(), "profiles": settings.profiles(),
            "warnings": settings.warnings(), "featuresToBuildIn": missing,
        }));
    }
    for warning in settings.warnings() {
        output.note(&format!("warning: {warning}"));
    }
    for feature in &missing {
        output.note(&format!("note: the service has to be built with the cargo feature `{feature}`"));
    }
    let profiles = match settings.profiles() {
        [] => "no profile".to_owned(),
        profiles => format!("profiles: {}", profiles.join(", ")),
    };
    let sources = match settings.sources() {
        [] => "nothing is set".to_owned(),
        sources => sources.join(", "),
    };
    output.line(&format!("The configuration is valid ({profiles}; {sources})."))
}

/// The cluster that `kafka` itself describes, and the named ones.
fn clusters(settings: &Settings) -> impl Iterator<Item = Option<&str>> {
    std::iter::once(None).chain(settings.kafka().clusters.keys().map(|name| Some(name.as_str())))
}

/// Where there is no file, nothing was checked: the service's folder is another one.
fn require_file(settings: &Settings, connection: &Connection) -> Result<(), CliError> {
    let is_file = |source: &String| {
        !["environment variable `", "argument `"].iter().any(|other| source.starts_with(other))
    };
    if settings.sources().iter().any(is_file) {
        return Ok(());
    }
    let folder = connection
        .config_dir
        .as_ref()
        .map_or_else(|| "the current folder".to_owned(), |folder| format!("`{}`", folder.display()));
    Err(CliError::failed(format!("there is no configuration to check in {folder}"))
        .with_help("name the service's folder, in which (or in whose `config`) `application.yml` is, with `--config-dir`"))
}

/// The client's own judgement of what the clients of a cluster are given.
fn check_clients(
    settings: &Settings,
    cluster: Option<&str>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let section = cluster.map_or_else(|| "kafka".to_owned(), |name| format!("kafka.clusters.{name}"));
    for (what, client) in
        [("admin client", settings.admin_client(cluster)), ("producer", settings.producer_client(cluster))]
    {
        if let Some(client) = client {
            judge(&client.iter().collect(), &format!("the {what} of `{section}`"), output)?;
        }
    }
    let consumer = connection::consumer(settings, connection::TOOL, cluster)?;
    judge(&consumer, &format!("the consumers of `{section}`"), output)
}

/// The same of the listeners that the configuration knows. What their attributes say is in the service's code alone.
fn check_listeners(settings: &Settings, output: &mut Output<'_>) -> Result<(), CliError> {
    for id in settings.kafka().listeners.keys() {
        match connection::consumer(settings, id, None) {
            Ok(consumer) => judge(&consumer, &format!("the consumers of `kafka.listeners.{id}`"), output)?,
            Err(errors) => {
                for error in errors.iter() {
                    output.note(error.to_string().replacen("error:", "warning:", 1).trim_end());
                }
                output.note(&format!(
                    "note: whether that holds for the listener `{id}` depends on its attributes, in the service's code"
                ));
            }
        }
    }
    Ok(())
}

/// The client's own judgement of what it is given. An error says itself which setting it is about, but not whose.
fn judge(config: &ClientConfig, whose: &str, output: &mut Output<'_>) -> Result<(), CliError> {
    match config.validate() {
        // The tool need not have what the service has.
        Err(error) if matches!(error.kind(), kafka_boot_client::ErrorKind::FeatureMissing { .. }) => Ok(()),
        Err(error) => {
            output.note(&format!("{whose} cannot be made:"));
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// Which cargo features the configuration needs that this tool was built without, so that the service may lack them, too.
fn missing_features(settings: &Settings) -> Vec<&'static str> {
    let built_in = builtin_features();
    let library = |feature: &str| match feature {
        "tls" | "tls-vendored" => "ssl",
        "kerberos" => "sasl_gssapi",
        "oidc" => "sasl_oauthbearer",
        _ => "",
    };
    let required = settings.required_features().into_iter().map(|required| required.feature);
    let missing: BTreeSet<_> = required.filter(|feature| !built_in.contains(library(feature))).collect();
    missing.into_iter().collect()
}

fn print(settings: &Settings, effective: bool, output: &mut Output<'_>) -> Result<(), CliError> {
    let given = settings.effective();
    let mut rows: Vec<(String, String, String)> =
        given.into_iter().map(|value| (value.key, value.value, value.origin.to_string())).collect();
    if effective {
        let set: BTreeSet<String> = rows.iter().map(|(key, ..)| key.clone()).collect();
        rows.extend(defaults()?.into_iter().filter(|(key, ..)| !is_set(key, &set)));
        rows.sort_unstable();
    }
    if output.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin }))
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&["KEY", "VALUE", "ORIGIN"]);
    for (key, value, origin) in rows {
        table.row([key, value, origin]);
    }
    output.table(&table)
}

/// Every key that has a default, with it.
fn defaults() -> Result<Vec<(String, String, String)>, CliError> {
    let documents = vec![("reference".to_owned(), config::REFERENCE.to_owned())];
    let reference = Settings::load(LoadOptions { documents, ..LoadOptions::default() })?;
    let values = reference.effective().into_iter();
    Ok(values.map(|value| (value.key, value.value, "default".to_owned())).collect())
}

/// Whether a key, or the list that it is an element of, is set.
fn is_set(key: &str, set: &BTreeSet<String>) -> bool {
    let list = key.split('[').next().unwrap_or(key);
    let is_of_list = |set: &String| set.split('[').next() == Some(list);
    set.contains(key) || (list != key && set.iter().any(is_of_list))
}
