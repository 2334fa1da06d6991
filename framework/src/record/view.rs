//! What arguments are extracted from: one record, or one batch, borrowed from its chunk.

use std::ops::Range;
use std::sync::Arc;

use super::Timestamp;
use super::chunk::{Chunk, Stored};
use crate::beans::AttemptScope;
use crate::handler::{AckTarget, Completion};

/// The header under which Spring tells the number of the attempt: four bytes, the highest first.
const DELIVERY_ATTEMPT: &str = "kafka_deliveryAttempt";

/// Which attempt at a record this is, and whether the record shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// From 1, as the header has it.
    number: [u8; 4],
    is_header: bool,
}

impl Delivery {
    pub(crate) const FIRST: Self = Self::new(1, false);

    pub(crate) const fn new(number: u32, is_header: bool) -> Self {
        Self { number: number.to_be_bytes(), is_header }
    }

    pub(crate) const fn number(self) -> u32 {
        u32::from_be_bytes(self.number)
    }
}

/// One record, as an argument's extractor sees it. Nothing is copied or decoded until it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub(super) chunk: &'a Arc<Chunk>,
    pub(super) index: usize,
    pub(super) delivery: &'a Delivery,
    completion: Option<&'a Completion>,
}

impl<'a> RecordView<'a> {
    pub(crate) fn new(
        chunk: &'a Arc<Chunk>,
        index: usize,
        delivery: &'a Delivery,
        completion: Option<&'a Completion>,
    ) -> Self {
        debug_assert!(index < chunk.records.len(), "view: index inside the chunk");
        Self { chunk, index, delivery, completion }
    }

    pub(super) fn stored(&self) -> &'a Stored {
        &self.chunk.records[self.index]
    }

    pub(crate) fn ack_target(&self) -> Option<&'a AckTarget> {
        self.completion.and_then(Completion::ack)
    }

    /// The transaction that its offset is part of.
    pub(crate) fn transaction(&self) -> Option<&'a AttemptScope> {
        self.completion.and_then(Completion::transaction)
    }

    /// The topic.
    pub fn topic(&self) -> &'a str {
        &self.chunk.topic
    }

    /// The partition, from 0.
    pub fn partition(&self) -> i32 {
        self.chunk.partition
    }

    /// The offset in the partition, from 0.
    pub fn offset(&self) -> i64 {
        self.stored().offset()
    }

    /// The key's bytes; `None` is a record without a key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.stored().key()
    }

    /// The payload's bytes; `None` is a tombstone.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.stored().payload()
    }

    /// The record's timestamp and who set it.
    pub fn timestamp(&self) -> Timestamp {
        self.stored().timestamp()
    }

    /// The leader epoch of the batch that held the record, where the broker tells it.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.stored().leader_epoch()
    }

    /// The headers, in the record's order; a name may repeat.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let delivery = self.delivery;
        let attempt = delivery.is_header.then_some((DELIVERY_ATTEMPT, Some(delivery.number.as_slice())));
        self.stored().headers().chain(attempt)
    }

    /// The value of the last header of this name; `None` if there is none or its value is null.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(header, _)| *header == name).last().and_then(|(_, value)| value)
    }

    /// Which attempt at this record this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.number()
    }
}

/// The places in a chunk of the records that a batch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Places {
    /// All of these.
    Range(Range<usize>),
    /// These, in order: others between them are left out.
    These(Arc<[usize]>),
}

impl Places {
    /// The wanted ones of a range.
    pub(crate) fn of(range: Range<usize>, wanted: Vec<usize>) -> Self {
        if wanted.len() == range.len() { Self::Range(range) } else { Self::These(wanted.into()) }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::These(places) => places.len(),
        }
    }

    /// The place of a record, by its index in the batch.
    pub(crate) fn get(&self, index: usize) -> usize {
        match self {
            Self::Range(range) => range.start + index,
            Self::These(places) => places[index],
        }
    }

    pub(crate) fn contains(&self, place: usize) -> bool {
        match self {
            Self::Range(range) => range.contains(&place),
            Self::These(places) => places.binary_search(&place).is_ok(),
        }
    }
}

/// One batch, as an argument's extractor sees it.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    chunk: &'a Arc<Chunk>,
    places: &'a Places,
    delivery: &'a Delivery,
    completion: Option<&'a Completion>,
}

impl<'a> BatchView<'a> {
    pub(crate) fn new(
        chunk: &'a Arc<Chunk>,
        places: &'a Places,
        delivery: &'a Delivery,
        completion: Option<&'a Completion>,
    ) -> Self {
        Self { chunk, places, delivery, completion }
    }

    pub(crate) fn ack_target(&self) -> Option<&'a AckTarget> {
        self.completion.and_then(Completion::ack)
    }

    /// The transaction that its offset is part of.
    pub(crate) fn transaction(&self) -> Option<&'a AttemptScope> {
        self.completion.and_then(Completion::transaction)
    }

    /// How many records the batch holds; at least one.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the batch is empty: never, when the framework made it.
    pub fn is_empty(&self) -> bool {
        self.places.len() == 0
    }

    /// The records, in the order of their offsets.
    pub fn records(&self) -> impl Iterator<Item = RecordView<'a>> + use<'a> {
        let Self { chunk, places, delivery, .. } = *self;
        (0..places.len()).map(move |index| RecordView::new(chunk, places.get(index), delivery, None))
    }

    /// Which attempt at this batch, or at what is left of it, this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.number()
    }
}
