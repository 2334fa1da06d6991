//! `Ack`: manual acknowledgement.

use std::fmt;
use std::sync::Arc;

use crate::error::ExtractError;
use crate::listener::Settlements;
use crate::record::{BatchView, RecordView};

/// The handle with which a handler says that its record, or its whole batch, is done.
///
/// An argument of listeners whose ack mode is `manual` or `manual-immediate`. It may be kept beyond the handler and
/// used from any thread, in any order; offsets are committed only up to the first record not yet acknowledged. An
/// `Ack` that is dropped unused leaves its record undone: it is delivered again after the next restart or rebalance.
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

/// What an [`Ack`] settles.
#[derive(Clone)]
pub(crate) struct AckTarget {
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) slot: u32,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
}

impl fmt::Debug for AckTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckTarget({}..={})", self.first_offset, self.last_offset)
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
    pub fn acknowledge(self) {
        if let Some(target) = &self.target {
            target.settlements.acknowledge(target.slot, target.first_offset, target.last_offset);
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.target).finish()
    }
}
