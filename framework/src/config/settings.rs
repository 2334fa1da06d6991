//! [`Settings`]: the merged, checked and bound configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::de;
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use super::model::{
    ApplicationProperties, KafkaProperties, LifecycleProperties, LoggingProperties, Properties,
    SchedulingProperties,
};
use super::placeholder::Resolver;
use super::schema::{SchemaNode, Shape};
use super::secret::{MASK, is_secret_name};
use super::tree::{Kind, Node, Origin, Place, Provenance, join};

/// The merged, checked and bound configuration. Cheap to clone, and never changes.
///
/// See [`Settings::load`] for where it comes from.
#[derive(Clone)]
pub struct Settings {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Everything that was given, with placeholders replaced.
    pub(crate) tree: Node,
    pub(crate) properties: Properties,
    pub(crate) profiles: Vec<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) free_arguments: Vec<String>,
}

/// One value that was given, as [`Settings::effective`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The dotted key.
    pub key: String,
    /// The value, or a mask.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

impl Settings {
    /// The framework's whole configuration.
    pub fn properties(&self) -> &Properties {
        &self.inner.properties
    }

    /// `application`.
    pub fn application(&self) -> &ApplicationProperties {
        &self.inner.properties.application
    }

    /// `kafka`.
    pub fn kafka(&self) -> &KafkaProperties {
        &self.inner.properties.kafka
    }

    /// `scheduling`.
    pub fn scheduling(&self) -> &SchedulingProperties {
        &self.inner.properties.scheduling
    }

    /// `lifecycle`.
    pub fn lifecycle(&self) -> &LifecycleProperties {
        &self.inner.properties.lifecycle
    }

    /// `logging`.
    pub fn logging(&self) -> &LoggingProperties {
        &self.inner.properties.logging
    }

    /// The profiles that are on, the later ones winning.
    pub fn profiles(&self) -> &[String] {
        &self.inner.profiles
    }

    /// What the configuration came from, from the weakest to the strongest: files, variables, arguments.
    pub fn sources(&self) -> &[String] {
        &self.inner.sources
    }

    /// What is allowed but worth a line in the log, such as a password in a file that everybody can read.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// The arguments that set nothing here and are the program's own.
    pub fn free_arguments(&self) -> &[String] {
        &self.inner.free_arguments
    }

    /// Every value that was given, by key, with its origin. Only what is known to be no secret is shown: raw
    /// settings and sections of the program's own are masked.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let arguments = vec!["--kafka.client-id=me".into(), "--kafka.properties.client.rack=r1".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let shown: Vec<_> = settings.effective().into_iter().map(|value| (value.key, value.value)).collect();
    /// assert_eq!(shown[0], ("kafka.client-id".to_owned(), "me".to_owned()));
    /// assert_eq!(shown[1], ("kafka.properties.client.rack".to_owned(), "******".to_owned()));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn effective(&self) -> Vec<EffectiveValue> {
        let mut values = Vec::new();
        list(&self.inner.tree, Some(SchemaNode::root()), "", &mut values);
        values
    }

    /// The error of a value that only its user can judge, such as a cron expression, at the place where the key was
    /// given.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let arguments = vec!["--scheduling.jobs.tick.cron=daily".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let error = settings
    ///     .invalid_value("scheduling.jobs.tick.cron", "expected a cron expression")
    ///     .with_help("write `0 0 0 * * *` for midnight");
    /// assert!(error.to_string().contains("--> command line argument `--scheduling.jobs.tick.cron`"));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn invalid_value(&self, key: &str, message: impl Into<String>) -> ConfigError {
        match self.inner.tree.at_dotted(key) {
            Some(node) => ConfigError::at(ConfigErrorKind::InvalidValue, node, key, message),
            None => ConfigError::new(ConfigErrorKind::InvalidValue, Place::Nowhere, message).key(key),
        }
    }

    /// Replaces the placeholders in a text, such as the value of an attribute. An error names the origin.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Origin, Settings};
    ///
    /// let arguments = vec!["--orders.topic=orders-v2".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let origin = Origin::attribute("src/main.rs", 7);
    /// assert_eq!(settings.resolve("${orders.topic}", &origin)?, "orders-v2");
    /// assert!(settings.resolve("${orders.tropic}", &origin).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(&self, text: &str, origin: &Origin) -> Result<String, ConfigError> {
        let resolver = Resolver::new(&self.inner.tree, &self.inner.environment);
        resolver.resolve(text, &origin.0, None).map(|resolved| resolved.text)
    }

    /// Binds a section of the program's own, such as `repo` or `app.limits`, to a type. A section that is not
    /// there is an empty one. How strict it is, is the type's choice (`#[serde(deny_unknown_fields)]`).
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings, TimeSpan};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Repo {
    ///     url: String,
    ///     timeout: TimeSpan,
    /// }
    ///
    /// let arguments = vec!["--repo.url=db".into(), "--repo.timeout=5s".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let repo: Repo = settings.bind("repo")?;
    /// assert_eq!(repo.timeout, TimeSpan::from_secs(5));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn bind<T: DeserializeOwned>(&self, prefix: &str) -> Result<T, ConfigErrors> {
        let nothing = Node::empty_map();
        let node = self.inner.tree.at_dotted(prefix).unwrap_or(&nothing);
        Ok(de::bind(node, prefix)?)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        f.debug_struct("Settings")
            .field("profiles", &inner.profiles)
            .field("sources", &inner.sources)
            .field("properties", &inner.properties)
            .finish_non_exhaustive()
    }
}

fn list(node: &Node, schema: Option<SchemaNode>, path: &str, values: &mut Vec<EffectiveValue>) {
    match &node.kind {
        Kind::Empty => {}
        Kind::Scalar(text) => values.push(EffectiveValue {
            key: path.to_owned(),
            value: if may_show(node, schema, path, text) { text.clone() } else { MASK.to_owned() },
            origin: Origin(node.place.clone()),
        }),
        Kind::List(items) => {
            let items_schema = schema.and_then(|schema| match schema.shape() {
                Shape::List { items, .. } => Some(items),
                _ => None,
            });
            for (index, item) in items.iter().enumerate() {
                list(item, items_schema, &format!("{path}[{index}]"), values);
            }
        }
        Kind::Map(entries) => {
            for (key, child) in entries {
                list(child, schema.and_then(|schema| schema.get(key)), &join(path, key), values);
            }
        }
    }
}

/// Whether a value is known to be no secret: its key is the framework's and not typed as one, and the value
/// neither came from a secret's place nor has the form of an address with a password.
fn may_show(node: &Node, schema: Option<SchemaNode>, path: &str, text: &str) -> bool {
    let Some(schema) = schema else { return false };
    !matches!(schema.shape(), Shape::Secret)
        && node.provenance != Provenance::Sensitive
        && !is_secret_name(path)
        && !text.contains('@')
}
