//! What a partition remembers of idempotent producers, so that a batch that is sent twice is stored once.
//!
//! 1. The batches of a producer and epoch are stored in the order of their sequences, without a gap.
//! 2. A repetition of one of the last [`REMEMBERED_BATCHES`] is answered as the original was, and not stored.
//! 3. A batch of an older epoch is refused.

use std::collections::{HashMap, VecDeque};

use super::batch::Batch;
use crate::storage::{Reader, Writer};
use crate::txn::ProducerIdentity;

/// Before the checksum of what is written down.
const CHECKSUM_BYTES: usize = 4;

/// As many as a producer may have in flight.
const REMEMBERED_BATCHES: usize = 5;

/// Producers remembered in each partition; beyond it, the one that has been silent for longest is forgotten.
const REMEMBERED_PRODUCERS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    turn: u64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Stored>,
    last_turn: u64,
    last_timestamp: i64,
    /// Whether a transaction of it has ended here.
    has_ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

/// A producer of a partition, as tools show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveProducer {
    pub(crate) producer: ProducerIdentity,
    pub(crate) last_sequence: Option<i32>,
    pub(crate) last_timestamp: i64,
    /// Whether a transaction of it has ended here.
    pub(crate) has_ended: bool,
    /// Where its open transaction begins.
    pub(crate) open_since_offset: Option<i64>,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Store,
    /// It is stored already, at this offset.
    Duplicate(i64),
    OutOfOrder,
    Fenced,
}

impl Producers {
    pub(super) fn judge(&self, batch: &Batch) -> Verdict {
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            // Whoever is forgotten, or new here, starts where it says.
            return Verdict::Store;
        };
        if batch.producer_epoch < producer.epoch {
            return Verdict::Fenced;
        }
        if batch.producer_epoch > producer.epoch {
            return if batch.base_sequence == 0 { Verdict::Store } else { Verdict::OutOfOrder };
        }
        let repeated = producer.batches.iter().find(|stored| {
            (stored.first_sequence, stored.last_sequence) == (batch.base_sequence, batch.last_sequence())
        });
        if let Some(stored) = repeated {
            return Verdict::Duplicate(stored.base_offset);
        }
        let next = producer.batches.back().map_or(0, |last| last.last_sequence.checked_add(1).unwrap_or(0));
        if batch.base_sequence == next { Verdict::Store } else { Verdict::OutOfOrder }
    }

    /// Remembers a batch that is stored.
    pub(super) fn remember(&mut self, batch: &Batch) {
        self.turn += 1;
        if self.by_id.len() >= REMEMBERED_PRODUCERS && !self.by_id.contains_key(&batch.producer_id) {
            self.forget_the_most_silent();
        }
        let fresh = || Producer {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
            last_turn: 0,
            last_timestamp: batch.max_timestamp,
            has_ended: false,
        };
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(fresh);
        if producer.epoch != batch.producer_epoch {
            *producer = Producer { has_ended: producer.has_ended, ..fresh() };
        }
        producer.last_turn = self.turn;
        producer.last_timestamp = batch.max_timestamp;
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Stored {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
    }

    /// Remembers the end of a transaction, and refuses from now on what is of an older epoch.
    pub(super) fn ended(&mut self, producer: ProducerIdentity, now_ms: i64) {
        let Some(known) = self.by_id.get_mut(&producer.id) else { return };
        known.last_timestamp = now_ms;
        known.has_ended = true;
        if known.epoch < producer.epoch {
            known.epoch = producer.epoch;
            known.batches.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of it, as of the end of a log, to be written down.
    pub(super) fn to_bytes(&self, end_offset: i64) -> Vec<u8> {
        let mut producers: Vec<_> = self.by_id.iter().collect();
        producers.sort_by_key(|(_, producer)| producer.last_turn);
        let mut writer = Writer(vec![0; CHECKSUM_BYTES]);
        writer.number(end_offset);
        writer.list(producers, |out, (id, producer)| {
            out.number(*id).number(producer.epoch.into());
            out.number(producer.last_timestamp).number(producer.has_ended.into());
            out.list(&producer.batches, |out, stored| {
                out.number(stored.first_sequence.into()).number(stored.last_sequence.into());
                out.number(stored.base_offset);
            });
        });
        let mut bytes = writer.0;
        let checksum = crc32c::crc32c(&bytes[CHECKSUM_BYTES..]).to_le_bytes();
        bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum);
        bytes
    }

    /// What was written down, and as of which end of the log. `None` if it is damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Self, i64)> {
        let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
        if crc32c::crc32c(rest).to_le_bytes() != *checksum {
            return None;
        }
        let mut reader = Reader(rest);
        let end_offset = reader.number()?;
        let mut producers = Self::default();
        reader.list(|from| {
            producers.turn += 1;
            let id = from.number()?;
            let epoch = from.int()?;
            let last_timestamp = from.number()?;
            let has_ended = from.number()? != 0;
            let batches = from.list(|from| {
                Some(Stored {
                    first_sequence: from.int()?,
                    last_sequence: from.int()?,
                    base_offset: from.number()?,
                })
            })?;
            let last_turn = producers.turn;
            let producer = Producer { epoch, batches: batches.into(), last_turn, last_timestamp, has_ended };
            producers.by_id.insert(id, producer);
            Some(())
        })?;
        Some((producers, end_offset))
    }

    /// Every producer that is remembered, in the order of their ids.
    pub(super) fn active(&self) -> Vec<ActiveProducer> {
        let mut all: Vec<_> = self.by_id.iter().map(|(id, producer)| producer.describe(*id)).collect();
        all.sort_unstable_by_key(|active| active.producer.id);
        all
    }

    /// A producer, if it is remembered.
    pub(super) fn of(&self, id: i64) -> Option<ActiveProducer> {
        self.by_id.get(&id).map(|producer| producer.describe(id))
    }

    fn forget_the_most_silent(&mut self) {
        let silent = self.by_id.iter().min_by_key(|(_, producer)| producer.last_turn).map(|(id, _)| *id);
        if let Some(id) = silent {
            self.by_id.remove(&id);
        }
    }
}

