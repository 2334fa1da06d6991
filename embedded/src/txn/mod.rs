//! Transactions: which producer has which one open, and what becomes of it.
//!
//! 1. A transactional id belongs to one producer and epoch at a time; whoever has an older epoch is fenced.
//! 2. A transactional batch is stored only for a partition that was added to the open transaction.
//! 3. A transaction ends everywhere at once, since one lock covers it: every partition gets its marker, and every
//!    group its offsets or none.
//! 4. What has changed is written down before it counts; if it cannot be, it has not changed.
//!
//! Kafka needs states in between, because its coordinator and its partitions are on different brokers. Here they are in
//! one process, so they do not exist.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;

use crate::storage::{Record, Storage, StoredTransaction};

mod stored;
#[cfg(test)]
mod tests;

/// Transactional ids that are remembered.
const MAX_IDS: usize = 10_000;

/// Kafka's longest transaction, in milliseconds.
const MAX_TIMEOUT_MS: i32 = 900_000;

/// A producer, and which of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerIdentity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// A transaction that has ended, and all that has to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) producer: ProducerIdentity,
    pub(crate) committed: bool,
    pub(crate) partitions: BTreeSet<(String, i32)>,
    pub(crate) groups: BTreeSet<String>,
}

/// All transactions of the broker.
#[derive(Debug, Default)]
pub(crate) struct Transactions(Mutex<Ledger>);

/// What is known of every transactional id.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: HashMap<String, Entry>,
    storage: Storage,
}

#[derive(Debug, Clone)]
struct Entry {
    producer: ProducerIdentity,
    timeout_ms: u64,
    open: Option<Open>,
    /// How the last transaction ended, for a producer that did not get the answer.
    last_committed: Option<bool>,
    /// Who ended the last transaction, and how.
    last_ended: Option<(ProducerIdentity, bool)>,
}

#[derive(Debug, Clone, Default)]
struct Open {
    since_ms: u64,
    partitions: BTreeSet<(String, i32)>,
    groups: BTreeSet<String>,
}

impl Transactions {
    /// What a data directory holds, or, without one, nothing.
    pub(crate) fn open(storage: Storage) -> Self {
        Self(Mutex::new(Ledger::open(storage)))
    }

