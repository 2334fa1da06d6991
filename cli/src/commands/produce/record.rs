//! From a line to a record.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::ValueEnum;
use kafka_boot_client::ProducerRecord;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A value, or a key and a value
    Text,
    /// A JSON object with `value`, `key`, `headers`, `partition`, `timestamp`
    Json,
}

/// What all records have in common.
pub(super) struct Shape {
    pub(super) topic: Arc<str>,
    pub(super) form: Form,
    pub(super) separator: Option<Vec<u8>>,
    pub(super) key: Option<Bytes>,
    pub(super) headers: Vec<(String, Option<Bytes>)>,
    pub(super) null_marker: Option<Bytes>,
    pub(super) partition: Option<i32>,
    pub(super) repartition: bool,
    /// How many the topic has.
    pub(super) partitions: i32,
    /// The time of records that have none of their own, in milliseconds since the Unix epoch; else when they are sent.
    pub(super) read_at: Option<i64>,
}

/// Why a line is no record.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: String,
}

impl Fault {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Shape {
    pub(super) fn record(&self, line: &Bytes) -> Result<ProducerRecord, Fault> {
        let mut record = ProducerRecord::new(Arc::clone(&self.topic));
        record.key.clone_from(&self.key);
        record.partition = self.partition;
        record.timestamp = self.read_at;
        record.headers.clone_from(&self.headers);
        match self.form {
            Form::Text => self.text(line, &mut record)?,
            Form::Json => self.json(line, &mut record)?,
        }
        if record.payload.is_some() && record.payload == self.null_marker {
            record.payload = None;
        }
        Ok(record)
    }

    fn text(&self, line: &Bytes, record: &mut ProducerRecord) -> Result<(), Fault> {
        let Some(separator) = &self.separator else {
            record.payload = Some(line.clone());
            return Ok(());
        };
        let Some(at) = memchr::memmem::find(line, separator) else {
            let shown = kafka_boot::escaped(separator);
            return Err(Fault::new(
                format!("there is no `{shown}` between a key and a value"),
                "leave `--key-separator` out for lines that are only values",
            ));
        };
        record.key = Some(line.slice(..at));
        record.payload = Some(line.slice(at + separator.len()..));
        Ok(())
    }

    fn json(&self, line: &Bytes, record: &mut ProducerRecord) -> Result<(), Fault> {
        let object: Object<'_> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
        if let Some(key) = either("key", object.key, object.key_base64)? {
            record.key = Some(key);
        }
        record.payload = either("value", object.value, object.value_base64)?;
        for header in object.headers.unwrap_or_default().0 {
            record.headers.push((header.name, either("value", header.value, header.value_base64)?));
        }
        record.timestamp = object.timestamp.or(record.timestamp);
        if let Some(partition) = object.partition.filter(|_| !self.repartition && self.partition.is_none()) {
            if !(0..self.partitions).contains(&partition) {
                let (topic, count) = (&self.topic, self.partitions);
                return Err(Fault::new(
                    format!("`{topic}` has no partition {partition}: it has {count}, counted from 0"),
                    "`--repartition` leaves the partitions to the keys",
                ));
            }
            record.partition = Some(partition);
        }
        Ok(())
    }
}

const OBJECT: &str =
    r#"write an object such as {"key": "k", "value": "v", "headers": {"name": "value"}, "partition": 0}"#;

/// A record as JSON. A text stands for its characters, `null` for nothing, anything else for its own JSON. What only tells
/// where a record was read is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(default)]
    key_base64: Option<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    value_base64: Option<String>,
    #[serde(borrow, default)]
    headers: Option<Headers<'a>>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default, rename = "timestampType")]
    _timestamp_type: IgnoredAny,
    #[serde(default, rename = "topic")]
    _topic: IgnoredAny,
    #[serde(default, rename = "offset")]
    _offset: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Header<'a> {
    name: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    value_base64: Option<String>,
}

/// Headers as an object of names and values, or as a list, in which a name may occur twice.
#[derive(Default)]
struct Headers<'a>(Vec<Header<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "headers as an object of names and values, or as a list of objects with `name` and `value`",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers<'de>, A::Error> {
        let mut headers = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Option<&'de RawValue>>()? {
            headers.push(Header { name, value, value_base64: None });
        }
        Ok(Headers(headers))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers<'de>, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = list.next_element()? {
            headers.push(header);
        }
        Ok(Headers(headers))
    }
}

