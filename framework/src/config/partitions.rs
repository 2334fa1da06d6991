//! [`PartitionList`]: the partitions of a topic that a listener reads without a group's help, and where each begins.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::DateTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// How a partition list is written.
pub(crate) const EXPECTED: &str = "partitions such as `0-5, 7`, each with `@beginning`, `@end`, `@42` or \
                                   `@2026-01-31T00:00:00Z` behind it where it does not start at the committed offset";
/// The highest number that a partition may have here; far more than a topic has.
const PARTITION_MAX: i32 = 99_999;

/// Partitions of a topic, and where each is read from: `0-5, 7@beginning, 8@42`.
///
/// ```
/// use kafka_boot::config::{PartitionList, StartAt};
///
/// let list: PartitionList = "0-1, 7@end".parse()?;
/// let partitions: Vec<_> = list.iter().collect();
/// assert_eq!(partitions, [(0, StartAt::Committed), (1, StartAt::Committed), (7, StartAt::End)]);
/// assert_eq!(list.to_string(), "0, 1, 7@end");
/// # Ok::<(), kafka_boot::config::ParsePartitionsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionList(Vec<(i32, StartAt)>);

/// Where a partition that is assigned by hand is read from, each time the listener starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The group's committed offset, or where `auto-offset-reset` says if there is none.
    #[default]
    Committed,
    /// The first record there is.
    Beginning,
    /// Behind the last record there is at the start.
    End,
    /// This offset.
    Offset(i64),
    /// The first record whose timestamp is this or later, in milliseconds since 1970; the end, if there is none.
    Timestamp(i64),
}

impl PartitionList {
    /// The partitions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i32, StartAt)> {
        self.0.iter().copied()
    }
}

impl FromStr for PartitionList {
    type Err = ParsePartitionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason: String| ParsePartitionsError { reason };
        let mut partitions: Vec<(i32, StartAt)> = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (range, start) = match item.split_once('@') {
                Some((range, start)) => (range, start_at(start.trim()).map_err(refuse)?),
                None => (item, StartAt::Committed),
            };
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (partition(first).map_err(refuse)?, partition(last).map_err(refuse)?);
            if last < first {
                return Err(refuse(format!("the range `{}` is empty", range.trim())));
            }
            for number in first..=last {
                if partitions.iter().any(|(known, _)| *known == number) {
                    return Err(refuse(format!("partition {number} is given twice")));
                }
                partitions.push((number, start));
            }
        }
        partitions.sort_unstable_by_key(|(number, _)| *number);
        Ok(Self(partitions))
    }
}

fn partition(text: &str) -> Result<i32, String> {
    let text = text.trim();
    let number = text.parse().ok().filter(|number| (0..=PARTITION_MAX).contains(number));
    number.ok_or_else(|| format!("`{text}` is no partition from 0 to {PARTITION_MAX}"))
}

fn start_at(text: &str) -> Result<StartAt, String> {
    match text {
        "committed" => return Ok(StartAt::Committed),
        "beginning" => return Ok(StartAt::Beginning),
        "end" => return Ok(StartAt::End),
        _ => {}
    }
    if let Some(offset) = text.parse().ok().filter(|offset: &i64| *offset >= 0) {
        return Ok(StartAt::Offset(offset));
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| StartAt::Timestamp(time.timestamp_millis()))
        .map_err(|_| format!("`{text}` is no place to start at"))
}

impl fmt::Display for PartitionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (number, start)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{number}")?;
            match start {
                StartAt::Committed => {}
                StartAt::Beginning => f.write_str("@beginning")?,
                StartAt::End => f.write_str("@end")?,
                StartAt::Offset(offset) => write!(f, "@{offset}")?,
                StartAt::Timestamp(millis) => match DateTime::from_timestamp_millis(*millis) {
                    Some(time) => write!(f, "@{}", time.to_rfc3339())?,
                    None => write!(f, "@{millis} ms")?,
                },
            }
        }
        Ok(())
    }
}

/// Why a text is no [`PartitionList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePartitionsError {
    pub(crate) reason: String,
}

impl fmt::Display for ParsePartitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected {EXPECTED}", self.reason)
    }
}

impl std::error::Error for ParsePartitionsError {}

impl<'de> Deserialize<'de> for PartitionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PartitionList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PartitionList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "partition-list", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for (text, shown) in [
            ("3", "3"),
            ("0-2,5", "0, 1, 2, 5"),
            (" 7 @ end , 0 - 1 @ beginning ", "0@beginning, 1@beginning, 7@end"),
            ("4@0,5@42,6@committed", "4@0, 5@42, 6"),
            ("1@2026-01-31T12:00:00+01:00", "1@2026-01-31T11:00:00+00:00"),
        ] {
            let list: PartitionList = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(list.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<PartitionList>().as_ref(), Ok(&list), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "`` is no partition"),
            ("a", "`a` is no partition"),
            ("1,", "`` is no partition"),
            ("-1", "`` is no partition"),
            ("100000", "no partition from 0 to 99999"),
            ("0-99999999999", "no partition"),
            ("3-1", "the range `3-1` is empty"),
            ("0-3, 2", "partition 2 is given twice"),
            ("1@", "`` is no place to start at"),
            ("1@-5", "`-5` is no place to start at"),
            ("1@start", "`start` is no place to start at"),
            ("1@2026-01-31", "`2026-01-31` is no place to start at"),
        ] {
            let error = text.parse::<PartitionList>().expect_err(text).to_string();
            assert!(error.contains(part) && error.contains("expected partitions such as"), "{text}: {error}");
        }
    }
}
