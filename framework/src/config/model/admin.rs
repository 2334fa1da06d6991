//! `kafka.admin` and `kafka.topics`: the admin client and what it creates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::RawProperties;
use crate::config::TimeSpan;

/// `kafka.admin`: the admin client.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdminProperties {
    /// The name the client gives itself to the brokers. Default: `kafka.client-id`.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// How long one request may take. Default 5 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub request_timeout: TimeSpan,
    /// How long an operation such as creating a topic may take until the cluster has carried it out. Default
    /// 10 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub operation_timeout: TimeSpan,
    /// Whether `kafka.topics` are created at start where they are missing, and grown where they have too few partitions. Default
    /// `true`.
    pub auto_create: bool,
    /// Whether settings that are declared for a topic that exists are changed to what is declared. Otherwise the difference is
    /// only told. Default `false`.
    pub modify_topic_configs: bool,
    /// Whether the start fails at once where the declared topics cannot be brought about. Otherwise it waits for the brokers,
    /// for `lifecycle.startup-timeout`. Default `false`.
    pub fail_fast: bool,
    /// librdkafka's settings for the admin client, under their own names or Kafka's Java ones.
    pub properties: RawProperties,
}

impl Default for AdminProperties {
    fn default() -> Self {
        Self {
            client_id: None,
            request_timeout: TimeSpan::from_secs(5),
            operation_timeout: TimeSpan::from_secs(10),
            auto_create: true,
            modify_topic_configs: false,
            fail_fast: false,
            properties: RawProperties::default(),
        }
    }
}

/// `kafka.topics[…]`: a topic that is created at start where it is missing, and grown where it has too few partitions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TopicProperties {
    /// The topic's name.
    #[schemars(length(min = 1, max = 249), pattern(r"^[a-zA-Z0-9._-]+$"), extend("format" = "topic-name"))]
    pub name: String,
    /// How many partitions it gets. Default: what the broker is set to.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub partitions: Option<u32>,
    /// On how many brokers each partition is kept. Default: what the broker is set to.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub replication_factor: Option<u16>,
    /// The topic's own settings, under Kafka's names, such as `retention.ms`. Default: none.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}
