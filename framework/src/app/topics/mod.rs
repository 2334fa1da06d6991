//! Declared topics: `kafka.topics` and `kafka.clusters.<name>.topics` are as they are declared before the first listener
//! starts.
//!
//! Looks what is there, plans, tells the plan, and carries it out. Somebody else may do the same at the same time, so what
//! turns out to be done already is as good as done here.

mod plan;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_boot_client::{
    ClientError, ConfigChange, ConfigOperation, ConfigResource, ErrorCode, ErrorKind, NewPartitions, NewTopic,
};
use tracing::{debug, info, warn};

use self::plan::{Existing, Step};
use crate::beans::{Admin, Beans};
use crate::config::Settings;
use crate::config::model::{AdminProperties, TopicProperties};
use crate::error::{StartError, StartErrorKind};

/// The pause between attempts while no broker can be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Creates what is missing, grows what is too small and, if asked to, changes settings, in every cluster.
pub(super) async fn declare(settings: &Settings, beans: &Beans) -> Result<(), StartError> {
    let kafka = settings.kafka();
    let deadline = Instant::now() + settings.lifecycle().startup_timeout.get();
    let names = std::iter::once(None).chain(kafka.clusters.keys().map(|name| Some(name.as_str())));
    for name in names {
        let Some(cluster) = kafka.cluster(name) else { continue };
        if cluster.topics.is_empty() || !cluster.admin.auto_create {
            continue;
        }
        let admin = beans.named::<Admin>(name.unwrap_or_default())?;
        let brokers = cluster.bootstrap_servers.is_embedded().then_some(kafka.embedded.brokers);
        let topics: Vec<_> = cluster.topics.iter().map(|topic| fitted(topic, brokers)).collect();
        Declaration { admin: &admin, properties: &cluster.admin, topics, deadline }.bring_about().await?;
    }
    Ok(())
}

/// A topic as it can be on an embedded broker of so many nodes: what is declared for production has more copies.
fn fitted(topic: &TopicProperties, embedded_brokers: Option<u16>) -> Cow<'_, TopicProperties> {
    let Some(brokers) = embedded_brokers else { return Cow::Borrowed(topic) };
    match topic.replication_factor {
        Some(declared) if u32::from(declared) > u32::from(brokers) => {
            info!(topic = %topic.name, declared, brokers, "the embedded broker keeps fewer copies than declared");
            Cow::Owned(TopicProperties { replication_factor: None, ..topic.clone() })
        }
        _ => Cow::Borrowed(topic),
    }
}

/// What is declared for one cluster.
struct Declaration<'a> {
    admin: &'a Admin,
    properties: &'a AdminProperties,
    topics: Vec<Cow<'a, TopicProperties>>,
    deadline: Instant,
}

/// A failure, and the topic that it is about, if it is about one.
struct Failure {
    topic: Option<String>,
    error: ClientError,
}

impl Failure {
    fn of(topic: &str, error: ClientError) -> Self {
        Self { topic: Some(topic.to_owned()), error }
    }

    /// Whether the cluster may only not be ready yet.
    fn may_pass(&self) -> bool {
        self.error.is_retriable()
            || matches!(
                self.error.kind(),
                ErrorKind::AllBrokersDown | ErrorKind::Transport | ErrorKind::Timeout
            )
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { topic: None, error }
    }
}

