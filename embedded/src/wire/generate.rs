//! Makes the bodies of requests by their shapes: the other direction of [`shape`](super::shape).

use bytes::BufMut;
use kafka_protocol::messages::ApiKey;

use super::shape::{Field, Kind};
use super::shapes::shape_of;

/// Where the values of fields come from.
pub(crate) trait Source {
    /// How many elements an array has.
    fn count(&mut self) -> usize;
    fn is_null(&mut self) -> bool;
    fn fixed(&mut self, size: usize) -> Vec<u8>;
    fn text(&mut self) -> Vec<u8>;
    fn blob(&mut self) -> Vec<u8>;
}

/// Appends the body of a request.
pub(crate) fn body(key: ApiKey, version: i16, source: &mut dyn Source, to: &mut Vec<u8>) {
    if let Some(shape) = shape_of(key) {
        let mut writer = Writer { to, version, flexible: version >= shape.flexible_since, source };
        writer.structure(shape.fields);
    }
}

struct Writer<'a> {
    to: &'a mut Vec<u8>,
    version: i16,
    flexible: bool,
    source: &'a mut dyn Source,
}

impl Writer<'_> {
    fn structure(&mut self, fields: &[Field]) {
        for field in fields {
            if field.is_in(self.version) {
                self.field(field.kind);
            }
        }
        if self.flexible {
            self.to.put_u8(0);
        }
    }

    fn field(&mut self, kind: Kind) {
        match kind {
            Kind::Fixed(size) => self.to.extend(self.source.fixed(size)),
            Kind::Text => {
                let text = if self.source.is_null() { None } else { Some(self.source.text()) };
                let length = text.as_ref().map(Vec::len);
                if self.flexible {
                    self.compact(length);
                } else {
                    self.to.put_i16(length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX)));
                }
                self.to.extend(text.unwrap_or_default());
            }
            Kind::Blob => {
                let blob = if self.source.is_null() { None } else { Some(self.source.blob()) };
                self.length(blob.as_ref().map(Vec::len));
                self.to.extend(blob.unwrap_or_default());
            }
            Kind::List(fields) => {
                for _ in 0..self.count() {
                    self.structure(fields);
                }
            }
            Kind::Plain(element) => {
                for _ in 0..self.count() {
                    self.field(*element);
                }
            }
            Kind::Optional(fields) => {
                if self.source.is_null() {
                    self.to.put_i8(-1);
                } else {
                    self.to.put_i8(1);
                    self.structure(fields);
                }
            }
        }
    }

    fn count(&mut self) -> usize {
        let count = if self.source.is_null() { None } else { Some(self.source.count()) };
        self.length(count);
        count.unwrap_or_default()
    }

    fn length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact(length);
        } else {
            self.to.put_i32(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)));
        }
    }

    /// One more than the length, in groups of seven bits; null is zero.
    fn compact(&mut self, length: Option<usize>) {
        let mut rest = length.map_or(0, |length| length + 1);
        while rest >= 0x80 {
            self.to.put_u8(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
            rest >>= 7;
        }
        self.to.put_u8(u8::try_from(rest).unwrap_or_default());
    }
}
