//! `Record<T>`: a record with its decoded value, and `RecordMeta`: where it came from.

use std::fmt;
use std::sync::Arc;

use super::Timestamp;
use super::chunk::{Chunk, Made, Stored};
use super::escape::escaped;
use super::headers::write_headers;
use super::payload::{FromPayload, PayloadError};
use super::view::{Delivery, RecordView};

/// A consumed record with its decoded value.
///
/// The bytes are librdkafka's own: key, headers and payload are read in place and freed with the record. Its
/// `Display` is the line that Kafka's Java client prints of a `ConsumerRecord`, with control characters escaped.
///
/// ```
/// use kafka_boot::Record;
///
/// let record = Record::of("test", "hello".to_owned()).with_key("k").with_offset(7);
/// assert_eq!(record.value(), "hello");
/// assert_eq!(record.offset(), 7);
/// ```
#[derive(Clone)]
pub struct Record<T = String> {
    chunk: Arc<Chunk>,
    index: usize,
    delivery: Delivery,
    value: T,
}

impl<T> Record<T> {
    pub(crate) fn from_view(view: &RecordView<'_>, value: T) -> Self {
        Self { chunk: Arc::clone(view.chunk), index: view.index, delivery: *view.delivery, value }
    }

    fn view(&self) -> RecordView<'_> {
        RecordView::new(&self.chunk, self.index, &self.delivery, None)
    }

    /// The decoded value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The decoded value, by value.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.chunk.topic
    }

    /// The partition, from 0.
    pub fn partition(&self) -> i32 {
        self.chunk.partition
    }

    /// The offset in the partition, from 0.
    pub fn offset(&self) -> i64 {
        self.view().offset()
    }

    /// The key's bytes; `None` is a record without a key.
    pub fn key(&self) -> Option<&[u8]> {
        self.view().key()
    }

    /// The key as text; `None` also if it is not UTF-8.
    pub fn key_str(&self) -> Option<&str> {
        self.key().and_then(|key| std::str::from_utf8(key).ok())
    }

    /// The payload's bytes, as they were sent; `None` is a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        self.view().payload()
    }

    /// The payload as text; `None` also for a tombstone, and if it is not UTF-8.
    pub fn payload_str(&self) -> Option<&str> {
        self.payload().and_then(|payload| std::str::from_utf8(payload).ok())
    }

    /// Decodes the payload once more, into another type.
    ///
    /// ```
    /// use kafka_boot::{Json, Record};
    ///
    /// let record = Record::of("orders", "[1, 2]".to_owned());
    /// let Json(lines) = record.decode::<Json<Vec<u64>>>()?;
    /// assert_eq!(lines, [1, 2]);
    /// # Ok::<(), kafka_boot::PayloadError>(())
    /// ```
    ///
    /// # Errors
    /// The bytes are not such a value.
    pub fn decode<U: FromPayload>(&self) -> Result<U, PayloadError> {
        U::from_record(&self.view())
    }

    /// The record's timestamp and who set it.
    pub fn timestamp(&self) -> Timestamp {
        self.view().timestamp()
    }

    /// The leader epoch of the batch that held the record, where the broker tells it.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.view().leader_epoch()
    }

    /// The headers, in the record's order; a name may repeat.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.view().headers()
    }

    /// The value of the last header of this name; `None` if there is none or its value is null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.view().header(name)
    }

    /// Which attempt at this record this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.number()
    }

    /// Where the record came from, without its value.
    pub fn meta(&self) -> RecordMeta {
        RecordMeta::from_view(&self.view())
    }
}

