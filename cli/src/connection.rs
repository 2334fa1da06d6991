//! Where the cluster is: flags over the environment over `--command-config` over the service's own YAML.
//!
//! All of it goes through the framework's loader, so that the tool connects exactly as the service does.

use std::io::Write;
use std::path::PathBuf;

use kafka_boot::config::{AttributeSetting, AttributeValue, ConfigErrors, LoadOptions, Settings};
use kafka_boot_client::{ClientConfig, is_known_property};
use serde_json::json;

use crate::arguments::Connection;
use crate::error::CliError;
use crate::properties;

/// The variable that names the folder or file of the service's configuration.
const LOCATION: &str = "KAFKA_BOOT_CONFIG";

/// Where a broker is looked for when nothing names one.
const DEFAULT_SERVERS: &str = "localhost:9092";

/// What the document with [`DEFAULT_SERVERS`] is called.
const DEFAULT_NAME: &str = "default";

const RECONNECT_BACKOFF: &str = "reconnect.backoff.ms";

/// What the tool calls itself where it needs a group or a client id of its own.
pub(crate) const TOOL: &str = "kafka-boot-cli";

/// The configuration of a cluster, as the service has it.
pub(crate) struct Connected {
    settings: Settings,
    cluster: Option<String>,
    /// The brokers, where the configuration itself names none.
    servers: Option<String>,
}

impl Connected {
    pub(crate) fn new(
        connection: &Connection,
        environment: &[(String, String)],
        errors: &mut dyn Write,
    ) -> Result<Self, CliError> {
        let mut options = sources(connection, environment)?;
        let default = json!({ "kafka": { "bootstrap-servers": DEFAULT_SERVERS } });
        options.defaults.push((DEFAULT_NAME.to_owned(), default.to_string()));
        if let Some(name) = &connection.cluster {
            check_cluster(name, &options, connection)?;
        }
        lay_over(&mut options, connection, errors)?;
        let settings = Settings::load(options)?;
        settings.check_raw_settings(&is_known_property)?;
        let cluster = connection.cluster.clone();
        let servers = embedded(&settings, cluster.as_deref())?;
        Ok(Self { settings, cluster, servers })
    }

    /// The settings of an admin client.
    pub(crate) fn admin(&self) -> ClientConfig {
        let client = self.settings.admin_client(self.cluster.as_deref()).unwrap_or_default();
        self.prompt(client.iter().collect())
    }

    /// The settings of the service's producer, but for what would get in the way of the service itself.
    pub(crate) fn producer(&self) -> ClientConfig {
        let client = self.settings.producer_client(self.cluster.as_deref()).unwrap_or_default();
        let mut config: ClientConfig = client.iter().collect();
        // Two producers of one transactional id fence each other.
        config.remove("transactional.id");
        self.prompt(config)
    }

    /// The settings of a consumer of the service, but for its group and what would get in the way of the service itself.
    pub(crate) fn consumer(&self, group: Option<&str>) -> Result<ClientConfig, CliError> {
        let mut config = consumer(&self.settings, TOOL, self.cluster.as_deref())?;
        config.set("group.id", group.unwrap_or(TOOL));
        config.set("client.id", TOOL);
        config.set("enable.auto.commit", "false");
        // Two consumers of one instance id fence each other.
        config.remove("group.instance.id");
        Ok(self.prompt(config))
    }

    /// Has a client look for a broker at once. librdkafka waits half of its reconnect backoff, 50 ms, between its first
    /// attempts, which is longer than most commands take; the backoff still grows while no broker answers.
    fn prompt(&self, mut config: ClientConfig) -> ClientConfig {
        if config.get(RECONNECT_BACKOFF).is_none() {
            config.set(RECONNECT_BACKOFF, "10");
        }
        if let Some(servers) = &self.servers {
            config.set("bootstrap.servers", servers);
        }
        config
    }
}

/// The settings of the consumers of a listener, which need not be in the configuration.
pub(crate) fn consumer(
    settings: &Settings,
    id: &str,
    cluster: Option<&str>,
) -> Result<ClientConfig, ConfigErrors> {
    let text = |key, value| AttributeSetting {
        key,
        value: AttributeValue::Str(value),
        file: file!(),
        line: line!(),
    };
    // The topic is only there because a listener has one.
    let mut attributes = vec![text("topic", TOOL), text("group", TOOL)];
    if let Some(cluster) = cluster {
        // Attributes are constants of a program; this one lives as long as the process, like them.
        attributes.push(text("cluster", Box::leak(cluster.to_owned().into_boxed_str())));
    }
    let listener = settings.listener(id, &attributes)?;
    Ok(settings.consumer_client(&listener).iter().collect())
}

