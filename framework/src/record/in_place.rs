//! Payloads that are read where they lie, in the client's own memory, instead of being copied.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::chunk::{Chunk, Made, Stored};
use super::payload::{FromPayload, PayloadError};
use super::view::RecordView;

/// The payload as text, where it lies: checked to be UTF-8, and not copied. As `Record<Text>` or `Payload<Text>` it costs
/// no allocation. It keeps the records that were fetched with it in memory for as long as it lives.
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::Text;
///
/// #[kafka_listener(topic = "lines", group = "count")]
/// async fn count(line: Payload<Text>) {
///     info!(words = line.split_whitespace().count(), "a line");
/// }
/// ```
#[derive(Clone)]
pub struct Text(Raw);

/// The payload's bytes, where they lie, not copied; see [`Text`].
#[derive(Clone)]
pub struct Raw {
    chunk: Arc<Chunk>,
    index: usize,
}

impl Raw {
    fn of(record: &RecordView<'_>) -> Result<Self, PayloadError> {
        record.payload().ok_or_else(PayloadError::tombstone)?;
        Ok(Self { chunk: Arc::clone(record.chunk), index: record.index })
    }

    fn of_bytes(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        let payload = Some(bytes.ok_or_else(PayloadError::tombstone)?.to_vec());
        let records = vec![Stored::Made(Box::new(Made { payload, ..Made::default() }))];
        Ok(Self { chunk: Arc::new(Chunk { topic: "".into(), partition: 0, records, bytes: 0 }), index: 0 })
    }
}

impl Text {
    fn checked(raw: Raw) -> Result<Self, PayloadError> {
        std::str::from_utf8(&raw).map_err(|error| PayloadError::new("not UTF-8").with_source(error))?;
        Ok(Self(raw))
    }
}

impl FromPayload for Raw {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        Self::of_bytes(bytes)
    }

    fn from_record(record: &RecordView<'_>) -> Result<Self, PayloadError> {
        Self::of(record)
    }
}

impl FromPayload for Text {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        Self::checked(Raw::of_bytes(bytes)?)
    }

    fn from_record(record: &RecordView<'_>) -> Result<Self, PayloadError> {
        Self::checked(Raw::of(record)?)
    }
}

impl Deref for Raw {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.chunk.records[self.index].payload().unwrap_or_default()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        // Checked when it was made, and nothing changes it: this costs a second look and needs no `unsafe`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Raw {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn text_is_read_where_it_lies_and_must_be_utf_8() {
        let record = Record::of("t", "grün".to_owned());
        let text: Text = record.decode().expect("it is text");
        assert_eq!(&*text, "grün");
        assert_eq!(text.as_ptr(), record.payload().expect("it has a payload").as_ptr());
        let error = Record::of("t", vec![0xff]).decode::<Text>().expect_err("it is none");
        assert!(error.to_string().starts_with("not UTF-8"), "{error}");
        assert_eq!(&*Text::from_payload(Some(b"key")).expect("it is text"), "key");
        assert!(Text::from_payload(None).is_err() && Raw::from_payload(None).is_err());
        assert_eq!(Option::<Raw>::from_payload(None).expect("a tombstone is none").as_deref(), None);
    }
}
