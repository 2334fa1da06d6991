//! Rules about several values at once: what cannot hold together, and what would be ignored in silence.
//!
//! Each rule names both values and the remedy. The values are well-formed by the time these rules are asked.

mod consumer;
mod dead_letter;
mod ordering;
mod producer;
mod retry_topics;
mod security;

use std::collections::BTreeSet;

use super::TimeSpan;
use super::client::translate::{self, ClientKind};
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use super::listener::AttributeSetting;
use super::model::{ConsumerProperties, JobProperties, ListenerProperties, Properties};
use super::tree::{Kind, Node, Origin, Place, join};

pub(crate) use consumer::consumer;
pub(crate) use dead_letter::dead_letter;
pub(crate) use ordering::ordering;
pub(crate) use retry_topics::retry_topics;

/// A section of the tree, with its dotted path.
#[derive(Clone, Debug)]
pub(crate) struct Section<'tree> {
    node: Option<&'tree Node>,
    path: String,
}

impl<'tree> Section<'tree> {
    pub(crate) fn new(node: Option<&'tree Node>, path: &str) -> Self {
        Self { node, path: path.to_owned() }
    }

    pub(crate) fn child(&self, key: &str) -> Self {
        Self { node: self.get(key), path: join(&self.path, key) }
    }

    fn get(&self, key: &str) -> Option<&'tree Node> {
        self.node.and_then(|node| node.get(key))
    }

    /// Whether the key is given, rather than left at its default.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The text that was given for a key.
    fn text(&self, key: &str) -> Option<&'tree str> {
        self.get(key).and_then(Node::as_scalar)
    }

    /// The entries of a section whose keys are the user's choice.
    fn entries(&self) -> impl Iterator<Item = (&'tree str, &'tree Node)> + use<'tree> {
        self.node.and_then(Node::as_map).into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    /// An error at the first of the keys that is given, or at the section.
    pub(crate) fn conflict(&self, keys: &[&str], message: impl Into<String>, help: &str) -> ConfigError {
        let given = keys.iter().find_map(|key| Some((*key, self.get(key)?)));
        let (path, node) = match given {
            Some((key, node)) => (join(&self.path, key), Some(node)),
            None => (keys.first().map_or_else(|| self.path.clone(), |key| join(&self.path, key)), self.node),
        };
        let error = match node {
            Some(node) => ConfigError::at(ConfigErrorKind::Conflict, node, &path, message),
            None => ConfigError::new(ConfigErrorKind::Conflict, Place::default(), message).key(&path),
        };
        error.help(help)
    }
}

/// Checks the whole configuration but for what only a listener's or a job's declaration completes.
pub(crate) fn properties(tree: &Node, properties: &Properties, errors: &mut ConfigErrors) {
    let kafka = Section::new(tree.get("kafka"), "kafka");
    let default_cluster = properties.kafka.cluster(None).unwrap_or_default();
    cluster(&kafka, &default_cluster, errors);
    backoff(&kafka.child("error"), errors);
    backoff(&kafka.child("supervision"), errors);
    for (name, properties) in &properties.kafka.clusters {
        cluster(&kafka.child("clusters").child(name), properties, errors);
    }
    let listeners = kafka.child("listeners");
    for (id, _) in listeners.entries() {
        raw_settings(&listeners.child(id).child("properties"), ClientKind::Consumer, errors);
    }
    let jobs = Section::new(tree.at(&["scheduling", "jobs"]), "scheduling.jobs");
    for (id, properties) in &properties.scheduling.jobs {
        job(&jobs.child(id), properties, errors);
    }
}

fn cluster(section: &Section<'_>, properties: &super::model::ClusterProperties, errors: &mut ConfigErrors) {
    let consumer_section = section.child("consumer");
    consumer(&consumer_section, &consumer_section, &properties.consumer, errors);
    producer::producer(&section.child("producer"), &properties.producer, errors);
    security::security(section, properties, errors);
    topics(&section.child("topics"), errors);
    raw_settings(&section.child("properties"), ClientKind::Any, errors);
    raw_settings(&section.child("consumer").child("properties"), ClientKind::Consumer, errors);
    raw_settings(&section.child("producer").child("properties"), ClientKind::Producer, errors);
    raw_settings(&section.child("admin").child("properties"), ClientKind::Admin, errors);
}

/// Checks that the raw settings have a meaning here and take nothing out of the framework's hands.
fn raw_settings(section: &Section<'_>, client: ClientKind, errors: &mut ConfigErrors) {
    for (name, node) in section.entries() {
        let value = node.as_scalar().unwrap_or_default();
        if let Err(refusal) = translate::translate(client, name, value) {
            let path = join(&section.path, name);
            let error = ConfigError::new(ConfigErrorKind::Unsupported, node.place.clone(), refusal.message);
            errors.push(error.key(&path).help(refusal.help).on_key());
        }
    }
}

