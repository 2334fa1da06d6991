//! A record's headers, as an argument.

use std::fmt;

use super::escape::escaped;
use super::view::RecordView;

/// The headers of one record, in the record's order. A name may repeat; [`Headers::get`] gives the last, as Kafka's
/// own clients do.
///
/// ```
/// use kafka_boot::Headers;
///
/// let headers: Headers = [("trace", Some(b"1".as_slice())), ("trace", Some(b"2"))].into_iter().collect();
/// assert_eq!(headers.get("trace"), Some(b"2".as_slice()));
/// assert_eq!(headers.iter().count(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(String, Option<Vec<u8>>)>,
}

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_view(view: &RecordView<'_>) -> Self {
        view.headers().collect()
    }

    /// The value of the last header of this name; `None` if there is none or its value is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries.iter().rev().find(|(header, _)| header == name).and_then(|(_, value)| value.as_deref())
    }

    /// The value as text; `None` also if it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Adds a header after the others.
    pub fn push(&mut self, name: impl Into<String>, value: Option<&[u8]>) {
        self.entries.push((name.into(), value.map(<[u8]>::to_vec)));
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// How many there are, repeated names counted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, Option<&'a [u8]>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>>(headers: I) -> Self {
        let entries = headers.into_iter().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
        Self { entries: entries.collect() }
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_headers(f, self.iter())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes headers as `[name = value, …]`, escaped.
pub(super) fn write_headers<'a>(
    f: &mut fmt::Formatter<'_>,
    headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> fmt::Result {
    f.write_str("[")?;
    for (index, (name, value)) in headers.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{} = ", escaped(name.as_bytes()))?;
        match value {
            Some(value) => write!(f, "{}", escaped(value))?,
            None => f.write_str("null")?,
        }
    }
    f.write_str("]")
}