/// Refuses a cluster that the service does not have. What the flags say of it would make it one.
fn check_cluster(name: &str, options: &LoadOptions, connection: &Connection) -> Result<(), CliError> {
    let is_named = connection.bootstrap_servers.is_some() || connection.command_config.is_some();
    let settings = match Settings::load(options.clone()) {
        Ok(settings) => settings,
        // The flags may say what is missing.
        Err(_) if is_named => return Ok(()),
        Err(errors) => return Err(errors.into()),
    };
    let clusters = &settings.kafka().clusters;
    if clusters.contains_key(name) {
        return Ok(());
    }
    let known: Vec<_> = clusters.keys().map(|name| format!("`{name}`")).collect();
    let help = match known.as_slice() {
        [] => "the configuration has no `kafka.clusters`".to_owned(),
        known => format!("`kafka.clusters` has {}", known.join(", ")),
    };
    Err(CliError::failed(format!("there is no cluster `{name}`")).with_help(help))
}

/// Where the broker inside the service's process is, if that is the one that is meant.
fn embedded(settings: &Settings, cluster: Option<&str>) -> Result<Option<String>, CliError> {
    let kafka = settings.kafka();
    let port = kafka.embedded.port;
    let is_embedded = kafka.cluster(cluster).is_some_and(|cluster| cluster.bootstrap_servers.is_embedded());
    // A service that names no brokers has its own, too.
    let is_default = cluster.is_none()
        && settings
            .effective()
            .iter()
            .any(|value| value.key == "kafka.bootstrap-servers" && is_default(&value.origin.to_string()));
    match (is_embedded, port) {
        (true, 0) => Err(CliError::failed(
            "the service's broker is inside its own process (`bootstrap-servers: embedded`)",
        )
        .with_help(
            "give that one a port with `kafka.embedded.port`, name the profile in which it has one with `--profile`, or name other brokers with \
                     `--bootstrap-servers`",
        )),
        (true, port) => Ok(Some(format!("localhost:{port}"))),
        (false, 1..) if is_default => Ok(Some(format!("localhost:{port}"))),
        (false, _) => Ok(None),
    }
}

fn is_default(origin: &str) -> bool {
    origin == DEFAULT_NAME || origin.strip_prefix(DEFAULT_NAME).is_some_and(|rest| rest.starts_with(':'))
}

/// The service's whole configuration, whether or not it tells of brokers.
pub(crate) fn service(
    connection: &Connection,
    environment: &[(String, String)],
    errors: &mut dyn Write,
) -> Result<Settings, CliError> {
    let mut options = sources(connection, environment)?;
    lay_over(&mut options, connection, errors)?;
    Ok(Settings::load(options)?)
}

/// The service's files and the environment.
fn sources(connection: &Connection, environment: &[(String, String)]) -> Result<LoadOptions, CliError> {
    let mut options = LoadOptions { environment: environment.to_vec(), ..LoadOptions::default() };
    // Who names the brokers does not mean the service whose folder this happens to be, unless one of its clusters is named.
    let named = connection.bootstrap_servers.is_some() || connection.command_config.is_some();
    options.directory = match &connection.config_dir {
        Some(folder) if !folder.is_dir() => {
            return Err(CliError::failed(format!(
                "`--config-dir {}`: there is no such folder",
                folder.display()
            ))
            .with_help("name the service's folder, in which (or in whose `config`) `application.yml` is"));
        }
        Some(folder) => {
            // A flag is stronger than the environment.
            options.environment.retain(|(name, _)| name != LOCATION);
            Some(folder.clone())
        }
        None if named && connection.cluster.is_none() => None,
        None => Some(PathBuf::from(".")),
    };
    if let Some(profile) = &connection.profile {
        options.arguments.push(format!("--profile={profile}"));
    }
    Ok(options)
}