/// What is wrong, with its column; the line is the caller's.
fn not_json(error: &serde_json::Error) -> Fault {
    let told = error.to_string();
    let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
    Fault::new(format!("column {}: {reason}", error.column()), OBJECT)
}

/// The bytes that are given in one of two ways.
fn either(name: &str, value: Option<&RawValue>, base64: Option<String>) -> Result<Option<Bytes>, Fault> {
    match (value, base64) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::new(format!("both `{name}` and `{name}Base64` are given"), OBJECT)),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| {
                Fault::new(format!("`{name}Base64`: {error}"), "write base64 with padding, or use plain text")
            })?;
            Ok(Some(Bytes::from(bytes)))
        }
        (Some(value), None) => {
            let written = value.get();
            if !written.starts_with('"') {
                return Ok(Some(Bytes::copy_from_slice(written.as_bytes())));
            }
            let text: String = serde_json::from_str(written).map_err(|error| not_json(&error))?;
            Ok(Some(Bytes::from(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(form: Form) -> Shape {
        Shape {
            topic: Arc::from("orders"),
            form,
            separator: None,
            key: None,
            headers: vec![("source".to_owned(), Some(Bytes::from_static(b"shell")))],
            null_marker: Some(Bytes::from_static(b"NULL")),
            partition: None,
            repartition: false,
            partitions: 3,
            read_at: None,
        }
    }

    fn fault(shape: &Shape, line: &'static str) -> String {
        shape.record(&Bytes::from_static(line.as_bytes())).expect_err(line).message
    }

    #[test]
    fn a_line_is_a_value_or_a_key_and_a_value() {
        let mut shape = shape(Form::Text);
        let record = shape.record(&Bytes::from_static(b"a:b")).expect("any line is a value");
        assert_eq!((record.key.as_deref(), record.payload.as_deref()), (None, Some(&b"a:b"[..])));
        assert_eq!(record.headers[0].0, "source");
        shape.separator = Some(b":".to_vec());
        let record = shape.record(&Bytes::from_static(b"a:b:c")).expect("it has a separator");
        assert_eq!((record.key.as_deref(), record.payload.as_deref()), (Some(&b"a"[..]), Some(&b"b:c"[..])));
        let record = shape.record(&Bytes::from_static(b"a:NULL")).expect("it has a separator");
        assert_eq!(record.payload, None);
        assert_eq!(fault(&shape, "abc"), "there is no `:` between a key and a value");
    }

    #[test]
    fn an_object_says_all_there_is_to_say() {
        let line =
            br#"{"topic":"old","offset":7,"timestampType":"CreateTime","key":"k\u00e9","value":{"a": 1},
            "headers":[{"name":"h","value":"1"},{"name":"h","value":null},{"name":"b","valueBase64":"/w=="}],
            "partition":2,"timestamp":1500}"#;
        let record = shape(Form::Json).record(&Bytes::from_static(line)).expect("it is an object");
        assert_eq!(record.key.as_deref(), Some("ké".as_bytes()));
        assert_eq!(record.payload.as_deref(), Some(&b"{\"a\": 1}"[..]));
        let headers: Vec<_> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected: [(&str, Option<&[u8]>); 4] =
            [("source", Some(b"shell")), ("h", Some(b"1")), ("h", None), ("b", Some(b"\xff"))];
        assert_eq!(headers, expected);
        assert_eq!((record.partition, record.timestamp), (Some(2), Some(1500)));
    }

    #[test]
    fn an_object_that_makes_no_sense_is_told() {
        let shape = shape(Form::Json);
        for (line, message) in [
            ("hello", "expected value"),
            (r#"{"val": 1}"#, "unknown field `val`"),
            (r#"{"value": 1, "valueBase64": "AA=="}"#, "both `value` and `valueBase64`"),
            (r#"{"valueBase64": "="}"#, "`valueBase64`: "),
            (r#"{"value": 1, "partition": 3}"#, "`orders` has no partition 3"),
            (r#"{"value": 1, "headers": 4}"#, "expected headers"),
        ] {
            let told = fault(&shape, line);
            assert!(told.contains(message), "{line}: {told}");
        }
    }
}
