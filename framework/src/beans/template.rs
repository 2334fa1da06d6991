//! `KafkaTemplate`: sending records.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use kafka_boot_client::{ClientError, Delivered, Delivery, Producer, SendError as ClientSendError};
use metrics::{Counter, counter, gauge};
use tracing::error;

use crate::error::HandlerError;
use crate::observe::names;
use crate::record::Headers;

/// A record to send: topic, value, and what else is wanted.
///
/// ```
/// use kafka_boot::ProducerRecord;
///
/// let record = ProducerRecord::new("orders", "3 apples").key("customer-7").header("trace", "1").partition(2);
/// assert_eq!(record.topic(), "orders");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ProducerRecord {
    topic: String,
    partition: Option<i32>,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Headers,
    timestamp_ms: Option<i64>,
}

impl ProducerRecord {
    /// A record without a key: the producer spreads such records over the partitions.
    pub fn new(topic: impl Into<String>, value: impl IntoValue) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: value.into_value(),
            headers: Headers::new(),
            timestamp_ms: None,
        }
    }

    /// A tombstone: a null value, which deletes the key from a compacted topic.
    pub fn tombstone(topic: impl Into<String>, key: impl IntoValue) -> Self {
        Self::new(topic, None::<&str>).key(key)
    }

    /// Sets the key: records of one key go to one partition, the same that Java's producer picks.
    #[must_use]
    pub fn key(mut self, key: impl IntoValue) -> Self {
        self.key = key.into_value();
        self
    }

    /// Sets the partition, whatever the key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, Some(value.as_ref()));
        self
    }

    /// Sets the creation time, in milliseconds since 1970; else it is the time of sending.
    #[must_use]
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key's bytes.
    pub fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The value's bytes.
    pub fn value_bytes(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for ProducerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: &Option<Bytes>| bytes.as_ref().map(Bytes::len);
        f.debug_struct("ProducerRecord")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("key_bytes", &size(&self.key))
            .field("value_bytes", &size(&self.value))
            .finish_non_exhaustive()
    }
}
