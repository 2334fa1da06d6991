//! `kafka.error.dead-letter`: where records go that nobody could handle.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::DataSize;

/// `kafka.error.dead-letter`: where and how dead letters are written.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeadLetterProperties {
    /// The one topic for all dead letters of the listener. Default: a topic for each topic that it reads, by `suffix`.
    #[schemars(length(min = 1, max = 249), extend("format" = "topic-name"))]
    pub topic: Option<String>,
    /// What is added to the name of a topic to get that of its dead letters. Default `-dlt`.
    #[schemars(length(min = 1, max = 100), extend("format" = "topic-name"))]
    pub suffix: String,
    /// Other topics for some types of errors: what is added to the topic's name before `suffix`, and the types, as in
    /// `retry-on`.
    pub routes: BTreeMap<String, Vec<String>>,
    /// Which partition a dead letter goes to. Default `same`.
    pub partition: DeadLetterPartition,
    /// Whether the topic is created where it is missing, with the partitions and copies of the record's own. Default
    /// `true`.
    pub create_topic: bool,
    /// How large the headers that tell of the failure may be, together. What is longer is cut. Default 8 KiB.
    #[schemars(extend("x-minimum" = "256B", "x-maximum" = "512KiB"))]
    pub max_failure_bytes: DataSize,
}

impl DeadLetterProperties {
    /// The topic of the dead letters of `topic`, for errors without a route of their own.
    ///
    /// ```
    /// use kafka_boot::config::model::DeadLetterProperties;
    /// assert_eq!(DeadLetterProperties::default().topic_of("orders"), "orders-dlt");
    /// ```
    pub fn topic_of(&self, topic: &str) -> String {
        self.topic.clone().unwrap_or_else(|| format!("{topic}{}", self.suffix))
    }

    /// The topic of the dead letters of `topic` by one of the routes.
    pub(crate) fn routed_topic_of(&self, topic: &str, route: &str) -> String {
        format!("{topic}{route}{}", self.suffix)
    }
}

impl Default for DeadLetterProperties {
    fn default() -> Self {
        Self {
            topic: None,
            suffix: "-dlt".into(),
            routes: BTreeMap::new(),
            partition: DeadLetterPartition::Same,
            create_topic: true,
            max_failure_bytes: DataSize::from_bytes(8 * 1024),
        }
    }
}

/// Which partition a dead letter goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum DeadLetterPartition {
    /// That of the same number, or, where the topic has none, as `key`.
    #[default]
    Same,
    /// The one that its key belongs to.
    Key,
}
