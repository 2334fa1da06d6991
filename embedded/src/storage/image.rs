//! What all records of the journal come to.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::record::{Record, StoredTransaction};
use crate::group::CommittedOffset;

/// The state that the journal describes, from which it is rewritten when it has grown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) cluster_id: Option<String>,
    pub(crate) starts: i64,
    pub(crate) topics: BTreeMap<Uuid, StoredTopic>,
    pub(crate) groups: BTreeMap<String, StoredGroup>,
    pub(crate) transactions: BTreeMap<String, StoredTransaction>,
}

/// A topic, without its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) settings: Vec<(String, String)>,
    /// Where the logs begin that do not begin at their first batch.
    pub(crate) starts: BTreeMap<i32, i64>,
}

/// The offsets of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredGroup {
    pub(crate) committed: BTreeMap<(String, i32), CommittedOffset>,
    /// By producer.
    pub(crate) pending: BTreeMap<i64, BTreeMap<(String, i32), CommittedOffset>>,
}

impl Image {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::ClusterId(id) => self.cluster_id = Some(id),
            Record::Starts(count) => self.starts = count,
            Record::Topic { id, name, partitions, settings } => {
                let starts = self.topics.remove(&id).map(|topic| topic.starts).unwrap_or_default();
                self.topics.insert(id, StoredTopic { name, partitions, settings, starts });
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

    fn change_group(&mut self, id: &str, change: impl FnOnce(&mut StoredGroup)) {
        let Some(group) = self.groups.get_mut(id) else { return };
        change(group);
        if group.committed.is_empty() && group.pending.is_empty() {
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
            !group.committed.is_empty() || !group.pending.is_empty()
        });
    }

    /// The fewest records that come to the same.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.cluster_id.iter().cloned().map(Record::ClusterId).collect();
        records.push(Record::Starts(self.starts));
        for (id, topic) in &self.topics {
            let StoredTopic { name, partitions, settings, starts } = topic.clone();
            records.push(Record::Topic { id: *id, name, partitions, settings });
            records.extend(starts.into_iter().map(|(partition, offset)| Record::LogStart {
                topic: *id,
                partition,
                offset,
            }));
        }
        for (id, group) in &self.groups {
            records.extend(group.records(id));
        }
        let transactions = self.transactions.clone().into_iter();
        records.extend(transactions.map(|(id, state)| Record::Transaction { id, state }));
        records
    }
}

impl StoredGroup {
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
        committed.chain(pending)
    }
}
