//! `Ack`: manual acknowledgement.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ExtractError;
use crate::listener::{Answer, LaneControl, Settlements};
use crate::record::{BatchView, Chunk, Places, RecordView};

/// How far a `nack` may lie ahead: about thirty years, which is as good as never.
const DELAY_MAX: Duration = Duration::from_hours(24 * 365 * 30);

/// The handle with which a handler says that its record, or its whole batch, is done, or that it is not.
///
/// An argument of listeners whose ack mode is `manual` or `manual-immediate`. It may be kept beyond the handler and
/// used from any thread, in any order; offsets are committed only up to the first record not yet acknowledged. Saying
/// both of one record, or one of them twice, does not compile: each takes the `Ack` away.
///
/// An `Ack` that is dropped unused leaves its record undone: it is not delivered again before the next restart or
/// rebalance, nothing behind it is committed meanwhile, and it is named as stuck after `stuck-after`. The log tells of
/// it, unless the handler failed: then the error policy decides what becomes of the record. An `Ack` of an assignment
/// that is over changes nothing.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing", ack_mode = "manual")]
/// async fn on_order(order: Payload<String>, ack: Ack) -> Result<()> {
///     info!(order = %order.0, "stored");
///     ack.acknowledge();
///     Ok(())
/// }
/// ```
#[must_use = "an `Ack` that is dropped unused leaves its record undone"]
pub struct Ack {
    target: Option<AckTarget>,
}

/// What an [`Ack`] settles: some records of one polled batch.
#[derive(Clone)]
pub(crate) struct AckTarget {
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) control: Arc<LaneControl>,
    pub(crate) slot: u32,
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) places: Places,
    /// How many of them are settled.
    pub(crate) from: usize,
}

impl AckTarget {
    fn len(&self) -> usize {
        self.places.len() - self.from
    }

    /// The offset of a record, counted from the first one of the target.
    fn offset(&self, index: usize) -> i64 {
        self.chunk.records[self.places.get(self.from + index)].offset()
    }

    /// The offset of the last record.
    fn last(&self) -> i64 {
        self.offset(self.len() - 1)
    }

    fn acknowledge_through(&self, index: usize) {
        self.settlements.acknowledge(self.slot, self.offset(0), self.offset(index));
    }

    fn nack(&self, index: usize, delay: Duration) {
        let due = Instant::now() + delay.min(DELAY_MAX);
        self.control.answer(Answer::NotDone { first: self.offset(index), due });
    }
}

impl fmt::Debug for AckTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition) = (&self.chunk.topic, self.chunk.partition);
        write!(f, "{topic}-{partition}@{}..={}", self.offset(0), self.last())
    }
}

impl Ack {
    /// An `Ack` of nothing, to call a handler in a unit test.
    pub fn detached() -> Self {
        Self { target: None }
    }

    pub(crate) fn from_view(view: &RecordView<'_>) -> Result<Self, ExtractError> {
        Self::from_target(view.ack_target())
    }

    pub(crate) fn from_batch(view: &BatchView<'_>) -> Result<Self, ExtractError> {
        Self::from_target(view.ack_target())
    }

    fn from_target(target: Option<&AckTarget>) -> Result<Self, ExtractError> {
        let target = target.ok_or_else(|| {
            ExtractError::new("Ack", "the listener's ack mode is neither `manual` nor `manual-immediate`")
        })?;
        Ok(Self { target: Some(target.clone()) })
    }

    /// Says that the record, or the whole batch, is done. It is committed as the ack mode says: with `manual` when
    /// the polled batch is handled, with `manual-immediate` at once.
    pub fn acknowledge(mut self) {
        if let Some(target) = self.target.take() {
            target.acknowledge_through(target.len() - 1);
        }
    }

    /// Says that the record, or the whole batch, is not done: it is delivered again after `delay`.
    ///
    /// In the meantime its lane waits: with `ordering: partition` the partition, and what follows the record there is
    /// delivered again, too, acknowledged or not; with `ordering: key` the key; with `none` nothing. Other lanes go on,
    /// the consumer stays in its group, and a shutdown or a rebalance does not wait for the delay. This is no failed
    /// attempt: the error policy does not hear of it, and the next attempt is again the first.
    ///
    /// ```
    /// use kafka_boot::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[kafka_listener(topic = "orders", group = "billing", ack_mode = "manual")]
    /// async fn on_order(order: Payload<String>, ack: Ack) {
    ///     if order.0.is_empty() {
    ///         ack.nack(Duration::from_secs(5));
    ///     } else {
    ///         ack.acknowledge();
    ///     }
    /// }
    /// ```
    pub fn nack(mut self, delay: Duration) {
        if let Some(target) = self.target.take() {
            target.nack(0, delay);
        }
    }

    /// Says that the records of a batch up to this one are done, itself included; the `Ack` keeps the rest. `index` is
    /// from 0, as in the `Batch` (or in what an earlier call of this left of it). An `Ack` that has nothing left is
    /// used up. Where the batch has no such record, this is an error and nothing is acknowledged.
    ///
    /// ```
    /// use kafka_boot::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[kafka_listener(topic = "orders", group = "etl", ack_mode = "manual-immediate")]
    /// async fn load(batch: Batch<String>, ack: Ack) -> Result<()> {
    ///     let half = batch.len() / 2;
    ///     let rest = ack.acknowledge_through(half)?;
    ///     // The first record behind them, and all that follow it, once more, a second later.
    ///     rest.nack(Duration::from_secs(1));
    ///     Ok(())
    /// }
    /// ```
    pub fn acknowledge_through(mut self, index: usize) -> Result<Self, NotInBatch> {
        let Some(target) = &mut self.target else { return Ok(self) };
        if index >= target.len() {
            return Err(NotInBatch { index, len: target.len() });
        }
        target.acknowledge_through(index);
        target.from += index + 1;
        if target.len() == 0 {
            self.target = None;
        }
        Ok(self)
    }

    /// Says that the records of a batch before this one are done, and that this one and all behind it are not: those are
    /// delivered again after `delay`, as with [`nack`](Self::nack). Where the batch has no such record, this is an error,
    /// and as if the `Ack` had been dropped.
    ///
    /// ```
    /// use kafka_boot::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[kafka_listener(topic = "orders", group = "etl", ack_mode = "manual")]
    /// async fn load(batch: Batch<String>, ack: Ack) -> Result<()> {
    ///     match batch.iter().position(|record| record.value().is_empty()) {
    ///         Some(index) => ack.nack_from(index, Duration::from_secs(5))?,
    ///         None => ack.acknowledge(),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn nack_from(mut self, index: usize, delay: Duration) -> Result<(), NotInBatch> {
        let Some(target) = &self.target else { return Ok(()) };
        if index >= target.len() {
            return Err(NotInBatch { index, len: target.len() });
        }
        if let Some(before) = index.checked_sub(1) {
            target.acknowledge_through(before);
        }
        target.nack(index, delay);
        self.target = None;
        Ok(())
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            target.control.answer(Answer::Dropped { first: target.offset(0), last: target.last() });
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.target).finish()
    }
}

/// An index that the batch of an [`Ack`] does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInBatch {
    index: usize,
    len: usize,
}

impl fmt::Display for NotInBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, len } = self;
        write!(f, "the `Ack` has {len} records left and none at index {index}; indexes are from 0")
    }
}

impl std::error::Error for NotInBatch {}