    /// The one lock that everything about transactions happens under.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Begins a life of a producer: fences the one before, and ends what that left open.
    pub(crate) fn init(
        &mut self,
        id: &str,
        timeout_ms: i32,
        claimed: Option<ProducerIdentity>,
        new_producer_id: impl FnOnce() -> i64,
    ) -> Result<(ProducerIdentity, Option<Ended>), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let timeout_ms = u64::from(timeout_ms.unsigned_abs());
        if !self.entries.contains_key(id) {
            self.make_room()?;
            let producer = ProducerIdentity { id: new_producer_id(), epoch: 0 };
            let entry = Entry { producer, timeout_ms, open: None, last_committed: None, last_ended: None };
            self.entries.insert(id.to_owned(), entry);
            self.save(id, None, None)?;
            return Ok((producer, None));
        }
        let before = self.before(id);
        let entry = self.entries.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if claimed.is_some_and(|claimed| claimed != entry.producer) {
            return Err(ResponseError::ProducerFenced);
        }
        let ended = entry.fence(new_producer_id);
        entry.timeout_ms = timeout_ms;
        let producer = entry.producer;
        self.save(id, before, ended.as_ref())?;
        Ok((producer, ended))
    }

    fn make_room(&mut self) -> Result<(), ResponseError> {
        if self.entries.len() >= MAX_IDS {
            self.forget_idle()?;
        }
        if self.entries.len() < MAX_IDS { Ok(()) } else { Err(ResponseError::PolicyViolation) }
    }

    fn entry(&mut self, id: &str, producer: ProducerIdentity) -> Result<&mut Entry, ResponseError> {
        let entry = self.entries.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if entry.producer.id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if entry.producer.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(entry)
    }

    /// Adds partitions to the open transaction, which opens with its first.
    pub(crate) fn add_partitions(
        &mut self,
        now_ms: u64,
        id: &str,
        producer: ProducerIdentity,
        partitions: impl IntoIterator<Item = (String, i32)>,
    ) -> Result<(), ResponseError> {
        let before = self.before(id);
        self.entry(id, producer)?.opened(now_ms).partitions.extend(partitions);
        self.save(id, before, None)
    }

    /// Adds a group's offsets to the open transaction, which may open with them.
    pub(crate) fn add_group(
        &mut self,
        now_ms: u64,
        id: &str,
        producer: ProducerIdentity,
        group: &str,
    ) -> Result<(), ResponseError> {
        let before = self.before(id);
        self.entry(id, producer)?.opened(now_ms).groups.insert(group.to_owned());
        self.save(id, before, None)
    }

    /// Whether a producer is who it says, without regard to what it does.
    pub(crate) fn check(&mut self, id: &str, producer: ProducerIdentity) -> Result<(), ResponseError> {
        self.entry(id, producer).map(|_| ())
    }

    /// Whether a producer may write to a partition now.
    pub(crate) fn check_partition(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        topic: &str,
        partition: i32,
    ) -> Result<(), ResponseError> {
        let open = self.entry(id, producer)?.open.as_ref();
        let added = |open: &Open| open.partitions.contains(&(topic.to_owned(), partition));
        if open.is_some_and(added) { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// Whether a producer may commit offsets of a group now.
    pub(crate) fn check_group(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        group: &str,
    ) -> Result<(), ResponseError> {
        let open = self.entry(id, producer)?.open.as_ref();
        let added = open.is_some_and(|open| open.groups.contains(group));
        if added { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// Ends the open transaction. `None` if it had ended like that already, and only the answer was lost.
    pub(crate) fn end(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        committed: bool,
    ) -> Result<Option<Ended>, ResponseError> {
        let before = self.before(id);
        let entry = self.entry(id, producer)?;
        match entry.close(committed) {
            Some(ended) => {
                self.save(id, before, Some(&ended))?;
                Ok(Some(ended))
            }
            None if entry.last_committed == Some(committed) => Ok(None),
            None => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Aborts what has been open for too long, and fences who left it open.
    pub(crate) fn expire(&mut self, now_ms: u64, mut new_producer_id: impl FnMut() -> i64) -> Vec<Ended> {
        let is_expired = |entry: &Entry| {
            let open = entry.open.as_ref();
            open.is_some_and(|open| now_ms.saturating_sub(open.since_ms) > entry.timeout_ms)
        };
        let expired = self.entries.iter().filter(|(_, entry)| is_expired(entry));
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        let fenced = expired.iter().filter_map(|id| {
            let before = self.before(id);
            let ended = self.entries.get_mut(id)?.fence(&mut new_producer_id)?;
            // What cannot be written down is tried again.
            self.save(id, before, Some(&ended)).ok()?;
            Some(ended)
        });
        fenced.collect()
    }
}

impl Entry {
    fn opened(&mut self, now_ms: u64) -> &mut Open {
        self.open.get_or_insert_with(|| Open { since_ms: now_ms, ..Open::default() })
    }

    fn close(&mut self, committed: bool) -> Option<Ended> {
        let open = self.open.take()?;
        self.last_committed = Some(committed);
        self.last_ended = Some((self.producer, committed));
        Some(Ended { producer: self.producer, committed, partitions: open.partitions, groups: open.groups })
    }

    /// Moves on to the next epoch. What was open is aborted in the new one, so that its partitions refuse the old.
    fn fence(&mut self, new_producer_id: impl FnOnce() -> i64) -> Option<Ended> {
        let aborted_by = match self.producer.epoch.checked_add(1) {
            Some(epoch) => ProducerIdentity { epoch, ..self.producer },
            None => self.producer,
        };
        let ended = self.close(false).map(|ended| Ended { producer: aborted_by, ..ended });
        self.last_committed = None;
        if ended.is_some() {
            self.last_ended = Some((aborted_by, false));
        }
        // The last epoch is left free, for the producer that goes on under a new id.
        self.producer = if aborted_by.epoch == i16::MAX {
            ProducerIdentity { id: new_producer_id(), epoch: 0 }
        } else {
            aborted_by
        };
        ended
    }
}
