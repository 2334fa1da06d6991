//! How a payload or a key becomes a value.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::view::RecordView;
use crate::error::BoxError;

/// Why bytes could not be decoded.
#[derive(Debug)]
pub struct PayloadError {
    message: String,
    source: Option<BoxError>,
}

impl PayloadError {
    /// Makes an error of a message, for a codec of your own.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn tombstone() -> Self {
        Self::new("the value is null (a tombstone); take `Option<T>` to accept it")
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// A type that a payload or a key can be decoded into.
///
/// Implemented for `String`, `Vec<u8>`, `Bytes`, [`Text`](super::Text) and [`Raw`](super::Raw) (not copied), `()` (the bytes are ignored), [`Json<T>`] and `Option<T>` (a null
/// value, which is a tombstone, becomes `None`). `#[derive(FromPayload)]` makes an enum whose variant a header or the topic
/// chooses. Implement it for a codec of your own:
///
/// ```
/// use kafka_boot::{FromPayload, PayloadError};
///
/// struct Amount(i64);
///
/// impl FromPayload for Amount {
///     fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
///         let bytes = bytes.ok_or_else(|| PayloadError::new("an amount is never null"))?;
///         let bytes = bytes.try_into().map_err(|_| PayloadError::new("an amount has 8 bytes"))?;
///         Ok(Self(i64::from_be_bytes(bytes)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a payload or key cannot be decoded into `{Self}`",
    label = "not a payload type",
    note = "payload types are `String`, `Vec<u8>`, `Bytes`, `Json<T>` where `T: serde::Deserialize`, and `Option` of these",
    note = "for a codec of your own, implement `kafka_boot::FromPayload` for your type"
)]
pub trait FromPayload: Sized + Send + 'static {
    /// Decodes the bytes; `None` is a null value.
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError>;

    /// Decodes the value of a record. Implement it for a type that looks at the record's headers or topic as well; else
    /// it is [`from_payload`](Self::from_payload) of the record's payload. A key is decoded with that one.
    fn from_record(record: &RecordView<'_>) -> Result<Self, PayloadError> {
        Self::from_payload(record.payload())
    }
}

impl FromPayload for String {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        let bytes = bytes.ok_or_else(PayloadError::tombstone)?;
        let text =
            std::str::from_utf8(bytes).map_err(|error| PayloadError::new("not UTF-8").with_source(error))?;
        Ok(text.to_owned())
    }
}

impl FromPayload for Vec<u8> {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        bytes.map(<[u8]>::to_vec).ok_or_else(PayloadError::tombstone)
    }
}

impl FromPayload for Bytes {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        bytes.map(Bytes::copy_from_slice).ok_or_else(PayloadError::tombstone)
    }
}

impl FromPayload for () {
    fn from_payload(_: Option<&[u8]>) -> Result<Self, PayloadError> {
        Ok(())
    }
}

impl<T: FromPayload> FromPayload for Option<T> {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        bytes.map(|bytes| T::from_payload(Some(bytes))).transpose()
    }

    fn from_record(record: &RecordView<'_>) -> Result<Self, PayloadError> {
        record.payload().map(|_| T::from_record(record)).transpose()
    }
}

impl<T: DeserializeOwned + Send + 'static> FromPayload for Json<T> {
    fn from_payload(bytes: Option<&[u8]>) -> Result<Self, PayloadError> {
        let bytes = bytes.ok_or_else(PayloadError::tombstone)?;
        serde_json::from_slice(bytes)
            .map(Json)
            .map_err(|error| PayloadError::new("not the expected JSON").with_source(error))
    }
}

/// Why no variant of an enum stands for a record; `#[derive(FromPayload)]` calls it.
#[doc(hidden)]
pub fn unknown_variant(what: &str, value: Option<&str>, expected: &str) -> PayloadError {
    match value {
        Some(value) => {
            let value = super::escape::escaped(value.as_bytes());
            PayloadError::new(format!("{what} is `{value}`, expected one of {expected}"))
        }
        None => PayloadError::new(format!("{what} is missing or no text, expected one of {expected}")),
    }
}

/// Makes a tuple struct that is a transparent wrapper.
macro_rules! wrapper {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name<T>(pub T);

        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T: fmt::Display> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

wrapper! {
    /// The decoded payload, as an argument: `Payload<String>`, `Payload<Option<Bytes>>`, `Payload<Amount>`.
    Payload
}
wrapper! {
    /// A JSON document decoded by serde: an argument by itself, or the value of a `Record<Json<T>>`.
    Json
}
wrapper! {
    /// The decoded key, as an argument: `Key<String>`, or `Key<Option<String>>` where records may have none.
    Key
}