fn topics(section: &Section<'_>, errors: &mut ConfigErrors) {
    let Some(Kind::List(topics)) = section.node.map(|node| &node.kind) else { return };
    let mut names = BTreeSet::new();
    for (index, topic) in topics.iter().enumerate() {
        let Some(name) = topic.get("name").and_then(Node::as_scalar) else { continue };
        if !names.insert(name) {
            let topic = Section::new(Some(topic), &format!("{}[{index}]", section.path));
            errors.push(topic.conflict(
                &["name"],
                format!("the topic `{name}` is declared twice"),
                "keep one of them",
            ));
        }
    }
}

/// Checks the waits of a retry or of a restart.
pub(crate) fn backoff(section: &Section<'_>, errors: &mut ConfigErrors) {
    let backoff = section.child("backoff");
    let span = |key: &str| backoff.text(key).and_then(|text| text.parse::<TimeSpan>().ok());
    let defaults = match section.path.rsplit('.').next() {
        Some("supervision") => ("500ms", "30s"),
        Some("retry-topics") => ("1s", "30s"),
        _ => ("100ms", "10s"),
    };
    let default = |text: &str| text.parse::<TimeSpan>().unwrap_or_default();
    let initial = span("initial").unwrap_or_else(|| default(defaults.0));
    let max = span("max").unwrap_or_else(|| default(defaults.1));
    if max < initial {
        let message = format!("`max` ({max}) is shorter than `initial` ({initial})");
        errors.push(backoff.conflict(&["max", "initial"], message, "raise `max`, or lower `initial`"));
    }
}

/// Checks what makes a listener complete.
pub(crate) fn listener(
    section: &Section<'_>,
    properties: &ListenerProperties,
    consumer: &ConsumerProperties,
    attribute: Option<&AttributeSetting>,
    errors: &mut ConfigErrors,
) {
    raw_settings(&section.child("properties"), ClientKind::Consumer, errors);
    let declared = || attribute.map(Origin::from).unwrap_or_default().0;
    let id = section.path.trim_start_matches("kafka.listeners.");
    let given = [
        ("topics", !properties.topics.is_empty()),
        ("topic-pattern", properties.topic_pattern.is_some()),
        ("partitions", !properties.partitions.is_empty()),
    ];
    let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    if let [.., last] = given.as_slice()
        && given.len() > 1
    {
        let message = "a listener has either `topics`, a `topic-pattern` or `partitions`";
        errors.push(section.conflict(&[last], message, "keep one of them"));
    }
    if given.is_empty() {
        let message = format!("the listener `{id}` has no topic");
        let error = ConfigError::new(ConfigErrorKind::MissingValue, declared(), message);
        errors.push(error.key(&join(&section.path, "topics")).help("give `topic = \"…\"` in its attribute"));
    }
    if !properties.partitions.is_empty() && consumer.group_instance_id.is_some() {
        let message =
            "`partitions` are read without membership in the group, and `group-instance-id` names a member";
        errors.push(section.conflict(&["group-instance-id", "partitions"], message, "remove one of them"));
    }
    if consumer.group_id.is_none() {
        let message = format!("the listener `{id}` has no consumer group");
        let error = ConfigError::new(ConfigErrorKind::MissingValue, declared(), message);
        let help = "give `group = \"…\"` in its attribute, or set `kafka.consumer.group-id` for all";
        errors.push(error.key(&join(&section.path, "group-id")).help(help));
    }
}

/// Checks that a job has one trigger, and nothing that belongs to another.
pub(crate) fn job(section: &Section<'_>, properties: &JobProperties, errors: &mut ConfigErrors) {
    let triggers = [
        ("fixed-delay", properties.fixed_delay.is_some()),
        ("fixed-rate", properties.fixed_rate.is_some()),
        ("cron", properties.cron.is_some()),
    ];
    let given: Vec<&str> = triggers.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    if let [first, second, ..] = given.as_slice() {
        let message = format!("a job has one trigger; `{first}` is given as well as `{second}`");
        errors.push(section.conflict(&[second], message, "keep one of them"));
    }
    let by_interval = properties.fixed_delay.is_some() || properties.fixed_rate.is_some();
    if by_interval && properties.zone.is_some() {
        errors.push(section.conflict(&["zone"], "only `cron` has a time zone", "remove `zone`"));
    }
    if properties.cron.is_some() && properties.initial_delay.is_some() {
        let message = "`cron` names the instants, so there is no `initial-delay`";
        errors.push(section.conflict(&["initial-delay"], message, "remove `initial-delay`"));
    }
}
