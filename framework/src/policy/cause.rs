//! What a record's last attempt failed with, as its dead letter tells it.

use kafka_boot_client::ProducerRecord;

use super::Fault;
use super::headers::{self, Names};

/// The name of the type of a record that cannot be read.
const EXTRACT_TYPE: &str = "kafka_boot::ExtractError";
/// How much of a failure is told where a larger record was refused, in bytes.
const SLIM_BYTES: usize = 512;

/// A failure in texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The type of the error.
    pub(crate) type_name: String,
    /// The error's text and, if another, that of its first cause.
    pub(crate) message: String,
    /// The error and its causes, a line each.
    pub(crate) trace: String,
    /// Whether it is the key that cannot be read.
    pub(crate) is_key: bool,
}

impl Cause {
    pub(crate) fn of(fault: &Fault) -> Self {
        let (type_name, is_key) = match fault {
            Fault::Extract(error) => (EXTRACT_TYPE, error.is_key()),
            Fault::Handler(error) | Fault::Outage(error) => (error.type_name(), false),
            Fault::Interrupted => (EXTRACT_TYPE, false),
        };
        let texts: Vec<String> = match fault {
            Fault::Extract(error) => vec![error.to_string()],
            Fault::Handler(error) | Fault::Outage(error) => error.causes().map(ToString::to_string).collect(),
            Fault::Interrupted => vec![fault.to_string()],
        };
        let mut message = texts.first().cloned().unwrap_or_default();
        if let [_, .., root] = texts.as_slice() {
            message = format!("{message}; {root}");
        }
        let mut trace = type_name.to_owned();
        for (index, text) in texts.iter().enumerate() {
            trace.push_str(if index == 0 { ": " } else { "\nCaused by: " });
            trace.push_str(text);
        }
        Self { type_name: type_name.to_owned(), message, trace, is_key }
    }

    /// Says what went wrong, in at most `bytes_max` bytes of values. What an earlier failure said is gone.
    pub(crate) fn add_to(&self, record: &mut ProducerRecord, names: &Names, bytes_max: usize) {
        let part = bytes_max / 8;
        let (error, message, trace) = if self.is_key {
            (names.key_error, names.key_message, names.key_trace)
        } else {
            (names.error, names.message, names.trace)
        };
        headers::replace(record, error, cut(&self.type_name, part));
        headers::replace(record, names.cause, cut(&self.type_name, part));
        headers::replace(record, message, cut(&self.message, 2 * part));
        headers::replace(record, trace, cut(&self.trace, 4 * part));
    }

    /// Says what went wrong as shortly as it can be said.
    pub(crate) fn add_slim_to(&self, record: &mut ProducerRecord, names: &Names) {
        self.add_to(record, names, SLIM_BYTES);
    }
}

/// A text of at most `bytes_max` bytes: what is longer is cut, and says so.
fn cut(text: &str, bytes_max: usize) -> String {
    const NOTE_BYTES: usize = 24;
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(bytes_max.saturating_sub(NOTE_BYTES));
    format!("{}… (+{} bytes)", &text[..kept], text.len() - kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExtractError, HandlerError};

    fn values(record: &ProducerRecord) -> usize {
        record.headers.iter().map(|(_, value)| value.as_ref().map_or(0, bytes::Bytes::len)).sum()
    }

    #[test]
    fn an_error_is_told_with_its_type_its_first_cause_and_the_way_there() {
        let error = crate::handler::BatchError::at(0, std::io::Error::other("disk full"));
        let cause = Cause::of(&Fault::Handler(error.into()));
        assert_eq!(cause.type_name, "std::io::error::Error");
        assert_eq!(cause.message, "the record at index 0 of the batch failed; disk full");
        assert_eq!(
            cause.trace,
            "std::io::error::Error: the record at index 0 of the batch failed\nCaused by: disk full"
        );
        let cause = Cause::of(&Fault::Handler(HandlerError::msg("no")));
        assert_eq!((cause.message.as_str(), cause.trace.as_str()), ("no", "kafka_boot::HandlerError: no"));
    }

    #[test]
    fn what_is_said_of_a_failure_is_bounded_and_stays_text() {
        let cause = Cause::of(&Fault::Handler(HandlerError::msg("ü".repeat(100_000))));
        for bytes_max in [256, 8192, 65_536] {
            let mut record = ProducerRecord::new("t");
            cause.add_to(&mut record, &headers::DEAD_LETTER, bytes_max);
            assert!(values(&record) <= bytes_max, "{bytes_max}: {}", values(&record));
            for (name, value) in &record.headers {
                let text = std::str::from_utf8(value.as_ref().expect("a value")).expect("text");
                assert!(name.ends_with("fqcn") || text.ends_with(" bytes)"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_has_headers_of_its_own() {
        let error = ExtractError::new("Key<u64>", "not a number").of_key();
        let mut record = ProducerRecord::new("t");
        Cause::of(&Fault::Extract(error)).add_to(&mut record, &headers::DEAD_LETTER, 8192);
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "kafka_dlt-key-exception-fqcn",
                "kafka_dlt-exception-cause-fqcn",
                "kafka_dlt-key-exception-message",
                "kafka_dlt-key-exception-stacktrace"
            ]
        );
    }
}
