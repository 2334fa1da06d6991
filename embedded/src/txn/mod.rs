//! Transactions: which producer has which one open, and what becomes of it.
//!
//! 1. A transactional id belongs to one producer and epoch at a time; whoever has an older epoch is fenced.
//! 2. A transactional batch is stored only for a partition that was added to the open transaction.
//! 3. A producer of transactions of version 2 (KIP-890) goes on to its next epoch with the end of each transaction, so
//!    that nothing late becomes part of the next one.
//! 4. A transaction ends everywhere at once, since one lock covers it: every partition gets its marker, and every
//!    group its offsets or none.
//! 5. What has changed is written down before it counts; if it cannot be, it has not changed.
//!
//! Kafka needs states in between, because its coordinator and its partitions are on different brokers. Here they are in
//! one process, so they do not exist.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;

use crate::storage::{Record, Storage, StoredTransaction};

mod describe;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use describe::{Described, TxnState};

/// Transactional ids that are remembered.
const MAX_IDS: usize = 10_000;

/// Groups whose offsets are committed with one transaction.
const MAX_GROUPS: usize = 1_000;

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
    /// What it was before its latest step to a new epoch, if it took that step itself and may ask for it again.
    before: Option<ProducerIdentity>,
    timeout_ms: u64,
    open: Option<Open>,
    /// How the last transaction ended, for a producer that did not get the answer.
    last: Option<Last>,
    /// Who ended the last transaction, and how.
    last_ended: Option<(ProducerIdentity, bool)>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    committed: bool,
    /// Whether the producer has got a new epoch with it.
    version2: bool,
    since_ms: u64,
}