/// Making records by hand, to call a handler in a unit test.
impl<T: AsRef<[u8]>> Record<T> {
    /// A record of partition 0 and offset 0, without key and headers, whose payload is the value's bytes.
    pub fn of(topic: &str, value: T) -> Self {
        let made = Made { payload: Some(value.as_ref().to_vec()), ..Made::default() };
        let chunk = Chunk {
            topic: topic.into(),
            partition: 0,
            records: vec![Stored::Made(Box::new(made))],
            bytes: 0,
        };
        Self { chunk: Arc::new(chunk), index: 0, delivery: Delivery::FIRST, value }
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(self, key: impl AsRef<[u8]>) -> Self {
        self.remade(|_, made| made.key = Some(key.as_ref().to_vec()))
    }

    /// Sets the offset.
    #[must_use]
    pub fn with_offset(self, offset: i64) -> Self {
        self.remade(|_, made| made.offset = offset)
    }

    /// Sets the partition.
    #[must_use]
    pub fn with_partition(self, partition: i32) -> Self {
        self.remade(|chunk, _| chunk.partition = partition)
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.remade(|_, made| made.headers.push((name.to_owned(), Some(value.as_ref().to_vec()))))
    }

    /// Sets the creation time, in milliseconds since 1970.
    #[must_use]
    pub fn with_timestamp_ms(self, timestamp_ms: i64) -> Self {
        self.remade(|_, made| made.timestamp_ms = Some(timestamp_ms))
    }

    fn remade(self, change: impl FnOnce(&mut Chunk, &mut Made)) -> Self {
        let view = self.view();
        let mut made = Made {
            key: view.key().map(<[u8]>::to_vec),
            payload: view.payload().map(<[u8]>::to_vec),
            headers: view
                .headers()
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
            offset: view.offset(),
            timestamp_ms: view.timestamp().millis(),
        };
        let mut chunk = Chunk {
            topic: Arc::clone(&self.chunk.topic),
            partition: self.chunk.partition,
            records: Vec::new(),
            bytes: 0,
        };
        change(&mut chunk, &mut made);
        chunk.records.push(Stored::Made(Box::new(made)));
        Self { chunk: Arc::new(chunk), index: 0, delivery: self.delivery, value: self.value }
    }
}

#[cfg(test)]
impl Record<Option<bytes::Bytes>> {
    /// The same record, undecoded.
    pub(crate) fn of_bytes<T>(record: &Record<T>) -> Self {
        let value = record.payload().map(bytes::Bytes::copy_from_slice);
        Self { chunk: Arc::clone(&record.chunk), index: record.index, delivery: record.delivery, value }
    }
}

impl<T> fmt::Display for Record<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |f: &mut fmt::Formatter<'_>, bytes: Option<&[u8]>| match bytes {
            Some(bytes) => write!(f, "{}", escaped(bytes)),
            None => f.write_str("null"),
        };
        let size =
            |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        let (key, payload) = (self.key(), self.payload());
        write!(f, "Record({}", self.meta())?;
        write!(f, ", serialized key size = {}, serialized value size = {}", size(key), size(payload))?;
        f.write_str(", headers = ")?;
        write_headers(f, self.headers())?;
        f.write_str(", key = ")?;
        optional(f, key)?;
        f.write_str(", value = ")?;
        optional(f, payload)?;
        f.write_str(")")
    }
}

impl<T> fmt::Debug for Record<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record came from: topic, partition, offset, leader epoch and timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    leader_epoch: Option<i32>,
    timestamp: Timestamp,
}

impl RecordMeta {
    pub(crate) fn from_view(view: &RecordView<'_>) -> Self {
        Self {
            topic: Arc::clone(&view.chunk.topic),
            partition: view.partition(),
            offset: view.offset(),
            leader_epoch: view.leader_epoch(),
            timestamp: view.timestamp(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition, from 0.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset in the partition, from 0.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The leader epoch of the batch that held the record, where the broker tells it.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// The record's timestamp and who set it.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

impl fmt::Display for RecordMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "topic = {}, partition = {}, leaderEpoch = ",
            escaped(self.topic.as_bytes()),
            self.partition
        )?;
        match self.leader_epoch {
            Some(epoch) => write!(f, "{epoch}")?,
            None => f.write_str("null")?,
        }
        write!(f, ", offset = {}, ", self.offset)?;
        match self.timestamp {
            Timestamp::CreateTime(millis) => write!(f, "CreateTime = {millis}"),
            Timestamp::LogAppendTime(millis) => write!(f, "LogAppendTime = {millis}"),
            Timestamp::NotAvailable => f.write_str("NoTimestampType = -1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 21 of the seed: the log line of a record.
    #[test]
    fn a_record_displays_every_fact_that_the_java_client_prints_of_one() {
        let record = Record::of("test", "This is record 0".to_owned())
            .with_key("k\n1")
            .with_offset(3)
            .with_partition(2)
            .with_header("trace", "7")
            .with_timestamp_ms(1_589_000_000_000);
        assert_eq!(
            record.to_string(),
            "Record(topic = test, partition = 2, leaderEpoch = null, offset = 3, CreateTime = 1589000000000, \
             serialized key size = 3, serialized value size = 16, headers = [trace = 7], key = k\\n1, \
             value = This is record 0)"
        );
    }
}
