//! One dead letter, as it is read back.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use kafka_boot_client::ProducerRecord;

use crate::policy::headers::{DEAD_LETTER, Names, RETRY_TOPIC};
use crate::record::{Headers, Record, escaped};

/// How the headers begin that a framework put there: Spring's, and these of replays.
const FRAMEWORK_HEADERS: [&str; 5] =
    ["kafka_dlt-", "kafka_original-", "kafka_exception-", "kafka_key-exception-", "retry_topic-"];
/// Spring's, where a value could not be read.
const SPRING_EXCEPTIONS: &str = "springDeserializerException";
/// Where a replayed record was: `orders-dlt-0@12`.
pub(super) const REPLAYED_FROM: &str = "kafka_boot-replayed-from";
/// When, in milliseconds since 1970, as text.
pub(super) const REPLAYED_AT: &str = "kafka_boot-replayed-at";

/// A record that nobody could handle, in its dead-letter topic.
///
/// Its `Display` is a line: `orders-dlt-0@12 (key `k`) from orders-0@345: shop::ValidationError: no lines`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The dead-letter topic.
    pub topic: String,
    /// Its partition, from 0.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// When it was written.
    pub time: SystemTime,
    /// The key of the record.
    pub key: Option<Bytes>,
    /// The value of the record.
    pub value: Option<Bytes>,
    /// The headers that the record had itself.
    pub headers: Headers,
    /// Where the record was read from; `None` where nobody says.
    pub origin: Option<Origin>,
    /// What went wrong; `None` where nobody says.
    pub failure: Option<LetterFailure>,
    /// Whether it has been replayed or discarded.
    pub is_done: bool,
}

/// Where a dead letter's record was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's time.
    pub time: SystemTime,
    /// The consumer group that could not handle it; empty where nobody says.
    pub group: String,
}

/// What a dead letter's record failed with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterFailure {
    /// The type of the error, or of the exception.
    pub type_name: String,
    /// Its text.
    pub message: String,
    /// Its causes, a line each, or a stack trace.
    pub trace: String,
}

impl DeadLetter {
    pub(super) fn of(record: &Record<Option<Bytes>>, is_done: bool) -> Self {
        let own = record.headers().filter(|(name, _)| !is_of_framework(name));
        Self {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            time: time(record.timestamp().millis().unwrap_or_default()),
            key: record.key().map(Bytes::copy_from_slice),
            value: record.value().clone(),
            headers: own.collect(),
            origin: origin(record, &DEAD_LETTER).or_else(|| origin(record, &RETRY_TOPIC)),
            failure: failure(record, &DEAD_LETTER).or_else(|| failure(record, &RETRY_TOPIC)),
            is_done,
        }
    }

    /// The record as it is sent again, to `topic`; its partition is left to the caller.
    pub(super) fn to_record(&self, topic: &str, now: SystemTime) -> ProducerRecord {
        let mut record = ProducerRecord::new(Arc::<str>::from(topic));
        record.key.clone_from(&self.key);
        record.payload.clone_from(&self.value);
        record.headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.map(Bytes::copy_from_slice)))
            .collect();
        let from = format!("{}-{}@{}", self.topic, self.partition, self.offset);
        record.headers.push((REPLAYED_FROM.to_owned(), Some(from.into())));
        record.headers.push((REPLAYED_AT.to_owned(), Some(millis(now).to_string().into())));
        record
    }
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)?;
        if let Some(key) = &self.key {
            write!(f, " (key `{}`)", escaped(key))?;
        }
        if let Some(Origin { topic, partition, offset, .. }) = &self.origin {
            write!(f, " from {topic}-{partition}@{offset}")?;
        }
        if let Some(failure) = &self.failure {
            write!(
                f,
                ": {}: {}",
                escaped(failure.type_name.as_bytes()),
                escaped(failure.message.as_bytes())
            )?;
        }
        Ok(())
    }
}

fn is_of_framework(name: &str) -> bool {
    FRAMEWORK_HEADERS.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with(SPRING_EXCEPTIONS)
}

fn origin(record: &Record<Option<Bytes>>, names: &Names) -> Option<Origin> {
    // Of several, the first is where it began.
    let first =
        |name: &str| record.headers().find(|(header, _)| *header == name).and_then(|(_, value)| value);
    let long = |name: &str| first(name).and_then(|value| value.try_into().ok()).map(i64::from_be_bytes);
    Some(Origin {
        topic: text(first(names.topic)?),
        partition: i32::from_be_bytes(first(names.partition)?.try_into().ok()?),
        offset: long(names.offset)?,
        time: time(long(names.timestamp).unwrap_or_default()),
        group: first(names.group).map(text).unwrap_or_default(),
    })
}

fn failure(record: &Record<Option<Bytes>>, names: &Names) -> Option<LetterFailure> {
    let last = |name: &str, of_key: &str| record.header(name).or_else(|| record.header(of_key)).map(text);
    // Spring wraps what a listener threw; the cause is what a reader looks for.
    let cause = record.header(names.cause).map(text);
    Some(LetterFailure {
        type_name: cause.or_else(|| last(names.error, names.key_error))?,
        message: last(names.message, names.key_message).unwrap_or_default(),
        trace: last(names.trace, names.key_trace).unwrap_or_default(),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn time(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn millis(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<Option<Bytes>> {
        let record = Record::of("orders-dlt", "v".to_owned()).with_offset(12).with_key("k\n");
        let record = record
            .with_header("trace", "7")
            .with_header(REPLAYED_FROM, "orders-dlt-0@3")
            .with_header("kafka_dlt-original-topic", "orders")
            .with_header("kafka_dlt-original-partition", 2i32.to_be_bytes())
            .with_header("kafka_dlt-original-offset", 345i64.to_be_bytes())
            .with_header("kafka_dlt-original-topic", "later")
            .with_header("kafka_dlt-exception-fqcn", "Wrapper")
            .with_header("kafka_dlt-exception-cause-fqcn", "shop::Invalid")
            .with_header("kafka_dlt-exception-message", "no lines");
        Record::of_bytes(&record)
    }

    #[test]
    fn a_letter_tells_where_it_comes_from_and_why() {
        let letter = DeadLetter::of(&record(), false);
        assert_eq!(
            letter.to_string(),
            "orders-dlt-0@12 (key `k\\n`) from orders-2@345: shop::Invalid: no lines"
        );
    }

    #[test]
    fn what_is_sent_again_is_the_record_with_a_note_of_where_it_was() {
        let letter = DeadLetter::of(&record(), false);
        let replayed = letter.to_record("orders", time(1_700_000_000_000));
        let headers: Vec<(&str, &[u8])> =
            replayed.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap())).collect();
        let expected: [(&str, &[u8]); 4] = [
            ("trace", b"7"),
            (REPLAYED_FROM, b"orders-dlt-0@3"),
            (REPLAYED_FROM, b"orders-dlt-0@12"),
            (REPLAYED_AT, b"1700000000000"),
        ];
        assert_eq!(headers, expected);
        assert_eq!(
            (replayed.key.as_deref(), replayed.payload.as_deref()),
            (Some(&b"k\n"[..]), Some(&b"v"[..]))
        );
    }
}
