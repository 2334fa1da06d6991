//! How far a group has come.

use std::collections::{BTreeMap, BTreeSet};

/// What was committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    /// When it was committed, on the wall clock.
    pub(crate) committed_ms: i64,
    /// Until when the client wants it kept, if it says so.
    pub(crate) expires_ms: Option<i64>,
}

/// The commits of a group.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    /// By producer: what counts as soon as its transaction is committed.
    pending: BTreeMap<i64, BTreeMap<(String, i32), CommittedOffset>>,
}

impl Offsets {
    pub(crate) fn commit(&mut self, topic: &str, partition: i32, offset: CommittedOffset) {
        self.committed.entry(topic.to_owned()).or_default().insert(partition, offset);
    }

    /// Commits within a transaction.
    pub(crate) fn commit_later(
        &mut self,
        producer_id: i64,
        topic: &str,
        partition: i32,
        offset: CommittedOffset,
    ) {
        let pending = self.pending.entry(producer_id).or_default();
        pending.insert((topic.to_owned(), partition), offset);
    }

    /// Lets what is pending count, or not.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        for ((topic, partition), offset) in pending.into_iter().filter(|_| committed) {
            self.commit(&topic, partition, offset);
        }
    }

    /// Whether a transaction may still change what is committed for a partition.
    pub(crate) fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        let key = (topic.to_owned(), partition);
        self.pending.values().any(|pending| pending.contains_key(&key))
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &BTreeMap<i32, CommittedOffset>)> {
        self.committed.iter()
    }

    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.committed.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.committed.remove(topic);
            }
        }
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.committed.remove(topic);
        for pending in self.pending.values_mut() {
            pending.retain(|(pending_topic, _), _| pending_topic != topic);
        }
    }

    /// Forgets what has expired, except for what a transaction is about to replace.
    pub(super) fn expire(&mut self, is_expired: impl Fn(&str, &CommittedOffset) -> bool) {
        let pending: BTreeSet<_> = self.pending.values().flat_map(BTreeMap::keys).cloned().collect();
        self.committed.retain(|topic, partitions| {
            partitions.retain(|partition, offset| {
                !is_expired(topic, offset) || pending.contains(&(topic.clone(), *partition))
            });
            !partitions.is_empty()
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }
}
