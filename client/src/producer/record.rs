//! What goes into a producer, and what comes back.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{ClientError, ErrorKind};
use crate::record::Timestamp;

/// A record to be written. It owns its bytes, which are not copied until librdkafka builds a batch of them.
///
/// ```
/// use kafka_boot_client::ProducerRecord;
///
/// let record = ProducerRecord::new("orders").key("42").payload("{}").header("trace", "abc");
/// assert_eq!(record.headers.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerRecord {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number; `None` lets the configured partitioner choose.
    pub partition: Option<i32>,
    /// The key, if any.
    pub key: Option<Bytes>,
    /// The value; `None` writes a tombstone.
    pub payload: Option<Bytes>,
    /// The headers, in order; a name may occur more than once.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since the Unix epoch; `None` and 0 stand for now.
    pub timestamp: Option<i64>,
}

impl ProducerRecord {
    /// A tombstone for `topic`, without a key.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            payload: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// Sets the partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Sets the timestamp, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// The bytes of key, value and headers, which count towards
    /// [`max_in_flight_bytes`](crate::ProducerLimits::max_in_flight_bytes).
    pub fn size_bytes(&self) -> usize {
        let optional = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + optional(value)).sum();
        optional(&self.key) + optional(&self.payload) + headers
    }
}

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Delivered {
    /// The topic's name, the record's own.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The offset in the partition; negative when the broker does not tell, as with `acks=0`.
    pub offset: i64,
    /// The record's time, as the broker keeps it.
    pub timestamp: Timestamp,
}

/// A record that was not written, with the reason and the record itself.
pub struct SendError(Box<Failure>);

struct Failure {
    error: ClientError,
    possibly_written: bool,
    record: ProducerRecord,
}

impl SendError {
    pub(super) fn new(error: ClientError, record: ProducerRecord) -> Self {
        Self(Box::new(Failure { error, possibly_written: false, record }))
    }

    /// The failure of a record that was never given to a producer, for those who make theirs late.
    pub fn refused(error: ClientError, record: ProducerRecord) -> Self {
        Self::new(error, record)
    }

    pub(super) fn possibly_written(mut self, possibly: bool) -> Self {
        self.0.possibly_written = possibly;
        self
    }

    /// The reason.
    pub fn error(&self) -> &ClientError {
        &self.0.error
    }

    /// The reason, coarsely.
    pub fn kind(&self) -> &ErrorKind {
        self.0.error.kind()
    }

    /// Whether the record was sent and the answer is missing, so that it may be in the topic all the same.
    pub fn is_possibly_written(&self) -> bool {
        self.0.possibly_written
    }

    /// The record.
    pub fn record(&self) -> &ProducerRecord {
        &self.0.record
    }

    /// Gives the record back.
    pub fn into_record(self) -> ProducerRecord {
        self.0.record
    }

    /// Gives the reason and the record back.
    pub fn into_parts(self) -> (ClientError, ProducerRecord) {
        (self.0.error, self.0.record)
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("error", &self.0.error)
            .field("possibly_written", &self.0.possibly_written)
            .field("topic", &self.0.record.topic)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "send to `{}`: {}", self.0.record.topic, self.0.error)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.error)
    }
}

/// A flush that did not end within its deadline. What remains is still being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushError {
    /// How many records had no outcome yet.
    pub remaining: usize,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flush: {} records had no outcome within the deadline", self.remaining)
    }
}

impl Error for FlushError {}