impl Declaration<'_> {
    /// Tries until it succeeds, the start takes too long, or waiting cannot help or is not wanted.
    async fn bring_about(&self) -> Result<(), StartError> {
        let mut told = false;
        loop {
            let failure = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let gives_up = self.properties.fail_fast || Instant::now() >= self.deadline;
            if !failure.may_pass() || gives_up {
                let what = match &failure.topic {
                    Some(topic) => format!("declared topic `{topic}` could not be brought about"),
                    None => "the declared topics could not be looked up".to_owned(),
                };
                return Err(StartError::new(StartErrorKind::Kafka, what).with_source(failure.error));
            }
            if !told {
                warn!(topic = ?failure.topic, error = %failure.error, "waiting for a broker to declare topics");
                told = true;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(&self) -> Result<(), Failure> {
        let existing = self.existing().await?;
        let steps: Vec<(&TopicProperties, Vec<Step>)> = self
            .topics
            .iter()
            .map(|topic| {
                let there = existing.get(&topic.name);
                (topic.as_ref(), plan::plan(topic, there, self.properties.modify_topic_configs))
            })
            .collect();
        tell(&steps);
        self.create(&steps).await?;
        self.grow(&steps).await?;
        self.alter(&steps).await
    }

    /// What the cluster has of the declared topics.
    async fn existing(&self) -> Result<BTreeMap<String, Existing>, Failure> {
        let names: Vec<_> = self.topics.iter().map(|topic| topic.name.as_str()).collect();
        let mut existing = BTreeMap::new();
        for (name, described) in self.admin.describe_topics(&names).await? {
            match described {
                Ok(topic) => {
                    let replication_factor =
                        topic.partitions.first().map_or(0, |partition| partition.replicas.len());
                    let partitions = topic.partitions.len();
                    existing
                        .insert(name, Existing { partitions, replication_factor, configs: BTreeMap::new() });
                }
                Err(error) if *error.kind() == ErrorKind::UnknownTopic => {}
                Err(error) => return Err(Failure::of(&name, error)),
            }
        }
        let with_configs = self
            .topics
            .iter()
            .filter(|topic| !topic.configs.is_empty() && existing.contains_key(&topic.name));
        let resources: Vec<_> = with_configs.map(|topic| ConfigResource::Topic(topic.name.clone())).collect();
        if resources.is_empty() {
            return Ok(existing);
        }
        for (resource, entries) in self.admin.describe_configs(&resources).await? {
            let ConfigResource::Topic(name) = resource else { continue };
            let entries = entries.map_err(|error| Failure::of(&name, error))?;
            if let Some(found) = existing.get_mut(&name) {
                found.configs = entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
            }
        }
        Ok(existing)
    }

    async fn create(&self, steps: &[(&TopicProperties, Vec<Step>)]) -> Result<(), Failure> {
        let missing = steps.iter().filter(|(_, steps)| steps.contains(&Step::Create));
        let new: Vec<_> = missing.map(|(topic, _)| new_topic(topic)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for (name, created) in self.admin.create_topics(&new).await? {
            match created {
                Ok(()) => info!(topic = %name, "declared topic created"),
                Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    debug!(topic = %name, "declared topic created by somebody else");
                }
                Err(error) => return Err(Failure::of(&name, error)),
            }
        }
        Ok(())
    }

    async fn grow(&self, steps: &[(&TopicProperties, Vec<Step>)]) -> Result<(), Failure> {
        let mut growth = Vec::new();
        for (topic, steps) in steps {
            growth.extend(steps.iter().filter_map(|step| match step {
                Step::Grow { to, .. } => Some(NewPartitions { topic: topic.name.clone(), total: *to }),
                _ => None,
            }));
        }
        if growth.is_empty() {
            return Ok(());
        }
        for (name, grown) in self.admin.create_partitions_of(&growth).await? {
            match grown {
                Ok(()) => info!(topic = %name, "declared topic grown"),
                Err(error) => {
                    let wanted = growth.iter().find(|growth| growth.topic == name);
                    if !self.has_grown(&name, wanted.map_or(0, |growth| growth.total), &error).await {
                        return Err(Failure::of(&name, error));
                    }
                    debug!(topic = %name, "declared topic grown by somebody else");
                }
            }
        }
        Ok(())
    }

    /// Whether a growth that was refused is not needed any more: somebody else was first.
    async fn has_grown(&self, topic: &str, total: usize, refused: &ClientError) -> bool {
        refused.code() == Some(ErrorCode::INVALID_PARTITIONS)
            && self.admin.describe_topic(topic).await.is_ok_and(|topic| topic.partitions.len() >= total)
    }

    async fn alter(&self, steps: &[(&TopicProperties, Vec<Step>)]) -> Result<(), Failure> {
        let mut requests = Vec::new();
        for (topic, steps) in steps {
            for step in steps {
                let Step::Alter(changes) = step else { continue };
                let changes = changes.iter().map(|(name, _, wanted)| ConfigChange {
                    name: name.clone(),
                    operation: ConfigOperation::Set(wanted.clone()),
                });
                requests.push((ConfigResource::Topic(topic.name.clone()), changes.collect()));
            }
        }
        if requests.is_empty() {
            return Ok(());
        }
        for (resource, altered) in self.admin.alter_configs(&requests).await? {
            let ConfigResource::Topic(name) = resource else { continue };
            altered.map_err(|error| Failure::of(&name, error))?;
            info!(topic = %name, "declared topic altered");
        }
        Ok(())
    }
}

/// Says what will be done before it is.
fn tell(steps: &[(&TopicProperties, Vec<Step>)]) {
    for (topic, steps) in steps {
        for step in steps {
            match step {
                Step::Create => info!(
                    topic = %topic.name, partitions = ?topic.partitions, replication_factor = ?topic.replication_factor,
                    configs = ?topic.configs, plan = %step, "declared topic"
                ),
                Step::Grow { .. } | Step::Alter(_) => {
                    info!(topic = %topic.name, plan = %step, "declared topic");
                }
                Step::Leave(_) => warn!(topic = %topic.name, plan = %step, "declared topic"),
            }
        }
        if steps.is_empty() {
            debug!(topic = %topic.name, "declared topic is as it is declared");
        }
    }
}

fn new_topic(topic: &TopicProperties) -> NewTopic {
    let mut new = NewTopic::new(&topic.name);
    if let Some(partitions) = topic.partitions {
        new = new.partitions(i32::try_from(partitions).unwrap_or(i32::MAX));
    }
    if let Some(factor) = topic.replication_factor {
        new = new.replication_factor(i32::from(factor));
    }
    for (name, value) in &topic.configs {
        new = new.config(name, value);
    }
    new
}
