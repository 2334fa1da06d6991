//! What all records of the journal come to.

use std::collections::BTreeMap;

use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use super::record::{Record, StoredTransaction};
use crate::group::settings::GroupConfig;
use crate::group::{CommittedOffset, StoredGeneration};

/// The state that the journal describes, from which it is rewritten when it has grown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) cluster_id: Option<String>,
    pub(crate) starts: i64,
    pub(crate) topics: BTreeMap<Uuid, StoredTopic>,
    pub(crate) groups: BTreeMap<String, StoredGroup>,
    /// What is set for single groups.
    pub(crate) configs: BTreeMap<String, GroupConfig>,
    pub(crate) transactions: BTreeMap<String, StoredTransaction>,
}

/// A topic, without its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTopic {
    pub(crate) name: String,
    /// The brokers of each partition.
    pub(crate) replicas: Vec<Vec<BrokerId>>,
    pub(crate) settings: Vec<(String, String)>,
    /// Where the logs begin that do not begin at their first batch.
    pub(crate) starts: BTreeMap<i32, i64>,
    /// The leaders' epochs, of partitions that are not in their first.
    pub(crate) epochs: BTreeMap<i32, i32>,
}

/// The members and the offsets of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredGroup {
    /// Its members as they were last, if it ever had some of the classic protocol.
    pub(crate) generation: Option<StoredGeneration>,
    pub(crate) committed: BTreeMap<(String, i32), CommittedOffset>,
    /// By producer.
    pub(crate) pending: BTreeMap<i64, BTreeMap<(String, i32), CommittedOffset>>,
}

impl Image {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::ClusterId(id) => self.cluster_id = Some(id),
            Record::Starts(count) => self.started(count),
            Record::Topic { id, name, replicas, settings } => {
                let before = self.topics.remove(&id);
                let (starts, epochs) = before.map(|topic| (topic.starts, topic.epochs)).unwrap_or_default();
                self.topics.insert(id, StoredTopic { name, replicas, settings, starts, epochs });
            }
            Record::LeaderEpoch { topic, partition, epoch } => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.epochs.insert(partition, epoch);
                }
            }
            Record::TopicDeleted(id) => {
                if let Some(topic) = self.topics.remove(&id) {
                    self.forget_topic(&topic.name);
                }
            }
            Record::LogStart { topic, partition, offset } => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.starts.insert(partition, offset);
                }
            }
            Record::Committed { group, topic, partition, offset } => {
                self.groups.entry(group).or_default().committed.insert((topic, partition), offset);
            }
            Record::Forgotten { group, topic, partition } => {
                self.change_group(&group, |group| {
                    group.committed.remove(&(topic, partition));
                });
            }
            Record::GroupDeleted(group) => {
                self.groups.remove(&group);
            }
            Record::Generation { group, generation } => {
                self.groups.entry(group).or_default().generation = Some(generation);
            }
            Record::GroupConfig { group, config } if config == GroupConfig::default() => {
                self.configs.remove(&group);
            }
            Record::GroupConfig { group, config } => {
                self.configs.insert(group, config);
            }
            Record::Pending { group, producer_id, topic, partition, offset } => {
                let pending = &mut self.groups.entry(group).or_default().pending;
                pending.entry(producer_id).or_default().insert((topic, partition), offset);
            }
            Record::PendingEnded { producer_id, committed, groups } => {
                for group in groups {
                    self.change_group(&group, |group| group.end_transaction(producer_id, committed));
                }
            }
            Record::Transaction { id, state } => {
                self.transactions.insert(id, state);
            }
            Record::TransactionForgotten(id) => {
                self.transactions.remove(&id);
            }
        }
    }

    /// A start begins an epoch of every partition there is.
    fn started(&mut self, count: i64) {
        self.starts = count;
        for topic in self.topics.values_mut() {
            for (partition, _) in (0..).zip(&topic.replicas) {
                let epoch = topic.epochs.entry(partition).or_default();
                *epoch = epoch.saturating_add(1);
            }
        }
    }

    fn change_group(&mut self, id: &str, change: impl FnOnce(&mut StoredGroup)) {
        let Some(group) = self.groups.get_mut(id) else { return };
        change(group);
        if group.is_nothing() {
            self.groups.remove(id);
        }
    }

    fn forget_topic(&mut self, name: &str) {
        self.groups.retain(|_, group| {
            group.committed.retain(|(topic, _), _| topic != name);
            for pending in group.pending.values_mut() {
                pending.retain(|(topic, _), _| topic != name);
            }
            group.pending.retain(|_, pending| !pending.is_empty());
            !group.is_nothing()
        });
    }

    /// The fewest records that come to the same.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.cluster_id.iter().cloned().map(Record::ClusterId).collect();
        records.push(Record::Starts(self.starts));
        for (id, topic) in &self.topics {
            let StoredTopic { name, replicas, settings, starts, epochs } = topic.clone();
            records.push(Record::Topic { id: *id, name, replicas, settings });
            records.extend(epochs.into_iter().map(|(partition, epoch)| Record::LeaderEpoch {
                topic: *id,
                partition,
                epoch,
            }));
            records.extend(starts.into_iter().map(|(partition, offset)| Record::LogStart {
                topic: *id,
                partition,
                offset,
            }));
        }
        for (id, group) in &self.groups {
            records.extend(group.records(id));
        }
        let configs = self.configs.clone().into_iter();
        records.extend(configs.map(|(group, config)| Record::GroupConfig { group, config }));
        let transactions = self.transactions.clone().into_iter();
        records.extend(transactions.map(|(id, state)| Record::Transaction { id, state }));
        records
    }
}

impl StoredGroup {
    fn is_nothing(&self) -> bool {
        self.generation.is_none() && self.committed.is_empty() && self.pending.is_empty()
    }

    fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        if committed {
            self.committed.extend(pending);
        }
    }

    fn records(&self, id: &str) -> impl Iterator<Item = Record> {
        let committed = self.committed.clone().into_iter().map(|((topic, partition), offset)| {
            Record::Committed { group: id.to_owned(), topic, partition, offset }
        });
        let pending = self.pending.iter().flat_map(|(producer_id, offsets)| {
            offsets.clone().into_iter().map(|((topic, partition), offset)| Record::Pending {
                group: id.to_owned(),
                producer_id: *producer_id,
                topic,
                partition,
                offset,
            })
        });
        let generation = self.generation.clone().into_iter();
        let generation = generation.map(|generation| Record::Generation { group: id.to_owned(), generation });
        generation.chain(committed).chain(pending)
    }
}
