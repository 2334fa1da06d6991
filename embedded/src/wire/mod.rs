//! The bytes on the connection: frames in, frames out.
//!
//! The messages themselves are `kafka-protocol`'s. What it trusts and a broker may not — the lengths of arrays, which it
//! allocates before it has seen an element — is checked first, by [`shape`].

pub(crate) mod frame;
#[cfg(feature = "fuzz")]
pub(crate) mod generate;
mod shape;
mod shapes;

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
        Ok(Self { key, version, correlation_id: header.correlation_id, client_id, body: frame })
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
        T: Message + Encodable + HeaderVersion,
    {
        self.answer_in(self.version, response)
    }

    /// The same in another version than was asked in.
    pub(crate) fn answer_in<T>(&self, version: i16, response: &T) -> Result<BytesMut, Malformed>
    where
        T: Message + Encodable + HeaderVersion,
    {
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
