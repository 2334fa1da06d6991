//! What a reader of committed records may see of a log with transactions in it.

use std::collections::BTreeMap;

use crate::txn::ProducerIdentity;

/// The transactions of a partition.
#[derive(Debug, Default)]
pub(super) struct Visibility {
    /// Where the open transaction of each producer begins.
    open: BTreeMap<i64, i64>,
    /// In the order of their ends.
    aborted: Vec<Aborted>,
}

/// A transaction whose records are to be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// That of its marker.
    pub(super) last_offset: i64,
}

impl Visibility {
    pub(super) fn opened(&mut self, producer_id: i64, offset: i64) {
        self.open.entry(producer_id).or_insert(offset);
    }

    pub(super) fn ended(&mut self, producer: ProducerIdentity, committed: bool, marker: i64) {
        let first = self.open.remove(&producer.id);
        if let (Some(first_offset), false) = (first, committed) {
            self.aborted.push(Aborted { producer_id: producer.id, first_offset, last_offset: marker });
        }
    }

    pub(super) fn open_producers(&self) -> impl Iterator<Item = i64> {
        self.open.keys().copied()
    }

    /// Where the open transaction of a producer begins.
    pub(super) fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// Everything before this offset is decided.
    pub(super) fn stable_end(&self, end: i64) -> i64 {
        self.open.values().copied().min().unwrap_or(end).min(end)
    }

    /// The aborted transactions with records in a range.
    pub(super) fn aborted_in(&self, from: i64, until: i64) -> Vec<Aborted> {
        let touches = |one: &&Aborted| one.last_offset >= from && one.first_offset < until;
        self.aborted.iter().filter(touches).copied().collect()
    }

    /// Forgets what lies before the beginning of the log.
    pub(super) fn start_at(&mut self, offset: i64) {
        self.aborted.retain(|one| one.last_offset >= offset);
    }
}
