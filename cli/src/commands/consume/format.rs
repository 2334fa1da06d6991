//! How a record is written.

use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use kafka_boot_client::{RawRecord, Timestamp};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::hex;
use super::template::Template;

#[derive(Debug)]
pub(super) enum Format {
    /// The value, behind the key if there is a separator for it.
    Text {
        key_separator: Option<Vec<u8>>,
        /// On a terminal, which control characters could confuse.
        is_shown: bool,
    },
    Template {
        template: Template,
        is_shown: bool,
    },
    Json,
    Hex,
}

impl Format {
    /// Appends the record, as a line or more. Writing into memory cannot fail.
    pub(super) fn write(&self, record: &RawRecord, into: &mut Vec<u8>) {
        match self {
            Self::Text { key_separator, is_shown } => {
                if let Some(separator) = key_separator {
                    text(record.key(), *is_shown, into);
                    into.extend_from_slice(separator);
                }
                text(record.payload(), *is_shown, into);
                into.push(b'\n');
            }
            Self::Template { template, is_shown } => {
                template.write(record, *is_shown, into);
                into.push(b'\n');
            }
            Self::Json => {
                let _ = serde_json::to_writer(&mut *into, &Object(record));
                into.push(b'\n');
            }
            Self::Hex => hex::write(record, into),
        }
    }
}

/// Bytes as they are, or for eyes; what is not there is `null`.
pub(super) fn text(bytes: Option<&[u8]>, is_shown: bool, into: &mut Vec<u8>) {
    match bytes {
        None => into.extend_from_slice(b"null"),
        Some(bytes) if !is_shown => into.extend_from_slice(bytes),
        Some(bytes) => shown(bytes, into),
    }
}

/// Line ends and tabs stay, other control characters and what is no UTF-8 become their escapes.
fn shown(bytes: &[u8], into: &mut Vec<u8>) {
    /// The longest text that is shown whole.
    const PIECE_BYTES: usize = 1000;
    for line in bytes.split_inclusive(|byte| *byte == b'\n' || *byte == b'\t') {
        let (line, end) = match line.split_last() {
            Some((end @ (b'\n' | b'\t'), line)) => (line, Some(*end)),
            _ => (line, None),
        };
        for chunk in line.utf8_chunks() {
            let mut rest = chunk.valid();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
                let _ = write!(into, "{}", kafka_boot::escaped(piece.as_bytes()));
                rest = behind;
            }
            let _ = write!(into, "{}", kafka_boot::escaped(chunk.invalid()));
        }
        into.extend(end);
    }
}

/// ISO 8601 in UTC, or `-` for none.
pub(super) fn time(timestamp: Timestamp, into: &mut Vec<u8>) {
    let time = timestamp.millis().and_then(DateTime::from_timestamp_millis);
    let _ = match time {
        Some(time) => write!(into, "{}", time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => write!(into, "-"),
    };
}

/// A record as an object, which `produce` takes.
struct Object<'a>(&'a RawRecord);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let kind = match record.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(_) => Some("CreateTime"),
            Timestamp::LogAppendTime(_) => Some("LogAppendTime"),
        };
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("topic", record.topic())?;
        object.serialize_entry("partition", &record.partition())?;
        object.serialize_entry("offset", &record.offset())?;
        object.serialize_entry("timestamp", &record.timestamp().millis())?;
        object.serialize_entry("timestampType", &kind)?;
        entry(&mut object, "key", "keyBase64", record.key())?;
        entry(&mut object, "value", "valueBase64", record.payload())?;
        object.serialize_entry("headers", &Headers(record))?;
        object.end()
    }
}

/// Bytes as text, or as base64 under a name of its own where they are none.
fn entry<M: SerializeMap>(
    object: &mut M,
    name: &'static str,
    base64: &'static str,
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => object.serialize_entry(name, &()),
        Some((_, Ok(text))) => object.serialize_entry(name, text),
        Some((bytes, Err(_))) => object.serialize_entry(base64, &Base64(bytes)),
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

struct Headers<'a>(&'a RawRecord);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (name, value) in self.0.headers() {
            list.serialize_element(&Header(name, value))?;
        }
        list.end()
    }
}

struct Header<'a>(&'a str, Option<&'a [u8]>);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("name", self.0)?;
        entry(&mut object, "value", "valueBase64", self.1)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters_but_line_ends_and_tabs() {
        let mut into = Vec::new();
        text(Some(b"a\tb\n\x1b[2J\xff\xc3\xa9"), true, &mut into);
        assert_eq!(String::from_utf8(into).expect("escaped"), "a\tb\n\\u{1b}[2J\\xff\u{e9}");
        let mut into = Vec::new();
        text(Some("ä".repeat(3000).as_bytes()), true, &mut into);
        assert_eq!(String::from_utf8(into).expect("whole"), "ä".repeat(3000));
        let mut into = Vec::new();
        text(None, false, &mut into);
        text(Some(b"\x1b\xff"), false, &mut into);
        assert_eq!(into, b"null\x1b\xff");
    }
}
