//! Resolves one listener, or one job, from its attribute and from what the configuration says about it.

use super::check;
use super::de;
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, did_you_mean};
use super::model::{
    AckMode, CommitMode, ConsumerProperties, JobProperties, JobSettings, ListenerProperties,
    ListenerSettings, Ordering, Trigger,
};
use super::pattern;
use super::placeholder::Resolver;
use super::schema::{SchemaNode, Shape};
use super::settings::Settings;
use super::tree::{Kind, Node, Origin, Place, Provenance, join};
use super::validate::{self, Section};

/// The default of `max-in-flight` where it counts handlers at work: `ordering: key` and `none`.
const AT_WORK_DEFAULT: u32 = 256;

/// What an attribute gives for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text, in which placeholders are replaced.
    Str(&'static str),
    /// A whole number.
    Int(i64),
    /// A flag.
    Bool(bool),
    /// Texts, in which placeholders are replaced.
    List(&'static [&'static str]),
    /// Texts by name, in which placeholders are replaced.
    Map(&'static [(&'static str, &'static str)]),
}

/// One key of an attribute such as `#[kafka_listener(group = "orders")]`, with its place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeSetting {
    /// The key, in kebab-case and dotted where it lies deeper (`error.attempts`); `topic` and `group` stand
    /// for `topics` and `group-id`.
    pub key: &'static str,
    /// What it is given.
    pub value: AttributeValue,
    /// The file, as `file!()` gives it.
    pub file: &'static str,
    /// The line, as `line!()` gives it.
    pub line: u32,
}

impl AttributeSetting {
    fn node(&self) -> Node {
        let place = Place::Attribute { file: self.file, line: self.line };
        let text = |text: &str| Node::scalar(text, place.clone());
        match self.value {
            AttributeValue::Str(value) => text(value),
            AttributeValue::Int(value) => text(&value.to_string()),
            AttributeValue::Bool(value) => text(&value.to_string()),
            AttributeValue::List(items) => {
                Node::new(Kind::List(items.iter().map(|item| text(item)).collect()), place.clone())
            }
            AttributeValue::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), text(value)));
                Node::new(Kind::Map(entries.collect()), place.clone())
            }
        }
    }
}

impl Settings {
    /// Everything about one listener: code defaults, `kafka.consumer` (of its cluster), the attribute,
    /// `kafka.listeners.<id>`, the later ones winning. The rules about several values are checked on the
    /// result.
    ///
    /// ```
    /// use kafka_boot::config::{AttributeSetting, AttributeValue, LoadOptions, Settings};
    ///
    /// let arguments = vec!["--kafka.listeners.consume.concurrency=3".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let attribute = [("topic", "orders"), ("group", "billing")];
    /// let attribute = attribute.map(|(key, value)| AttributeSetting {
    ///     key,
    ///     value: AttributeValue::Str(value),
    ///     file: file!(),
    ///     line: line!(),
    /// });
    /// let listener = settings.listener("consume", &attribute)?;
    /// assert_eq!(listener.topics, ["orders"]);
    /// assert_eq!(listener.consumer.concurrency, 3);
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn listener(
        &self,
        id: &str,
        attributes: &[AttributeSetting],
    ) -> Result<ListenerSettings, ConfigErrors> {
        self.listener_from(id, attributes, &[])
    }

    /// The same for a listener that takes some keys from another one: they are weaker than its own attribute.
    pub(crate) fn listener_from(
        &self,
        id: &str,
        attributes: &[AttributeSetting],
        inherited: &[(&str, Vec<String>)],
    ) -> Result<ListenerSettings, ConfigErrors> {
        let path = format!("kafka.listeners.{id}");
        let overrides = self.inner.tree.at(&["kafka", "listeners", id]);
        let schema = SchemaNode::definition("ListenerOverrides");
        let own = self.own_keys(
            attributes,
            overrides,
            &path,
            schema,
            &[&["topics", "topic-pattern", "partitions"]],
        )?;

        let mut errors = ConfigErrors::default();
        let place = attributes.first().map(|first| first.node().place).unwrap_or_default();
        let mut said = Node::empty_map();
        for (key, values) in inherited {
            said.overlay(nested(key, values, &place));
        }
        said.overlay(own.clone());
        let mut effective = self.consumer_base(&said, &path)?;
        effective.overlay(said);
        check::check(&effective, schema, &path, &mut errors);
        errors.into_result(())?;

        let (mut consumer, mut listener) = split(&effective, &path)?;
        let section = Section::new(Some(&effective), &path);
        if consumer.commit == CommitMode::Manual && !section.is_set("ack-mode") {
            consumer.ack_mode = AckMode::Manual;
        }
        if listener.ordering != Ordering::Partition && !section.is_set("max-in-flight") {
            consumer.max_in_flight = AT_WORK_DEFAULT;
        }
        if listener.error.retry_topics.is_any() && !section.child("error").is_set("attempts") {
            listener.error.attempts = 1;
        }
        let mut errors = ConfigErrors::default();
        validate::consumer(&section, &Section::new(Some(&own), &path), &consumer, &mut errors);
        validate::backoff(&section.child("error"), &mut errors);
        validate::backoff(&section.child("supervision"), &mut errors);
        validate::dead_letter(&section.child("error"), &listener, &mut errors);
        validate::retry_topics(&section, &Section::new(Some(&own), &path), &listener, &mut errors);
        validate::ordering(&section, &Section::new(Some(&own), &path), &listener, &consumer, &mut errors);
        validate::listener(&section, &listener, &consumer, attributes.first(), &mut errors);
        errors.into_result(ListenerSettings {
            id: id.to_owned(),
            cluster: listener.cluster,
            topics: if listener.partitions.is_empty() {
                listener.topics
            } else {
                listener.partitions.keys().cloned().collect()
            },
            partitions: listener.partitions,
            topic_pattern: listener.topic_pattern.as_deref().map(pattern::anchored),
            ordering: listener.ordering,
            send_to: listener.send_to,
            consumer,
            error: listener.error,
            supervision: listener.supervision,
        })
    }

