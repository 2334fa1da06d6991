//! Walks a request by its shape before it is decoded, so that no length in it is believed.
//!
//! 1. Every array, string and byte field lies within the request.
//! 2. All arrays and tagged fields of a request together have at most [`MAX_ELEMENTS`] elements, which bounds what the
//!    decoder allocates by a constant.

use kafka_protocol::messages::ApiKey;

use super::shapes::shape_of;

/// Far above what a client asks for at once, and a few megabytes when decoded.
const MAX_ELEMENTS: u32 = 100_000;

/// One field of a message, and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) kind: Kind,
    since: i16,
    until: i16,
}

/// How a field lies in the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Fixed(usize),
    Text,
    Blob,
    List(&'static [Field]),
    /// Elements without tagged fields of their own.
    Plain(&'static Kind),
    Optional(&'static [Field]),
}

/// A whole request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The first version with compact lengths and tagged fields.
    pub(super) flexible_since: i16,
    pub(super) fields: &'static [Field],
}

impl Field {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, since: 0, until: i16::MAX }
    }

    pub(super) const fn since(self, since: i16) -> Self {
        Self { since, ..self }
    }

    pub(super) const fn until(self, until: i16) -> Self {
        Self { until, ..self }
    }

    pub(super) fn is_in(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }
}

/// Whether a version of an API has compact lengths and tagged fields.
pub(super) fn is_flexible(key: ApiKey, version: i16) -> bool {
    shape_of(key).is_some_and(|shape| version >= shape.flexible_since)
}

/// Whether the body of a request has the shape of its API and version.
pub(super) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<(), &'static str> {
    let shape = shape_of(key).ok_or("the API is not supported")?;
    let mut walk =
        Walk { rest: body, version, flexible: version >= shape.flexible_since, elements: MAX_ELEMENTS };
    // What is left over is not looked at, as by Kafka: librdkafka leaves some after a request for all topics.
    walk.structure(shape.fields)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: u32,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), &'static str> {
        for field in fields {
            if field.is_in(self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            self.tagged_fields()?;
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), &'static str> {
        match kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::Text => {
                let length = if self.flexible { self.compact_length()? } else { self.short_length()? };
                self.skip(length)
            }
            Kind::Blob => {
                let length = self.length()?;
                self.skip(length)
            }
            Kind::List(fields) => {
                for _ in 0..self.count()? {
                    self.structure(fields)?;
                }
                Ok(())
            }
            Kind::Plain(element) => {
                for _ in 0..self.count()? {
                    self.field(*element)?;
                }
                Ok(())
            }
            Kind::Optional(fields) => {
                let present = self.rest.first() == Some(&1);
                self.skip(1)?;
                if present { self.structure(fields) } else { Ok(()) }
            }
        }
    }

    fn tagged_fields(&mut self) -> Result<(), &'static str> {
        let count = self.varint()?;
        self.spend(count)?;
        for _ in 0..count {
            self.varint()?;
            let size = self.varint()? as usize;
            self.skip(size)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<usize, &'static str> {
        let count = self.length()?;
        self.spend(u32::try_from(count).map_err(|_| "an array is too long")?)?;
        Ok(count)
    }

    fn spend(&mut self, elements: u32) -> Result<(), &'static str> {
        self.elements = self.elements.checked_sub(elements).ok_or("the arrays have too many elements")?;
        Ok(())
    }

    /// The length of an array or of bytes; null is as good as empty here.
    fn length(&mut self) -> Result<usize, &'static str> {
        if self.flexible {
            return self.compact_length();
        }
        let prefix = i32::from_be_bytes(self.take()?);
        nullable(i64::from(prefix))
    }

    fn short_length(&mut self) -> Result<usize, &'static str> {
        let prefix = i16::from_be_bytes(self.take()?);
        nullable(i64::from(prefix))
    }

    fn compact_length(&mut self) -> Result<usize, &'static str> {
        Ok(self.varint()?.saturating_sub(1) as usize)
    }

    fn varint(&mut self) -> Result<u32, &'static str> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a variable-length number has too many bytes")
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or("the request ends within a field")?;
        self.rest = rest;
        Ok(*head)
    }

    fn skip(&mut self, count: usize) -> Result<(), &'static str> {
        self.rest = self.rest.get(count..).ok_or("the request ends within a field")?;
        Ok(())
    }
}

fn nullable(length: i64) -> Result<usize, &'static str> {
    usize::try_from(length.max(0)).ok().filter(|_| length >= -1).ok_or("a length is negative")
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
