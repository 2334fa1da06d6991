//! A compose file, typed, and what in it refers to what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What the web UI listens on, as its documentation says.
const UI_PORT: u16 = 8080;

/// The file as the compose specification has it, as far as it is used here: anything else is an error, a misspelt key too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    #[serde(rename = "name")]
    _name: String,
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<BTreeMap<String, String>>>,
    // Named pieces, which the parser has put where they are referred to.
    #[serde(default, rename = "x-broker")]
    _broker: IgnoredAny,
    #[serde(default, rename = "x-broker-settings")]
    _broker_settings: IgnoredAny,
    #[serde(default, rename = "x-cluster-settings")]
    _cluster_settings: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    image: Option<String>,
    build: Option<Build>,
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    /// `here:inside`.
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, Value>,
    /// `volume:path`.
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    pub(crate) healthcheck: Option<HealthCheck>,
    pub(crate) stop_grace_period: Option<String>,
    #[serde(rename = "restart")]
    _restart: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    context: String,
    dockerfile: Option<String>,
    #[serde(default, rename = "args")]
    _args: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    condition: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    test: Vec<String>,
    #[serde(rename = "interval")]
    _interval: String,
    #[serde(rename = "timeout")]
    _timeout: String,
    retries: u32,
    #[serde(rename = "start_period")]
    _start_period: String,
}

/// What a variable is set to.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

pub(crate) struct ComposeFile {
    compose: Compose,
    /// What `.env` sets.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) used_variables: BTreeSet<String>,
}

/// A host and a port that a setting names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl ComposeFile {
    pub(crate) fn new(text: &str, dotenv: &str) -> Self {
        let lines = dotenv.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let variables: BTreeMap<_, _> = lines
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut used_variables = BTreeSet::new();
        let mut expanded = text.to_owned();
        while let Some(at) = expanded.find("${") {
            let end = at + expanded[at..].find('}').unwrap();
            let name = expanded[at + 2..end].to_owned();
            let value = variables.get(&name).unwrap_or_else(|| panic!("`{name}` is not in `.env`"));
            expanded.replace_range(at..=end, value);
            used_variables.insert(name);
        }
        let compose = serde_saphyr::from_str(&expanded).unwrap();
        Self { compose, variables, used_variables }
    }

    fn services(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.compose.services.iter()
    }

    pub(crate) fn service(&self, name: &str) -> &Service {
        let found = self.services().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("there is no service `{name}`")).1
    }

    /// The services that are brokers.
    pub(crate) fn brokers(&self) -> Vec<String> {
        let is_broker =
            |service: &Service| service.image.as_deref().unwrap_or_default().starts_with("apache/kafka:");
        self.services().filter(|(_, service)| is_broker(service)).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn settings(&self, service: &str) -> BTreeMap<String, String> {
        let environment = self.service(service).environment.iter();
        environment.map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    pub(crate) fn setting(&self, service: &str, name: &str) -> String {
        self.settings(service).remove(name).unwrap_or_else(|| panic!("`{service}` has no `{name}`"))
    }

    /// The port of one of a broker's listeners.
    pub(crate) fn listener(&self, broker: &str, name: &str) -> u16 {
        let listeners = self.setting(broker, "KAFKA_LISTENERS");
        let found = listeners.split(',').find_map(|listener| listener.strip_prefix(&format!("{name}://:")));
        found.unwrap_or_else(|| panic!("`{broker}` has no listener {name}")).parse().unwrap()
    }

    /// The ports that a service listens on.
    pub(crate) fn listened(&self, service: &str) -> BTreeSet<u16> {
        if service == "kafka-ui" {
            return BTreeSet::from([UI_PORT]);
        }
        let settings = self.settings(service);
        let listeners = settings.get("KAFKA_LISTENERS").map(String::as_str).unwrap_or_default();
        listeners.split(',').filter_map(|listener| listener.rsplit(':').next()?.parse().ok()).collect()
    }

    /// Every host and port that a setting names, but for those of this machine.
    pub(crate) fn references(&self) -> Vec<(String, String, Reference)> {
        let mut found = Vec::new();
        for (service, _) in self.services() {
            for (variable, value) in self.settings(service) {
                let is_address = variable == "KAFKA_BOOTSTRAP_SERVERS"
                    || variable.ends_with("_BOOTSTRAPSERVERS")
                    || variable == "KAFKA_CONTROLLER_QUORUM_VOTERS"
                    || variable == "KAFKA_ADVERTISED_LISTENERS";
                for address in value.split(',').filter(|_| is_address) {
                    // `1@host:port`, `NAME://host:port` or `host:port`.
                    let address = address.rsplit(['@', '/']).next().unwrap();
                    let (host, port) = address.split_once(':').unwrap();
                    if host != "localhost" {
                        let reference = Reference { host: host.to_owned(), port: port.parse().unwrap() };
                        found.push((service.clone(), variable.clone(), reference));
                    }
                }
            }
        }
        assert!(!found.is_empty());
        found
    }

    /// Service, port of this machine and port inside.
    pub(crate) fn published(&self) -> impl Iterator<Item = (String, u16, u16)> {
        self.services().flat_map(|(name, service)| {
            service.ports.iter().map(|port| {
                let (on_host, inside) = port.split_once(':').unwrap();
                (name.clone(), on_host.parse().unwrap(), inside.parse().unwrap())
            })
        })
    }

    /// Service, what it needs, and on which condition it starts.
    pub(crate) fn dependencies(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for (name, service) in self.services() {
            let needed = service.depends_on.iter();
            found.extend(needed.map(|(needed, how)| (name.clone(), needed.clone(), how.condition.clone())));
        }
        assert!(!found.is_empty());
        found
    }

    /// The program that tells whether a broker is healthy, and the server that it asks.
    pub(crate) fn health_check(&self, broker: &str) -> (Vec<String>, String) {
        let check = self.service(broker).healthcheck.as_ref().unwrap();
        assert!(check.retries > 0, "{broker}: {check:?}");
        let words = &check.test;
        assert_eq!(words[0], "CMD");
        let at = words.iter().position(|word| word == "--bootstrap-server").unwrap();
        (words[1..].to_vec(), words[at + 1].clone())
    }

    pub(crate) fn volumes(&self, service: &str) -> Vec<(String, String)> {
        let volumes = self.service(service).volumes.iter().map(|volume| volume.split_once(':').unwrap());
        volumes.map(|(volume, path)| (volume.to_owned(), path.to_owned())).collect()
    }

    pub(crate) fn declared_volumes(&self) -> BTreeSet<String> {
        self.compose.volumes.keys().cloned().collect()
    }

    /// Context and Dockerfile.
    pub(crate) fn build(&self, service: &str) -> (String, String) {
        let build = self.service(service).build.as_ref().unwrap();
        (build.context.clone(), build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned()))
    }
}
