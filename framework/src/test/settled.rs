//! When an application has nothing left to do: everything written to the topics of its listeners is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use kafka_boot_client::{ClientError, TopicPartition};

use crate::app::Parts;
use crate::beans::Admin;
use crate::listener::ListenerState;
use crate::test::offsets::{self, Starts};

/// A partition of which not everything is handled and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsettledPartition {
    /// The listeners that consume it, with their states.
    pub listeners: Vec<String>,
    /// Their group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// What the group has committed: the offset that it would read next; `None` before its first commit.
    pub committed: Option<i64>,
    /// Where the partition ends: the offset that the next record will get.
    pub end: i64,
    pub(super) cluster: String,
    /// Where the group's work begins.
    pub(super) from: i64,
}

impl fmt::Display for UnsettledPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}: {} left, ", self.topic, self.partition, self.end - self.from)?;
        match self.committed {
            Some(committed) => write!(f, "committed {committed}")?,
            None => f.write_str("nothing committed")?,
        }
        write!(f, ", end {} (group `{}`; {})", self.end, self.group, self.listeners.join(", "))
    }
}

/// Why the application is not settled.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unsettled {
    /// The deadline came first.
    Late {
        /// How long was waited.
        timeout: Duration,
        /// What is still open; empty if that could not even be looked up.
        open: Vec<UnsettledPartition>,
        /// Why it could not be looked up the last time.
        error: Option<ClientError>,
    },
    /// A listener, or the application, has failed and will not go on.
    Failed(String),
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => write!(f, "it will never settle: {reason}"),
            Self::Late { timeout, open, error } => {
                write!(f, "not settled within {timeout:?}")?;
                for partition in open {
                    write!(f, "\n  {partition}")?;
                }
                error
                    .as_ref()
                    .map_or(Ok(()), |error| write!(f, "\n  the offsets could not be looked up: {error}"))
            }
        }
    }
}

impl std::error::Error for Unsettled {}

/// The topics of one group in one cluster, with the listeners of each.
type Groups = BTreeMap<(String, String), BTreeMap<String, BTreeSet<String>>>;

/// Why a listener cannot go on.
pub(super) fn failed_listener(parts: &Parts) -> Option<String> {
    parts.listeners.list().into_iter().find_map(|listener| match listener.state {
        ListenerState::Failed(reason) => Some(format!("listener `{}` failed: {reason}", listener.id)),
        _ => None,
    })
}

/// What is open now. The commits are looked up before the ends: what a handler wrote before its record was committed is
/// seen.
pub(super) async fn open(parts: &Parts, starts: &Starts) -> Result<Vec<UnsettledPartition>, ClientError> {
    let mut seen = Vec::new();
    let mut topics_of_cluster: BTreeMap<String, BTreeMap<String, Vec<TopicPartition>>> = BTreeMap::new();
    for ((cluster, group), topics) in groups(parts) {
        let Ok(admin) = parts.beans.named::<Admin>(&cluster) else { continue };
        if !topics_of_cluster.contains_key(&cluster) {
            topics_of_cluster.insert(cluster.clone(), offsets::partitions(&admin).await?);
        }
        let known = &topics_of_cluster[&cluster];
        let partitions: Vec<TopicPartition> =
            topics.keys().filter_map(|topic| known.get(topic)).flatten().cloned().collect();
        let committed = offsets::committed(&admin, &group, &partitions).await?;
        seen.push((admin, cluster, group, topics, partitions, committed));
    }
    let mut open = Vec::new();
    for (admin, cluster, group, topics, partitions, committed) in seen {
        let ends = offsets::ends(&admin, &partitions).await?;
        for partition in partitions {
            let committed = committed.get(&partition).copied();
            let from = committed.unwrap_or_else(|| starts.of(&cluster, &partition));
            let end = ends.get(&partition).copied().unwrap_or(0);
            if from < end {
                let listeners = topics.get(&*partition.topic).into_iter().flatten().cloned().collect();
                open.push(UnsettledPartition {
                    listeners,
                    group: group.clone(),
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    committed,
                    end,
                    cluster: cluster.clone(),
                    from,
                });
            }
        }
    }
    Ok(open)
}

/// What the listeners consume that are not stopped by intention.
fn groups(parts: &Parts) -> Groups {
    let mut groups = Groups::new();
    for listener in parts.listeners.list() {
        if listener.state == ListenerState::Stopped {
            continue;
        }
        let cluster = listener.settings.cluster.clone().unwrap_or_default();
        let topics = groups.entry((cluster, listener.settings.group_id().to_owned())).or_default();
        let assigned = parts.listeners.assigned_topics(&listener.id);
        let named = listener.settings.topics.iter().cloned();
        for topic in named.chain(assigned.iter().map(ToString::to_string)) {
            let label = format!("listener `{}` is {}", listener.id, listener.state);
            topics.entry(topic).or_default().insert(label);
        }
    }
    groups
}
