//! How far a group has come.
//!
//! Offsets are written down before they count, and what they take up in memory is limited over all groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;

use crate::log::budget::Budget;
use crate::storage::{Record, Storage};

/// What an offset takes up beside its topic's name and its metadata, roughly.
const COST_BYTES: usize = 160;

/// Where the offsets of all groups are kept: how much memory there is for them, and where they are written down.
#[derive(Debug, Clone)]
pub(crate) struct OffsetStore {
    budget: Arc<Budget>,
    storage: Storage,
}

impl OffsetStore {
    pub(crate) fn new(limit_bytes: u64, storage: Storage) -> Self {
        Self { budget: Arc::new(Budget::new(limit_bytes)), storage }
    }

    fn full(&self, group: &str) -> ResponseError {
        tracing::warn!(
            group,
            "the embedded broker holds as many committed offsets as its limit of {} bytes allows; raise \
             `offsets_limit_bytes`, or delete groups or their offsets",
            self.budget.limit()
        );
        ResponseError::PolicyViolation
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
struct Room {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

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

/// An offset and the room it takes up.
#[derive(Debug)]
struct Kept {
    offset: CommittedOffset,
    _room: Room,
}

/// The commits of a group.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, Kept>>,
    /// By producer: what counts as soon as its transaction is committed.
    pending: BTreeMap<i64, BTreeMap<(String, i32), Kept>>,
}

impl Kept {
    fn new(
        store: &OffsetStore,
        group: &str,
        topic: &str,
        offset: CommittedOffset,
    ) -> Result<Self, ResponseError> {
        let bytes = (COST_BYTES + topic.len() + offset.metadata.len()) as u64;
        if !store.budget.reserve(bytes) {
            return Err(store.full(group));
        }
        Ok(Self { offset, _room: Room { budget: Arc::clone(&store.budget), bytes } })
    }

    fn restored(store: &OffsetStore, topic: &str, offset: CommittedOffset) -> Self {
        let bytes = (COST_BYTES + topic.len() + offset.metadata.len()) as u64;
        store.budget.reserve_beyond_limit(bytes);
        Self { offset, _room: Room { budget: Arc::clone(&store.budget), bytes } }
    }
}

impl Offsets {
    /// Commits, once that is written down.
    ///
    /// # Errors
    /// `POLICY_VIOLATION` if there is no room, and `KAFKA_STORAGE_ERROR` if it cannot be written down.
    pub(crate) fn commit(
        &mut self,
        store: &OffsetStore,
        group: &str,
        topic: &str,
        partition: i32,
        offset: CommittedOffset,
    ) -> Result<(), ResponseError> {
        let kept = Kept::new(store, group, topic, offset)?;
        store.storage.write(|| {
            let (group, topic, offset) = (group.to_owned(), topic.to_owned(), kept.offset.clone());
            vec![Record::Committed { group, topic, partition, offset }]
        })?;
        self.insert(topic.to_owned(), partition, kept);
        Ok(())
    }

    fn insert(&mut self, topic: String, partition: i32, kept: Kept) {
        self.committed.entry(topic).or_default().insert(partition, kept);
    }

    /// Commits within a transaction; what is pending is written down too.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) fn commit_later(
        &mut self,
        store: &OffsetStore,
        group: &str,
        producer_id: i64,
        (topic, partition): (&str, i32),
        offset: CommittedOffset,
    ) -> Result<(), ResponseError> {
        let kept = Kept::new(store, group, topic, offset)?;
        store.storage.write(|| {
            let (group, topic, offset) = (group.to_owned(), topic.to_owned(), kept.offset.clone());
            vec![Record::Pending { group, producer_id, topic, partition, offset }]
        })?;
        self.pending.entry(producer_id).or_default().insert((topic.to_owned(), partition), kept);
        Ok(())
    }

    /// Takes over what is written down already.
    pub(crate) fn restore(
        &mut self,
        store: &OffsetStore,
        producer_id: Option<i64>,
        topic: String,
        partition: i32,
        offset: CommittedOffset,
    ) {
        let kept = Kept::restored(store, &topic, offset);
        match producer_id {
            None => self.insert(topic, partition, kept),
            Some(producer_id) => {
                self.pending.entry(producer_id).or_default().insert((topic, partition), kept);
            }
        }
    }

    /// Lets what is pending count, or not. The end of the transaction has been written down.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        for ((topic, partition), offset) in pending.into_iter().filter(|_| committed) {
            self.insert(topic, partition, offset);
        }
    }

    /// Whether a transaction may still change what is committed for a partition.
    pub(crate) fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        let key = (topic.to_owned(), partition);
        self.pending.values().any(|pending| pending.contains_key(&key))
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition).map(|kept| &kept.offset)
    }

    /// The partitions that something is committed for, by topic.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, impl Iterator<Item = i32>)> {
        self.committed.iter().map(|(topic, partitions)| (topic, partitions.keys().copied()))
    }

    /// Forgets what is committed for a partition, once that is written down.
    pub(crate) fn forget(
        &mut self,
        store: &OffsetStore,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<(), ResponseError> {
        store.storage.write(|| {
            vec![Record::Forgotten { group: group.to_owned(), topic: topic.to_owned(), partition }]
        })?;
        self.remove(topic, partition);
        Ok(())
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.committed.remove(topic);
        for pending in self.pending.values_mut() {
            pending.retain(|(pending_topic, _), _| pending_topic != topic);
        }
    }

    /// Forgets what has expired, except for what a transaction is about to replace, once that is written down. If it
    /// cannot be, it stays until the next time.
    pub(super) fn expire(
        &mut self,
        store: &OffsetStore,
        group: &str,
        is_expired: impl Fn(&str, &CommittedOffset) -> bool,
    ) {
        let pending: BTreeSet<_> = self.pending.values().flat_map(BTreeMap::keys).cloned().collect();
        let mut expired = BTreeSet::new();
        for (topic, partitions) in &self.committed {
            let gone = partitions.iter().filter(|(_, kept)| is_expired(topic, &kept.offset));
            expired.extend(gone.map(|(partition, _)| (topic.clone(), *partition)));
        }
        expired.retain(|partition| !pending.contains(partition));
        if expired.is_empty() {
            return;
        }
        let written = store.storage.write(|| {
            let forgotten = expired.iter().cloned();
            forgotten
                .map(|(topic, partition)| Record::Forgotten { group: group.to_owned(), topic, partition })
                .collect()
        });
        if written.is_ok() {
            for (topic, partition) in expired {
                self.remove(&topic, partition);
            }
        }
    }

    fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.committed.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.committed.remove(topic);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn offset(offset: i64, metadata: &str) -> CommittedOffset {
        let metadata = metadata.to_owned();
        CommittedOffset { offset, leader_epoch: 3, metadata, committed_ms: 5, expires_ms: None }
    }

    #[test]
    fn offsets_are_limited_in_bytes_over_all_groups_and_room_comes_back() {
        let store = OffsetStore::new(2_000, Storage::default());
        let mut first = Offsets::default();
        let mut second = Offsets::default();
        first.commit(&store, "first", "orders", 0, offset(1, &"x".repeat(1_500))).unwrap();
        let refused = second.commit(&store, "second", "orders", 0, offset(1, &"x".repeat(400)));
        assert_eq!(refused, Err(ResponseError::PolicyViolation));
        assert!(second.is_empty(), "what is refused is not kept");
        second.commit(&store, "second", "orders", 0, offset(1, "")).unwrap();
        let later = second.commit_later(&store, "second", 7, ("orders", 1), offset(1, &"x".repeat(400)));
        assert_eq!(later, Err(ResponseError::PolicyViolation));
        drop(first);
        for round in 0..100 {
            second.commit_later(&store, "second", 7, ("orders", 1), offset(round, &"x".repeat(400))).unwrap();
            second.end_transaction(7, round % 2 == 0);
        }
        assert_eq!(second.get("orders", 1), Some(&offset(98, &"x".repeat(400))));
        second.forget(&store, "second", "orders", 1).unwrap();
        second.forget_topic("orders");
        assert!(store.budget.reserve(2_000), "all room has come back");
    }
}
