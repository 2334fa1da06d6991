//! The `kafka` section: the default cluster, named clusters, and what holds for all listeners.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::TimeSpan;

use super::{
    AdminProperties, ConsumerProperties, ErrorProperties, ListenerOverrides, ProducerProperties,
    RawProperties, SecurityProperties, SupervisionProperties, TopicProperties,
};

/// `kafka`: everything about Kafka. The keys of a cluster stand here for the default one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KafkaProperties {
    /// Addresses `host:port` of some brokers of the default cluster, from which the others are found. Unset
    /// or `embedded`: a broker inside the process. Default `embedded`.
    pub bootstrap_servers: BootstrapServers,
    /// The name the clients give themselves in the brokers' logs and quotas. Default: `application.name`.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// Encryption and authentication.
    pub security: SecurityProperties,
    /// What holds for the consumers of all listeners.
    pub consumer: ConsumerProperties,
    /// The producer behind the template.
    pub producer: ProducerProperties,
    /// The admin client.
    pub admin: AdminProperties,
    /// Topics that are created at start where they are missing.
    pub topics: Vec<TopicProperties>,
    /// librdkafka's settings for every client of the default cluster, under their own names or Kafka's Java
    /// ones.
    pub properties: RawProperties,
    /// Requests that wait for their replies.
    pub replies: RepliesProperties,
    /// What happens to a record that its handler refuses.
    pub error: ErrorProperties,
    /// What happens to a listener that fails as a whole.
    pub supervision: SupervisionProperties,
    /// Overrides by listener id: every key of `kafka.consumer`, and those of the listener itself.
    pub listeners: BTreeMap<String, ListenerOverrides>,
    /// More clusters, by name; a listener chooses one with `cluster`.
    pub clusters: BTreeMap<String, ClusterProperties>,
    /// The broker inside the process, used while `bootstrap-servers` says `embedded`.
    pub embedded: EmbeddedProperties,
}

impl KafkaProperties {
    /// A cluster by its name, or the default one for `None`; `None` when there is none of that name.
    ///
    /// ```
    /// use kafka_boot::config::model::KafkaProperties;
    ///
    /// let kafka = KafkaProperties::default();
    /// assert!(kafka.cluster(None).is_some_and(|cluster| cluster.bootstrap_servers.is_embedded()));
    /// assert!(kafka.cluster(Some("east")).is_none());
    /// ```
    pub fn cluster(&self, name: Option<&str>) -> Option<ClusterProperties> {
        let Some(name) = name else {
            return Some(ClusterProperties {
                bootstrap_servers: self.bootstrap_servers.clone(),
                client_id: self.client_id.clone(),
                security: self.security.clone(),
                consumer: self.consumer.clone(),
                producer: self.producer.clone(),
                admin: self.admin.clone(),
                topics: self.topics.clone(),
                properties: self.properties.clone(),
            });
        };
        self.clusters.get(name).cloned()
    }
}

/// `kafka.replies`: requests that wait for their replies, on the default cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RepliesProperties {
    /// The topic that replies come into; without it there is no `ReplyingTemplate`.
    #[schemars(length(min = 1, max = 249), pattern(r"^[a-zA-Z0-9._-]+$"), extend("format" = "topic-name"))]
    pub topic: Option<String>,
    /// How long a request waits for its reply. Default 5 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1d"))]
    pub timeout: TimeSpan,
}

impl Default for RepliesProperties {
    fn default() -> Self {
        Self { topic: None, timeout: TimeSpan::from_secs(5) }
    }
}

/// `kafka.clusters.<name>`: one more cluster.
///
/// Its `consumer`, `producer` and `admin` sections start from those of `kafka`; its addresses, security,
/// topics and raw properties are its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClusterProperties {
    /// Addresses `host:port` of some brokers of this cluster. Unset or `embedded`: the broker inside the
    /// process.
    pub bootstrap_servers: BootstrapServers,
    /// The name the clients give themselves to this cluster. Default: `application.name`.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// Encryption and authentication.
    pub security: SecurityProperties,
    /// What holds for the consumers of this cluster's listeners.
    pub consumer: ConsumerProperties,
    /// The producer behind this cluster's template.
    pub producer: ProducerProperties,
    /// This cluster's admin client.
    pub admin: AdminProperties,
    /// Topics that are created in this cluster at start where they are missing.
    pub topics: Vec<TopicProperties>,
    /// librdkafka's settings for every client of this cluster.
    pub properties: RawProperties,
}

/// The addresses of a cluster: a list, or one text with commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct BootstrapServers(Vec<String>);

impl BootstrapServers {
    /// The word that stands for the broker inside the process.
    pub const EMBEDDED: &'static str = "embedded";

    /// The given addresses.
    ///
    /// ```
    /// use kafka_boot::config::model::BootstrapServers;
    /// let servers = BootstrapServers::new(["a:9092", "b:9092"]);
    /// assert_eq!(servers.joined(), "a:9092,b:9092");
    /// ```
    pub fn new<S: Into<String>>(addresses: impl IntoIterator<Item = S>) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }

    /// Whether the broker inside the process is meant.
    pub fn is_embedded(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|address| address == Self::EMBEDDED)
    }

    /// The addresses, as given.
    pub fn addresses(&self) -> &[String] {
        &self.0
    }

    /// The addresses in librdkafka's form, with commas between them.
    pub fn joined(&self) -> String {
        self.0.join(",")
    }
}

impl Default for BootstrapServers {
    fn default() -> Self {
        Self::new([Self::EMBEDDED])
    }
}

/// `kafka.embedded`: the broker inside the process, for development and tests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EmbeddedProperties {
    /// How many brokers there are. Default 1.
    #[schemars(range(min = 1, max = 16))]
    pub brokers: u16,
    /// How many partitions a topic gets that is created by its first use. Default 1.
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: u32,
    /// The port of the first broker, on the loopback address, for other programs to connect to. Default 0: any free
    /// one, which the log tells.
    pub port: u16,
    /// Where records, offsets and topics are kept from one start to the next, relative to the working directory.
    /// Default: nowhere, everything is in memory.
    pub data_directory: Option<String>,
}

impl Default for EmbeddedProperties {
    fn default() -> Self {
        Self { brokers: 1, partitions: 1, port: 0, data_directory: None }
    }
}