impl Producer {
    fn describe(&self, id: i64) -> ActiveProducer {
        ActiveProducer {
            producer: ProducerIdentity { id, epoch: self.epoch },
            last_sequence: self.batches.back().map(|last| last.last_sequence),
            last_timestamp: self.last_timestamp,
            has_ended: self.has_ended,
            open_since_offset: None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::super::batch::tests::sequenced;
    use super::*;

    fn batch(id: i64, epoch: i16, sequence: i32, count: usize) -> Batch {
        Batch::split_from(&mut sequenced(id, epoch, sequence, count).freeze()).unwrap()
    }

    #[test]
    fn each_batch_is_judged_by_what_came_before() {
        let mut producers = Producers::default();
        let story = [
            ("a first batch", batch(1, 0, 0, 3), Verdict::Store),
            ("the next", batch(1, 0, 3, 2), Verdict::Store),
            ("the first again", batch(1, 0, 0, 3), Verdict::Duplicate(0)),
            ("the second again", batch(1, 0, 3, 2), Verdict::Duplicate(3)),
            ("a gap", batch(1, 0, 6, 1), Verdict::OutOfOrder),
            ("a part of a stored one", batch(1, 0, 3, 1), Verdict::OutOfOrder),
            ("another producer", batch(2, 0, 0, 1), Verdict::Store),
            ("an unknown producer, in the middle", batch(3, 0, 70, 1), Verdict::Store),
            ("a new epoch, in the middle", batch(1, 1, 5, 1), Verdict::OutOfOrder),
            ("a new epoch", batch(1, 1, 0, 1), Verdict::Store),
            ("the old epoch", batch(1, 0, 5, 1), Verdict::Fenced),
        ];
        let mut next_offset = 0;
        for (what, batch, expected) in story {
            assert_eq!(producers.judge(&batch), expected, "{what}");
            if expected == Verdict::Store {
                let placed = batch.placed(next_offset, 0, None);
                next_offset = placed.last_offset + 1;
                producers.remember(&placed);
            }
        }
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_last_number() {
        let mut producers = Producers::default();
        producers.remember(&batch(1, 0, i32::MAX, 1));
        assert_eq!(producers.judge(&batch(1, 0, 0, 1)), Verdict::Store);
    }

    #[test]
    fn what_is_written_down_is_remembered_and_damage_noticed() {
        let mut producers = Producers::default();
        producers.remember(&batch(1, 0, 0, 3).placed(10, 0, None));
        producers.remember(&batch(2, 7, 5, 1).placed(13, 0, None));
        let bytes = producers.to_bytes(14);
        let (restored, end_offset) = Producers::from_bytes(&bytes).unwrap();
        assert_eq!((end_offset, restored.to_bytes(14)), (14, bytes.clone()));
        assert_eq!(restored.judge(&batch(1, 0, 0, 3)), Verdict::Duplicate(10));
        assert_eq!(restored.judge(&batch(2, 7, 6, 1)), Verdict::Store);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Producers::from_bytes(&damaged).is_none(), "flipped at {at}");
        }
    }

    #[test]
    fn only_so_many_producers_are_remembered() {
        let mut producers = Producers::default();
        let mut first = batch(0, 0, 0, 1);
        for id in 0..=i64::try_from(REMEMBERED_PRODUCERS).unwrap() {
            first.producer_id = id;
            producers.remember(&first);
        }
        assert_eq!(producers.by_id.len(), REMEMBERED_PRODUCERS);
        assert!(!producers.by_id.contains_key(&0));
    }
}
