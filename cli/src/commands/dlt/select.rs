//! Which letters a command is about.

use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime};
use clap::Args;
use kafka_boot::DeadLetterFilter;

/// Which letters are meant; all that are neither replayed nor discarded, unless flags say less.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only letters of this partition
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) partition: Option<i32>,
    /// Only letters from one offset to another, both included, as `10-20`; or the one at `10`
    #[arg(long, value_parser = offsets, value_name = "FROM-TO")]
    offsets: Option<(i64, i64)>,
    /// Only letters whose error has a type that ends so, or a message with this in it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only letters that were written at this time or later, such as `2026-03-01T12:30:00` (UTC unless it ends with a zone)
    #[arg(long, value_parser = moment, value_name = "TIME")]
    since: Option<SystemTime>,
    /// Only letters that were written before this time
    #[arg(long, value_parser = moment, value_name = "TIME")]
    until: Option<SystemTime>,
    /// Only letters with this key
    #[arg(long)]
    key: Option<String>,
    /// Also letters that have been replayed or discarded
    #[arg(long)]
    with_done: bool,
}

impl Selection {
    pub(super) fn filter(&self) -> DeadLetterFilter {
        let mut filter = DeadLetterFilter::all();
        if let Some(partition) = self.partition {
            filter = filter.partition(partition);
        }
        if let Some((first, last)) = self.offsets {
            filter = filter.offsets(first, last);
        }
        if let Some(error) = &self.error {
            filter = filter.error(error);
        }
        if let Some(since) = self.since {
            filter = filter.since(since);
        }
        if let Some(until) = self.until {
            filter = filter.until(until);
        }
        if let Some(key) = &self.key {
            filter = filter.key(key.clone());
        }
        if self.with_done { filter.with_done() } else { filter }
    }
}

fn offsets(text: &str) -> Result<(i64, i64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => Err("expected an offset such as `10`, or two such as `10-20`".to_owned()),
    }
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let zoned = DateTime::parse_from_rfc3339(text).map(SystemTime::from);
    zoned.or_else(|_| text.parse::<NaiveDateTime>().map(|time| SystemTime::from(time.and_utc()))).map_err(
        |_| "expected a time such as `2026-03-01T12:30:00`, in UTC unless it ends with a zone".to_owned(),
    )
}

/// `partition:offset`.
pub(super) fn place(text: &str) -> Result<(i32, i64), String> {
    let parsed = text.split_once(':').map(|(partition, offset)| (partition.parse(), offset.parse()));
    match parsed {
        Some((Ok(partition), Ok(offset))) => Ok((partition, offset)),
        _ => Err("expected `partition:offset`, such as `0:12`".to_owned()),
    }
}