/// How a producer ends a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) committed: bool,
    /// Whether the producer goes on to a new epoch.
    pub(crate) version2: bool,
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
            let entry =
                Entry { producer, before: None, timeout_ms, open: None, last: None, last_ended: None };
            self.entries.insert(id.to_owned(), entry);
            self.save(id, None, None)?;
            return Ok((producer, None));
        }
        let old = self.remembered(id);
        let entry = self.entries.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if claimed.is_some() && claimed == entry.before && entry.open.is_none() {
            // It has been given its new epoch already, and only the answer was lost.
            entry.timeout_ms = timeout_ms;
            let producer = entry.producer;
            self.save(id, old, None)?;
            return Ok((producer, None));
        }
        if claimed.is_some_and(|claimed| claimed != entry.producer) {
            return Err(ResponseError::ProducerFenced);
        }
        let ended = entry.fence(new_producer_id);
        entry.before = claimed;
        entry.timeout_ms = timeout_ms;
        let producer = entry.producer;
        self.save(id, old, ended.as_ref())?;
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
        let old = self.remembered(id);
        self.entry(id, producer)?.opened(now_ms).partitions.extend(partitions);
        self.save(id, old, None)
    }

    /// Adds a group's offsets to the open transaction, which may open with them.
    pub(crate) fn add_group(
        &mut self,
        now_ms: u64,
        id: &str,
        producer: ProducerIdentity,
        group: &str,
    ) -> Result<(), ResponseError> {
        let old = self.remembered(id);
        let entry = self.entry(id, producer)?;
        let groups = entry.open.as_ref().map(|open| &open.groups);
        if groups.is_some_and(|groups| groups.contains(group)) {
            return Ok(());
        }
        if groups.is_some_and(|groups| groups.len() >= MAX_GROUPS) {
            return Err(ResponseError::PolicyViolation);
        }
        entry.opened(now_ms).groups.insert(group.to_owned());
        self.save(id, old, None)
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

    /// Ends the open transaction, and says who the producer is from now on. Nothing is ended if that had happened already,
    /// and only the answer was lost.
    pub(crate) fn end(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        end: End,
        new_producer_id: impl FnOnce() -> i64,
    ) -> Result<(ProducerIdentity, Option<Ended>), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let asked_again = |entry: &Entry| {
            let last = entry.last.filter(|last| last.version2 && entry.open.is_none());
            last.filter(|_| entry.before == Some(producer) || (end.version2 && entry.has_timed_out(producer)))
                .map(|last| (last.committed, entry.producer))
        };
        match self.entries.get(id).and_then(asked_again) {
            Some((committed, now)) if committed == end.committed => return Ok((now, None)),
            Some(_) => return Err(ResponseError::InvalidTxnState),
            None => {}
        }
        let old = self.remembered(id);
        let entry = self.entry(id, producer)?;
        let is_open = entry.open.is_some();
        if end.version2 {
            // An abort of nothing is allowed: the producer cannot know whether its first batch has arrived.
            if !is_open && end.committed {
                return Err(ResponseError::InvalidTxnState);
            }
            let (now, ended) = entry.end_and_advance(end.committed, new_producer_id);
            self.save(id, old, ended.as_ref())?;
            return Ok((now, ended));
        }
        match entry.close(end.committed) {
            Some(ended) => {
                self.save(id, old, Some(&ended))?;
                Ok((producer, Some(ended)))
            }
            None if entry.last.is_some_and(|last| last.committed == end.committed) => Ok((producer, None)),
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
            let old = self.remembered(id);
            let ended = self.entries.get_mut(id)?.time_out(&mut new_producer_id)?;
            // What cannot be written down is tried again.
            self.save(id, old, Some(&ended)).ok()?;
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
        self.last = Some(Last { committed, version2: false, since_ms: open.since_ms });
        self.last_ended = Some((self.producer, committed));
        Some(Ended { producer: self.producer, committed, partitions: open.partitions, groups: open.groups })
    }

    /// Ends what is open in the next epoch, in which the producer goes on.
    fn end_and_advance(
        &mut self,
        committed: bool,
        new_producer_id: impl FnOnce() -> i64,
    ) -> (ProducerIdentity, Option<Ended>) {
        let before = self.producer;
        let since_ms = self.open.as_ref().map(|open| open.since_ms);
        let ended = self.close_in_next_epoch(committed, new_producer_id);
        let since_ms = since_ms.or(self.last.map(|last| last.since_ms)).unwrap_or_default();
        self.last = Some(Last { committed, version2: true, since_ms });
        self.before = Some(before);
        (self.producer, ended)
    }

    /// Aborts what is open, and refuses from now on whoever opened it.
    fn fence(&mut self, new_producer_id: impl FnOnce() -> i64) -> Option<Ended> {
        let ended = self.close_in_next_epoch(false, new_producer_id);
        self.before = None;
        self.last = None;
        ended
    }

    /// As [`Self::fence`], and remembers how it ended: the producer is still the same one, and may ask.
    fn time_out(&mut self, new_producer_id: impl FnOnce() -> i64) -> Option<Ended> {
        let since_ms = self.open.as_ref()?.since_ms;
        let ended = self.fence(new_producer_id);
        self.last = Some(Last { committed: false, version2: true, since_ms });
        ended
    }

    /// Whether a producer's transaction was the last, and was aborted for its age. Only then does an end give a new epoch
    /// that nobody has asked for.
    fn has_timed_out(&self, producer: ProducerIdentity) -> bool {
        let next = producer.epoch.checked_add(1).map(|epoch| ProducerIdentity { epoch, ..producer });
        self.before.is_none() && next == Some(self.producer)
    }

    /// Moves on to the next epoch. What was open is ended in the new one, so that its partitions refuse the old.
    fn close_in_next_epoch(
        &mut self,
        committed: bool,
        new_producer_id: impl FnOnce() -> i64,
    ) -> Option<Ended> {
        let ended_by = match self.producer.epoch.checked_add(1) {
            Some(epoch) => ProducerIdentity { epoch, ..self.producer },
            None => self.producer,
        };
        let ended = self.close(committed).map(|ended| Ended { producer: ended_by, ..ended });
        if ended.is_some() {
            self.last_ended = Some((ended_by, committed));
        }
        // The last epoch is left free, for the producer that goes on under a new id.
        self.producer = if ended_by.epoch == i16::MAX {
            ProducerIdentity { id: new_producer_id(), epoch: 0 }
        } else {
            ended_by
        };
        ended
    }
}
