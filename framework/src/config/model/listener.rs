//! `kafka.listeners.<id>`: what one listener does differently.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::PartitionList;

use super::{ConsumerProperties, ErrorProperties, SupervisionProperties};

/// Everything about one listener, resolved: code defaults, `kafka.consumer`, its attribute,
/// `kafka.listeners.<id>`, the environment and the command line, the later ones winning.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// The listener's id.
    pub id: String,
    /// The named cluster it reads from; `None` is the default one.
    pub cluster: Option<String>,
    /// The topics it reads; empty when it follows a pattern.
    pub topics: Vec<String>,
    /// The regular expression of the topics it reads, as the client takes it: beginning with `^`.
    pub topic_pattern: Option<String>,
    /// The partitions of each topic that it reads without the group's help; empty where the group shares them out.
    pub partitions: BTreeMap<String, PartitionList>,
    /// In which order it handles records.
    pub ordering: Ordering,
    /// Its consumer. `group_id` is always set.
    pub consumer: ConsumerProperties,
    /// The topic that its replies are sent to, if it has `#[send_to]`; `None` is the one that each request names.
    pub send_to: Option<String>,
    /// What happens to a record that its handler refuses.
    pub error: ErrorProperties,
    /// What happens when it fails as a whole.
    pub supervision: SupervisionProperties,
}

impl ListenerSettings {
    /// The consumer group, never empty.
    pub fn group_id(&self) -> &str {
        self.consumer.group_id.as_deref().unwrap_or_default()
    }
}

/// The keys a listener has beside those of its consumer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ListenerProperties {
    /// The topics to read: a list, or one text with commas.
    #[schemars(length(min = 1))]
    pub(crate) topics: Vec<String>,
    /// The regular expression of the topics to read: of the whole name, or, if it begins with `^`, of the name's
    /// beginning. Not together with `topics`.
    #[schemars(length(min = 1), extend("format" = "topic-pattern"))]
    pub(crate) topic_pattern: Option<String>,
    /// The partitions to read, by topic, and where to start: `orders: "0-5, 7@beginning"`. The group then shares nothing out;
    /// offsets are committed as its own. Not together with `topics` or `topic-pattern`.
    pub(crate) partitions: BTreeMap<String, PartitionList>,
    /// The named cluster to read from. Default: the default cluster.
    #[schemars(length(min = 1))]
    pub(crate) cluster: Option<String>,
    /// In which order records are handled. Default `partition`.
    pub(crate) ordering: Ordering,
    /// The topic that replies are sent to, for a listener with `#[send_to]`.
    #[schemars(length(min = 1))]
    pub(crate) send_to: Option<String>,
    /// What happens to a record that the handler refuses. Default: what `kafka.error` says.
    pub(crate) error: ErrorProperties,
    /// What happens when the listener fails as a whole. Default: what `kafka.supervision` says.
    pub(crate) supervision: SupervisionProperties,
}

/// In which order a listener handles records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Ordering {
    /// The records of a partition one after the other.
    #[default]
    Partition,
    /// The records of a key one after the other, different keys at once. Those without a key keep their order.
    Key,
    /// As many at once as `max-in-flight` allows, in any order.
    None,
}

impl Ordering {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Key => "key",
            Self::None => "none",
        }
    }
}

/// A `kafka.listeners.<id>` section as it stands: the names of the keys it overrides.
///
/// Its values mean something together with the listener's attribute alone, so
/// [`Settings::listener`](crate::config::Settings::listener) reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerOverrides {
    keys: Vec<String>,
}

impl ListenerOverrides {
    /// The keys that are overridden, in kebab-case.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }
}

impl<'de> Deserialize<'de> for ListenerOverrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let section = BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?;
        Ok(Self { keys: section.into_keys().collect() })
    }
}

impl JsonSchema for ListenerOverrides {
    fn schema_name() -> Cow<'static, str> {
        "ListenerOverrides".into()
    }

    /// The keys of the consumer and those of the listener in one object, none with a default: what is not
    /// given here comes from the attribute or from `kafka.consumer`.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut own = ListenerProperties::json_schema(generator);
        let mut consumer = ConsumerProperties::json_schema(generator);
        let shared = consumer.get_mut("properties").and_then(|keys| keys.as_object_mut()).map(std::mem::take);
        if let Some(keys) = own.get_mut("properties").and_then(|keys| keys.as_object_mut()) {
            keys.extend(shared.unwrap_or_default());
            for key in keys.values_mut().filter_map(|key| key.as_object_mut()) {
                key.remove("default");
            }
        }
        own.insert(
            "description".into(),
            "`kafka.listeners.<id>`: what one listener does differently.".into(),
        );
        own
    }
}
