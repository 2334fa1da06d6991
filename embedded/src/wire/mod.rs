//! The bytes on the connection: frames in, frames out.
//!
//! The messages themselves are `kafka-protocol`'s. What it trusts and a broker may not — the lengths of arrays, which it
//! allocates before it has seen an element — is checked first, by [`shape`].

pub(crate) mod frame;
#[cfg(feature = "fuzz")]
pub(crate) mod generate;
mod outcome;
mod shape;
mod shapes;

pub(crate) use outcome::Outcome;

use std::sync::atomic::{AtomicI16, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

/// A request whose header is read and whose body is not.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: String,
    /// Whether anybody wants to know how it went.
    pub(crate) is_observed: bool,
    outcome: AtomicI16,
    body: Bytes,
}

/// Why a connection is closed rather than answered.
#[derive(Debug)]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl Request {
    /// Reads the header. A client that speaks an API of another world is told by a closed connection, as by Kafka.
    pub(crate) fn parse(mut frame: Bytes) -> Result<Self, Malformed> {
        let [key_high, key_low, version_high, version_low, ..] = frame[..] else {
            return Err(Malformed::new("a request ends within its header"));
        };
        let number = i16::from_be_bytes([key_high, key_low]);
        let version = i16::from_be_bytes([version_high, version_low]);
        let key = ApiKey::try_from(number).map_err(|()| Malformed(format!("unknown API `{number}`")))?;
        // A future version of ApiVersions is answered in version 0, whatever its header looks like.
        let header_version = key.request_header_version(version);
        let header = RequestHeader::decode(&mut frame, header_version).map_err(Malformed::new)?;
        let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
        Ok(Self {
            key,
            version,
            correlation_id: header.correlation_id,
            client_id,
            is_observed: false,
            outcome: AtomicI16::new(0),
            body: frame,
        })
    }

    /// The texts that the body begins with, without decoding it. `None` for one that is null, or not there.
    pub(crate) fn leading_texts<const N: usize>(&self) -> [Option<&str>; N] {
        let flexible = shape::is_flexible(self.key, self.version);
        let mut rest = &self.body[..];
        std::array::from_fn(|_| {
            let length = if flexible { compact_length(&mut rest)? } else { short_length(&mut rest)? };
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            std::str::from_utf8(text).ok()
        })
    }

    /// The first error code of the answer, or 0; known once a request that is observed has been answered.
    pub(crate) fn outcome(&self) -> i16 {
        self.outcome.load(Ordering::Relaxed)
    }

    /// A request for a test.
    #[cfg(test)]
    pub(crate) fn of(key: ApiKey, version: i16, body: Bytes) -> Self {
        let outcome = AtomicI16::new(0);
        Self { key, version, correlation_id: 0, client_id: String::new(), is_observed: false, outcome, body }
    }

    /// The body, checked before anything is allocated for it.
    pub(crate) fn decode<T: Decodable>(&self) -> Result<T, Malformed> {
        shape::check(self.key, self.version, &self.body)
            .map_err(|what| Malformed(format!("{:?} version {}: {what}", self.key, self.version)))?;
        T::decode(&mut self.body.clone(), self.version).map_err(Malformed::new)
    }

    /// The answer as a whole frame, length prefix included.
    pub(crate) fn answer<T>(&self, response: &T) -> Result<BytesMut, Malformed>
    where
        T: Message + Encodable + HeaderVersion + Outcome,
    {
        self.answer_in(self.version, response)
    }

    /// The same in another version than was asked in.
    pub(crate) fn answer_in<T>(&self, version: i16, response: &T) -> Result<BytesMut, Malformed>
    where
        T: Message + Encodable + HeaderVersion + Outcome,
    {
        if self.is_observed {
            self.outcome.store(response.outcome(), Ordering::Relaxed);
        }
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let header_version = T::header_version(version);
        let length = header.compute_size(header_version).map_err(Malformed::new)?
            + response.compute_size(version).map_err(Malformed::new)?;
        let prefix = i32::try_from(length).map_err(Malformed::new)?;
        let mut frame = BytesMut::with_capacity(length + 4);
        frame.put_i32(prefix);
        header.encode(&mut frame, header_version).map_err(Malformed::new)?;
        response.encode(&mut frame, version).map_err(Malformed::new)?;
        Ok(frame)
    }
}

fn short_length(bytes: &mut &[u8]) -> Option<usize> {
    let (prefix, rest) = bytes.split_first_chunk::<2>()?;
    *bytes = rest;
    usize::try_from(i16::from_be_bytes(*prefix)).ok()
}

/// Of texts that fit into 14 bits, which is what identifiers do.
fn compact_length(bytes: &mut &[u8]) -> Option<usize> {
    let (low, rest) = bytes.split_first()?;
    *bytes = rest;
    let mut length = usize::from(low & 0x7f);
    if low & 0x80 != 0 {
        let (high, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(high & 0x7f) << 7;
        if high & 0x80 != 0 {
            return None;
        }
    }
    length.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and the texts that it begins with.
    type Case<'a> = (ApiKey, i16, &'a [u8], [Option<&'a str>; 2]);

    #[test]
    fn the_first_texts_of_a_body_are_read_without_the_rest() {
        let long = "x".repeat(200);
        let mut compact = BytesMut::from(&[0xc9, 0x01][..]);
        compact.extend_from_slice(long.as_bytes());
        let cases: [Case<'_>; 7] = [
            (ApiKey::TxnOffsetCommit, 2, &[0, 1, b'a', 0, 2, b'b', b'c', 9], [Some("a"), Some("bc")]),
            (ApiKey::TxnOffsetCommit, 3, &[2, b'a', 3, b'b', b'c', 9], [Some("a"), Some("bc")]),
            (ApiKey::InitProducerId, 1, &[0xff, 0xff, 0, 0], [None, Some("")]),
            (ApiKey::InitProducerId, 2, &[0, 1], [None, Some("")]),
            (ApiKey::Heartbeat, 4, &compact, [Some(&long), None]),
            (ApiKey::Heartbeat, 4, &[9, b'a'], [None, None]),
            (ApiKey::Heartbeat, 0, &[0], [None, None]),
        ];
        for (key, version, body, expected) in cases {
            let request = Request::of(key, version, Bytes::copy_from_slice(body));
            assert_eq!(request.leading_texts(), expected, "{key:?} {version} {body:?}");
        }
    }
}