    /// Everything about one job: its attribute, then `scheduling.jobs.<id>`. A trigger given there replaces
    /// the attribute's, of whichever kind.
    ///
    /// ```
    /// use kafka_boot::config::{AttributeSetting, AttributeValue, LoadOptions, Settings, TimeSpan};
    /// use kafka_boot::config::model::Trigger;
    ///
    /// let settings = Settings::load(LoadOptions::default())?;
    /// let delay = AttributeValue::Int(1000);
    /// let attribute = AttributeSetting { key: "fixed-delay", value: delay, file: file!(), line: line!() };
    /// let job = settings.job("produce", &[attribute])?;
    /// assert_eq!(job.trigger, Trigger::FixedDelay(TimeSpan::from_secs(1)));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn job(&self, id: &str, attributes: &[AttributeSetting]) -> Result<JobSettings, ConfigErrors> {
        let path = format!("scheduling.jobs.{id}");
        let overrides = self.inner.tree.at(&["scheduling", "jobs", id]);
        let schema = SchemaNode::definition("JobProperties");
        let own =
            self.own_keys(attributes, overrides, &path, schema, &[&["fixed-delay", "fixed-rate", "cron"]])?;
        let mut errors = ConfigErrors::default();
        check::check(&own, schema, &path, &mut errors);
        errors.into_result(())?;

