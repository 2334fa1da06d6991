//! What comes in, as JSON in the topic `orders`, with the order's id as the key.

use serde::{Deserialize, Serialize};

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// The order's id, and the record's key.
    pub order: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A customer wants something.
    Placed {
        /// Who.
        customer: String,
        /// For how much.
        cents: i64,
    },
    /// It is paid for.
    Paid,
    /// Nobody wants it any more.
    Cancelled,
}
