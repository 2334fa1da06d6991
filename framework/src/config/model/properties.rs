//! [`RawProperties`]: settings handed to librdkafka under their own names.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Secret;

/// A `properties:` section: librdkafka's settings, or Kafka's Java names for them, by name.
///
/// Any value may be a secret here (`sasl.jaas.config`), so none is printed.
///
/// ```
/// use kafka_boot::config::model::RawProperties;
///
/// let raw: RawProperties = [("socket.keepalive.enable", "true")].into_iter().collect();
/// assert_eq!(raw.get("socket.keepalive.enable"), Some("true"));
/// assert_eq!(format!("{raw:?}"), r#"{"socket.keepalive.enable": Secret(******)}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct RawProperties(BTreeMap<String, Secret>);

impl RawProperties {
    /// The value of a setting, by the name it was given under.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// All settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for RawProperties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(settings: I) -> Self {
        Self(settings.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect())
    }
}

impl fmt::Debug for RawProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}
