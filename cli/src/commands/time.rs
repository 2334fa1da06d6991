//! Points in time and spans of it, as Kafka's own tool takes them.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// A point in time, in milliseconds since the Unix epoch: ISO 8601, in UTC where it names no zone.
pub(super) fn datetime(text: &str) -> Result<i64, String> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    zoned.or_else(|_| text.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_millis())).map_err(|_| {
        "expected a time such as `2026-03-01T12:30:00.000`, in UTC unless it ends with a zone such as `+02:00`"
            .to_owned()
    })
}

/// A span of time in the form `PnDTnHnMnS` of ISO 8601.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse(text).ok_or_else(|| {
        "expected a span such as `PT1H30M` or `P7D` (days, then after `T` hours, minutes, seconds)".to_owned()
    })
}

/// A time from which on records are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    /// Milliseconds since the Unix epoch.
    At(i64),
    Ago(Duration),
}

impl Since {
    /// Milliseconds since the Unix epoch, none of them before it.
    pub(super) fn millis(self) -> i64 {
        let millis = match self {
            Self::At(millis) => millis,
            Self::Ago(ago) => Utc::now()
                .timestamp_millis()
                .saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)),
        };
        millis.max(0)
    }
}

/// A point in time, or a span of it before now.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if text.starts_with('P') {
        return duration(text).map(Since::Ago);
    }
    let told = |told| format!("{told}; or a span before now such as `PT1H30M`");
    datetime(text).map(Since::At).map_err(told)
}

fn parse(text: &str) -> Option<Duration> {
    let (days, times) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, times)) if !times.is_empty() => (days, times),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && times.is_empty() {
        return None;
    }
    sum(days, &[('D', 86_400)])?.checked_add(sum(times, &[('H', 3600), ('M', 60), ('S', 1)])?)
}

/// The sum of numbers with units, each unit at most once and in this order.
fn sum(mut text: &str, units: &[(char, u64)]) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for (unit, seconds) in units {
        if let Some((number, rest)) = text.split_once(*unit) {
            let number: u64 = number.parse().ok()?;
            sum = sum.checked_add(Duration::from_secs(number.checked_mul(*seconds)?))?;
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_utc_unless_it_names_a_zone() {
        assert_eq!(datetime("1970-01-01T00:00:01.500"), Ok(1500));
        assert_eq!(datetime("1970-01-01T00:00:01"), Ok(1000));
        assert_eq!(datetime("1970-01-01T02:00:01.000+02:00"), Ok(1000));
        assert_eq!(datetime("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(datetime("1970-01-01").is_err());
        assert!(datetime("yesterday").is_err());
    }

    #[test]
    fn a_span_is_read_in_the_form_of_iso_8601() {
        assert_eq!(duration("P1DT2H3M4S"), Ok(Duration::from_secs(86_400 + 7200 + 180 + 4)));
        assert_eq!(duration("PT90M"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("P7D"), Ok(Duration::from_hours(7 * 24)));
        for wrong in [
            "",
            "P",
            "PT",
            "P1DT",
            "1H",
            "PT1M1H",
            "PT1",
            "P1H",
            "PT-1S",
            "PT99999999999999999999S",
            "PT99999999999999999H",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