        let properties: JobProperties = de::bind(&own, &path)?;
        let section = Section::new(Some(&own), &path);
        let mut errors = ConfigErrors::default();
        validate::job(&section, &properties, &mut errors);
        let zone = properties.zone.unwrap_or_else(|| "UTC".into());
        let trigger = match (properties.fixed_delay, properties.fixed_rate, properties.cron) {
            (Some(delay), _, _) => Trigger::FixedDelay(delay),
            (_, Some(rate), _) => Trigger::FixedRate(rate),
            (_, _, Some(expression)) => Trigger::Cron { expression, zone },
            (None, None, None) => {
                let place = attributes.first().map(|first| first.node().place).unwrap_or_default();
                let message = format!("the job `{id}` has no `fixed-delay`, no `fixed-rate` and no `cron`");
                errors.push(ConfigError::new(ConfigErrorKind::MissingValue, place, message).key(&path));
                return Err(errors);
            }
        };
        errors.into_result(JobSettings {
            id: id.to_owned(),
            enabled: properties.enabled.unwrap_or(true),
            trigger,
            initial_delay: properties.initial_delay.unwrap_or_default(),
        })
    }

    /// Checks that every id under `kafka.listeners` is that of a listener.
    pub fn check_listener_ids(&self, ids: &[&str]) -> Result<(), ConfigErrors> {
        self.check_ids(&["kafka", "listeners"], ids, "listener")
    }

    /// Checks that every id under `scheduling.jobs` is that of a job.
    pub fn check_job_ids(&self, ids: &[&str]) -> Result<(), ConfigErrors> {
        self.check_ids(&["scheduling", "jobs"], ids, "job")
    }

    fn check_ids(&self, section: &[&str], ids: &[&str], what: &str) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for (id, node) in self.inner.tree.at(section).and_then(Node::as_map).into_iter().flatten() {
            if ids.contains(&id.as_str()) {
                continue;
            }
            let known: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
            let help = did_you_mean(id, ids.iter().copied()).unwrap_or_else(|| match known.as_slice() {
                [] => format!("the program has no {what}"),
                known => format!("the program's {what}s are {}", known.join(", ")),
            });
            let message = format!("there is no {what} `{id}`");
            let error = ConfigError::new(ConfigErrorKind::UnknownKey, node.place.clone(), message);
            errors.push(error.key(&join(&section.join("."), id)).help(help).on_key());
        }
        errors.into_result(())
    }

    /// What the attribute and the overrides say, the overrides winning. Of keys that exclude one another,
    /// those of the overrides also drop the attribute's.
    fn own_keys(
        &self,
        attributes: &[AttributeSetting],
        overrides: Option<&Node>,
        path: &str,
        schema: SchemaNode,
        exclusive: &[&[&str]],
    ) -> Result<Node, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut own = Node::empty_map();
        for attribute in attributes {
            let mut node = attribute.node();
            let steps: Vec<&str> = match attribute.key {
                "topic" => vec!["topics"],
                "group" => vec!["group-id"],
                key => key.split('.').collect(),
            };
            self.resolve_attribute(&mut node, &join(path, attribute.key), &mut errors);
            for step in steps.iter().rev() {
                let mut outer = Node::new(Kind::Map(std::collections::BTreeMap::new()), node.place.clone());
                outer.make_map().insert((*step).to_owned(), node);
                node = outer;
            }
            own.overlay(node);
        }
        // A fault in the attribute is reported even where an override hides it.
        check::check(&own, schema, path, &mut errors);
        errors.into_result(())?;
        let Some(overrides) = overrides else { return Ok(own) };
        for group in exclusive {
            if group.iter().any(|key| overrides.get(key).is_some()) {
                own.make_map().retain(|key, _| !group.contains(&key.as_str()));
            }
        }
        own.overlay(overrides.clone());
        Ok(own)
    }

    fn resolve_attribute(&self, node: &mut Node, path: &str, errors: &mut ConfigErrors) {
        let place = node.place.clone();
        match &mut node.kind {
            Kind::Empty => {}
            Kind::Scalar(text) => {
                let resolver = Resolver::new(&self.inner.tree, &self.inner.environment);
                match resolver.resolve(text, &place, Some(path)) {
                    Ok(replaced) => {
                        *text = replaced.text;
                        node.provenance = replaced.provenance;
                    }
                    Err(error) => {
                        node.provenance = Provenance::Unresolved;
                        errors.push(error);
                    }
                }
            }
            Kind::List(items) => {
                for item in items {
                    self.resolve_attribute(item, path, errors);
                }
            }
            Kind::Map(entries) => {
                for (key, node) in entries.iter_mut() {
                    self.resolve_attribute(node, &join(path, key), errors);
                }
                // Topics are names as well as values.
                for (key, node) in std::mem::take(entries) {
                    let mut name = Node::scalar(&key, place.clone());
                    self.resolve_attribute(&mut name, path, errors);
                    entries.insert(name.as_scalar().map_or(key, str::to_owned), node);
                }
            }
        }
    }

    /// What holds for all listeners of the cluster that this one reads from.
    fn consumer_base(&self, own: &Node, path: &str) -> Result<Node, ConfigErrors> {
        let tree = &self.inner.tree;
        let cluster = own.get("cluster").and_then(Node::as_scalar);
        let section = match cluster {
            None => tree.at(&["kafka", "consumer"]),
            Some(name) if self.kafka().clusters.contains_key(name) => {
                tree.at(&["kafka", "clusters", name, "consumer"])
            }
            Some(name) => {
                let names = self.kafka().clusters.keys().map(String::as_str);
                let help = did_you_mean(name, names)
                    .unwrap_or_else(|| format!("declare it under `kafka.clusters.{name}`"));
                let message = format!("there is no cluster `{name}`");
                let node = own.get("cluster").unwrap_or(own);
                let error = ConfigError::at(ConfigErrorKind::Conflict, node, &join(path, "cluster"), message);
                return Err(error.help(help).into());
            }
        };
        let mut base = section.cloned().unwrap_or_else(Node::empty_map);
        for key in ["error", "supervision"] {
            if let Some(node) = tree.at(&["kafka", key]) {
                base.make_map().insert(key.to_owned(), node.clone());
            }
        }
        Ok(base)
    }
}

/// A dotted key with its value, or its values.
fn nested(key: &str, values: &[String], place: &Place) -> Node {
    let scalar = |text: &String| Node::scalar(text, place.clone());
    let leaf = match values {
        [one] => scalar(one),
        many => Node::new(Kind::List(many.iter().map(scalar).collect()), place.clone()),
    };
    key.rsplit('.').fold(leaf, |inner, step| {
        let mut outer = Node::new(Kind::Map(std::collections::BTreeMap::new()), place.clone());
        outer.make_map().insert(step.to_owned(), inner);
        outer
    })
}

/// Binds the keys of a listener section: those of the consumer, and those of the listener itself.
fn split(effective: &Node, path: &str) -> Result<(ConsumerProperties, ListenerProperties), ConfigError> {
    let Shape::Section { keys, .. } = SchemaNode::definition("ConsumerProperties").shape() else {
        unreachable!("the consumer's properties are a section")
    };
    let (mut consumer, mut listener) = (Node::empty_map(), Node::empty_map());
    for (key, node) in effective.as_map().into_iter().flatten() {
        let part = if keys.contains_key(key) { &mut consumer } else { &mut listener };
        part.make_map().insert(key.clone(), node.clone());
    }
    Ok((de::bind(&consumer, path)?, de::bind(&listener, path)?))
}

impl From<&AttributeSetting> for Origin {
    fn from(setting: &AttributeSetting) -> Self {
        Self::attribute(setting.file, setting.line)
    }
}