/// What the flags themselves say of the brokers, over everything else.
fn lay_over(
    options: &mut LoadOptions,
    connection: &Connection,
    errors: &mut dyn Write,
) -> Result<(), CliError> {
    let cluster = connection.cluster.as_deref();
    if let Some(file) = &connection.command_config {
        options.documents.extend(properties::documents(file, cluster, errors)?);
    }
    if let Some(servers) = &connection.bootstrap_servers {
        let section = cluster.map_or_else(|| "kafka".to_owned(), |name| format!("kafka.clusters.{name}"));
        options.arguments.push(format!("--{section}.bootstrap-servers={servers}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The brokers that a service with this `application.yml` is reached by, or the error.
    fn servers(
        yaml: Option<&str>,
        environment: &[(&str, &str)],
        connection: impl FnOnce(&Path) -> Connection,
    ) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(yaml) = yaml {
            std::fs::write(folder.path().join("application.yml"), yaml).expect("a file");
        }
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let connection =
            Connection { config_dir: Some(folder.path().to_owned()), ..connection(folder.path()) };
        match Connected::new(&connection, &environment, &mut std::io::sink()) {
            Ok(connected) => {
                let of =
                    |config: ClientConfig| config.get("bootstrap.servers").unwrap_or_default().to_owned();
                let all = [
                    of(connected.admin()),
                    of(connected.producer()),
                    of(connected.consumer(None).expect("a consumer")),
                ];
                assert!(all.iter().all(|servers| *servers == all[0]), "{all:?}");
                all[0].clone()
            }
            Err(error) => error.to_string(),
        }
    }

    fn plain(_: &Path) -> Connection {
        Connection::default()
    }

    #[test]
    fn a_broker_that_nothing_names_is_at_the_usual_port() {
        assert_eq!(servers(None, &[], plain), "localhost:9092");
        assert_eq!(servers(Some("kafka: { client-id: a }\n"), &[], plain), "localhost:9092");
        assert_eq!(servers(None, &[("KAFKA_BOOTSTRAP_SERVERS", "a:1")], plain), "a:1");
        let with_file = |text: &'static str| {
            move |folder: &Path| {
                let file = folder.join("client.properties");
                std::fs::write(&file, text).expect("a file");
                Connection { command_config: Some(file), ..Connection::default() }
            }
        };
        assert_eq!(servers(None, &[], with_file("client.id=a\n")), "localhost:9092");
        let secure =
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=a\nsasl.password=b\n";
        assert_eq!(servers(None, &[], with_file(secure)), "localhost:9092");
        assert_eq!(servers(None, &[], with_file("bootstrap.servers=a:1\n")), "a:1");
    }

    #[test]
    fn a_broker_inside_a_service_is_at_its_port() {
        assert_eq!(servers(Some("kafka: { embedded: { port: 19092 } }\n"), &[], plain), "localhost:19092");
        let said = "kafka: { bootstrap-servers: embedded, embedded: { port: 19092 } }\n";
        assert_eq!(servers(Some(said), &[], plain), "localhost:19092");
        assert_eq!(servers(Some(said), &[("KAFKA_BOOTSTRAP_SERVERS", "a:1")], plain), "a:1");
        let without = servers(Some("kafka: { bootstrap-servers: embedded }\n"), &[], plain);
        assert!(without.contains("inside its own process"), "{without}");
    }

    #[test]
    fn what_names_the_brokers_of_a_named_cluster_is_not_for_the_default_one() {
        let yaml =
            "kafka: { bootstrap-servers: \"d:1\", clusters: { east: { bootstrap-servers: \"e:1\" } } }\n";
        let east = |flag: Option<&'static str>| {
            move |_: &Path| Connection {
                cluster: Some("east".to_owned()),
                bootstrap_servers: flag.map(str::to_owned),
                ..Connection::default()
            }
        };
        assert_eq!(servers(Some(yaml), &[], east(None)), "e:1");
        assert_eq!(servers(Some(yaml), &[], east(Some("f:1"))), "f:1");
        // As for the service itself.
        assert_eq!(servers(Some(yaml), &[("KAFKA_BOOTSTRAP_SERVERS", "f:1")], east(None)), "e:1");
        assert_eq!(
            servers(Some(yaml), &[("KAFKA_CLUSTERS_EAST_BOOTSTRAP_SERVERS", "f:1")], east(None)),
            "f:1"
        );
        let both =
            servers(Some(yaml), &[("KAFKA_CLUSTERS_EAST_BOOTSTRAP_SERVERS", "g:1")], east(Some("f:1")));
        assert_eq!(both, "f:1", "a flag is stronger");
        let unknown = servers(Some("kafka: { client-id: a }\n"), &[], east(Some("f:1")));
        assert!(unknown.contains("there is no cluster `east`"), "{unknown}");
        let from_file = servers(Some(yaml), &[], |folder| {
            let file = folder.join("client.properties");
            std::fs::write(&file, "client.id=a\nbootstrap.servers=h:1\n").expect("a file");
            Connection { command_config: Some(file), ..east(None)(folder) }
        });
        assert_eq!(from_file, "h:1");
    }

    #[test]
    fn a_flag_is_stronger_than_the_variable_that_says_the_same() {
        let other = tempfile::tempdir().expect("a folder");
        std::fs::write(other.path().join("application.yml"), "kafka: { bootstrap-servers: \"o:1\" }\n")
            .expect("a file");
        let location = other.path().display().to_string();
        let environment = [("KAFKA_BOOT_CONFIG", location.as_str())];
        assert_eq!(servers(Some("kafka: { bootstrap-servers: \"m:1\" }\n"), &environment, plain), "m:1");
        let told = servers(None, &[("APP_PROFILES_ACTIVE", "other")], |_| Connection {
            profile: Some("nope".to_owned()),
            ..Connection::default()
        });
        assert!(told.contains("command line argument `--profile`"), "{told}");
    }
}
