//! Which records are shown.

use kafka_boot_client::RawRecord;
use regex::bytes::Regex;

/// Everything that is given has to match.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) key: Option<Regex>,
    pub(super) value: Option<Regex>,
    pub(super) headers: Vec<HeaderFilter>,
}

/// A header that has to be there, and what one of its values has to match.
#[derive(Debug, Clone)]
pub(super) struct HeaderFilter {
    name: String,
    value: Option<Regex>,
}

impl Filter {
    pub(super) fn matches(&self, record: &RawRecord) -> bool {
        let matches = |regex: &Option<Regex>, bytes: Option<&[u8]>| {
            regex.as_ref().is_none_or(|regex| bytes.is_some_and(|bytes| regex.is_match(bytes)))
        };
        matches(&self.key, record.key())
            && matches(&self.value, record.payload())
            && self.headers.iter().all(|filter| {
                record.headers().any(|(name, value)| filter.name == name && matches(&filter.value, value))
            })
    }
}

/// A regular expression, as an argument.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        // The reason stands in the last line, behind a drawing of where it is.
        let told = error.to_string();
        let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("expected a regular expression: {reason}")
    })
}

/// `name` or `name=regex`, as an argument.
pub(super) fn header(text: &str) -> Result<HeaderFilter, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(regex(value)?)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("expected a name, or `name=regex`, such as `tenant=^acme`".to_owned());
    }
    Ok(HeaderFilter { name: name.to_owned(), value })
}
