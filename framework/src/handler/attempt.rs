//! `Attempt`: which attempt at a record this is.

use std::fmt;
use std::ops::Deref;

/// Which attempt at this record, or batch, this is, from 1: an argument of listeners.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Payload<String>, attempt: Attempt) -> Result<()> {
///     if *attempt > 1 {
///         info!(order = %order.0, %attempt, "once more");
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

impl Deref for Attempt {
    type Target = u32;

    fn deref(&self) -> &u32 {
        &self.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
