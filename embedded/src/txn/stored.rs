//! Transactions as they are written down, and read again.

use kafka_protocol::error::ResponseError;

use super::{Ended, Entry, Last, Ledger, Open, ProducerIdentity, Record, Storage, StoredTransaction};
use crate::storage::OpenTransaction;

impl Ledger {
    pub(super) fn open(storage: Storage) -> Self {
        let stored = storage.0.as_ref().map(|directory| directory.look(|image| image.transactions.clone()));
        let entries = stored.into_iter().flatten().map(|(id, state)| (id, Entry::restored(state))).collect();
        Self { entries, storage }
    }

    /// What is known of an id, to go back to if a change cannot be written down.
    pub(super) fn remembered(&self, id: &str) -> Option<Entry> {
        // Without a data directory everything can.
        self.storage.0.as_ref().and_then(|_| self.entries.get(id).cloned())
    }

    /// Writes down what is known of an id, and what has ended, or goes back to how it was before.
    pub(super) fn save(
        &mut self,
        id: &str,
        before: Option<Entry>,
        ended: Option<&Ended>,
    ) -> Result<(), ResponseError> {
        let Some(entry) = self.entries.get(id) else { return Ok(()) };
        let written = self.storage.write(|| {
            let state = Record::Transaction { id: id.to_owned(), state: entry.to_stored() };
            let ended = ended.map(|ended| Record::PendingEnded {
                producer_id: ended.producer.id,
                committed: ended.committed,
                groups: ended.groups.iter().cloned().collect(),
            });
            std::iter::once(state).chain(ended).collect()
        });
        if written.is_err() {
            match before {
                Some(before) => self.entries.insert(id.to_owned(), before),
                None => self.entries.remove(id),
            };
        }
        written
    }

    /// Forgets the ids that have no transaction open.
    pub(super) fn forget_idle(&mut self) -> Result<(), ResponseError> {
        self.storage.write(|| {
            let idle = self.entries.iter().filter(|(_, entry)| entry.open.is_none());
            idle.map(|(id, _)| Record::TransactionForgotten(id.clone())).collect()
        })?;
        self.entries.retain(|_, entry| entry.open.is_some());
        Ok(())
    }

    /// How the transaction ended that a producer has left open in a partition, because the broker was killed before the
    /// partition heard of it. `None` if it is still open.
    pub(crate) fn unheard(
        &self,
        producer_id: i64,
        topic: &str,
        partition: i32,
    ) -> Option<(ProducerIdentity, bool)> {
        let entries = || self.entries.values();
        let is_open = |entry: &Entry| {
            let open = entry.open.as_ref().filter(|_| entry.producer.id == producer_id);
            open.is_some_and(|open| open.partitions.contains(&(topic.to_owned(), partition)))
        };
        if entries().any(is_open) {
            return None;
        }
        let ended =
            entries().filter_map(|entry| entry.last_ended).find(|(producer, _)| producer.id == producer_id);
        // Nobody can end the transaction of a producer that is not known any more.
        Some(ended.unwrap_or((ProducerIdentity { id: producer_id, epoch: 0 }, false)))
    }
}

impl Entry {
    fn to_stored(&self) -> StoredTransaction {
        StoredTransaction {
            producer: self.producer,
            timeout_ms: i64::try_from(self.timeout_ms).unwrap_or(i64::MAX),
            open: self.open.as_ref().map(|open| OpenTransaction {
                partitions: open.partitions.iter().cloned().collect(),
                groups: open.groups.iter().cloned().collect(),
            }),
            before: self.before,
            last: self.last.map(|last| (last.committed, last.version2)),
            last_ended: self.last_ended,
        }
    }

    /// An open transaction gets its whole timeout again, and the last one counts as begun with the broker, since the
    /// clock of deadlines starts with it.
    fn restored(stored: StoredTransaction) -> Self {
        let StoredTransaction { producer, before, timeout_ms, open, last, last_ended } = stored;
        let last = last.map(|(committed, version2)| Last { committed, version2, since_ms: 0 });
        let open = open.map(|open| Open {
            since_ms: 0,
            partitions: open.partitions.into_iter().collect(),
            groups: open.groups.into_iter().collect(),
        });
        Self { producer, before, timeout_ms: timeout_ms.unsigned_abs(), open, last, last_ended }
    }
}
