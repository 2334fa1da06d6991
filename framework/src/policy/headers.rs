//! The headers by which Spring Kafka and kafka-boot know of a failure, in Spring's names and encodings.

use bytes::Bytes;
use kafka_boot_client::ProducerRecord;

use crate::record::{Stored, Timestamp};

/// The names of one family of headers.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) topic: &'static str,
    pub(crate) partition: &'static str,
    pub(crate) offset: &'static str,
    pub(crate) timestamp: &'static str,
    pub(crate) timestamp_type: &'static str,
    pub(crate) group: &'static str,
    pub(crate) error: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) message: &'static str,
    pub(crate) trace: &'static str,
    pub(crate) key_error: &'static str,
    pub(crate) key_message: &'static str,
    pub(crate) key_trace: &'static str,
}

/// Those of a dead letter.
pub(crate) static DEAD_LETTER: Names = Names {
    topic: "kafka_dlt-original-topic",
    partition: "kafka_dlt-original-partition",
    offset: "kafka_dlt-original-offset",
    timestamp: "kafka_dlt-original-timestamp",
    timestamp_type: "kafka_dlt-original-timestamp-type",
    group: "kafka_dlt-original-consumer-group",
    error: "kafka_dlt-exception-fqcn",
    cause: "kafka_dlt-exception-cause-fqcn",
    message: "kafka_dlt-exception-message",
    trace: "kafka_dlt-exception-stacktrace",
    key_error: "kafka_dlt-key-exception-fqcn",
    key_message: "kafka_dlt-key-exception-message",
    key_trace: "kafka_dlt-key-exception-stacktrace",
};

/// Those of a record in a retry topic, and of a dead letter behind some.
pub(crate) static RETRY_TOPIC: Names = Names {
    topic: "kafka_original-topic",
    partition: "kafka_original-partition",
    offset: "kafka_original-offset",
    timestamp: "kafka_original-timestamp",
    timestamp_type: "kafka_original-timestamp-type",
    group: "kafka_dlt-original-consumer-group",
    error: "kafka_exception-fqcn",
    cause: "kafka_exception-cause-fqcn",
    message: "kafka_exception-message",
    trace: "kafka_exception-stacktrace",
    key_error: "kafka_key-exception-fqcn",
    key_message: "kafka_key-exception-message",
    key_trace: "kafka_key-exception-stacktrace",
};

/// Puts a header in the place of all others of its name.
pub(crate) fn replace(record: &mut ProducerRecord, name: &str, value: impl Into<Bytes>) {
    record.headers.retain(|(other, _)| other != name);
    append(record, name, value);
}

/// Puts a header behind all others.
pub(crate) fn append(record: &mut ProducerRecord, name: &str, value: impl Into<Bytes>) {
    record.headers.push((name.to_owned(), Some(value.into())));
}

/// Four bytes, the highest first, as Java's `ByteBuffer` writes an `int`.
pub(crate) fn int(number: i32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Eight bytes, the highest first, as Java's `ByteBuffer` writes a `long`.
pub(crate) fn long(number: i64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// What Kafka's Java client calls the type of a timestamp.
pub(crate) fn timestamp_type(timestamp: Timestamp) -> &'static str {
    match timestamp {
        Timestamp::NotAvailable => "NoTimestampType",
        Timestamp::CreateTime(_) => "CreateTime",
        Timestamp::LogAppendTime(_) => "LogAppendTime",
    }
}

/// A timestamp as Kafka's Java client has it: -1 where there is none.
pub(crate) fn millis(timestamp: Timestamp) -> i64 {
    timestamp.millis().unwrap_or(-1)
}

/// Where a record was read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) group: &'a str,
}

impl Origin<'_> {
    /// Says it behind all that was said before.
    pub(crate) fn append_to(&self, record: &mut ProducerRecord, names: &Names, stored: &Stored) {
        for (name, value) in self.headers(names, stored) {
            append(record, name, value);
        }
    }

    /// Says it as far as nobody said it before.
    pub(crate) fn add_missing_to(&self, record: &mut ProducerRecord, names: &Names, stored: &Stored) {
        for (name, value) in self.headers(names, stored) {
            if record.headers.iter().all(|(other, _)| other != name) {
                append(record, name, value);
            }
        }
    }

    fn headers(&self, names: &Names, stored: &Stored) -> [(&'static str, Bytes); 6] {
        let timestamp = stored.timestamp();
        [
            (names.topic, self.topic.to_owned().into()),
            (names.partition, int(self.partition)),
            (names.offset, long(stored.offset())),
            (names.timestamp, long(millis(timestamp))),
            (names.timestamp_type, timestamp_type(timestamp).into()),
            (names.group, self.group.to_owned().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        assert_eq!(int(3).as_ref(), [0, 0, 0, 3]);
        assert_eq!(int(-1).as_ref(), [255; 4]);
        assert_eq!(long(1_589_000_000_000).as_ref(), [0, 0, 1, 0x71, 0xf7, 0xc7, 0xd2, 0]);
    }

    #[test]
    fn a_replaced_header_is_the_only_one_of_its_name_and_the_last_of_all() {
        let mut record = ProducerRecord::new("t").header("a", "1").header("b", "2").header("a", "3");
        replace(&mut record, "a", "4");
        let names: Vec<_> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(names, [("b", Some(Bytes::from("2"))), ("a", Some(Bytes::from("4")))]);
    }
}
