//! [`TimeSpan`]: a length of time as people write it in a configuration file.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units, largest first, with their length in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What every message about a malformed duration ends with.
pub(crate) const EXPECTED: &str = "a duration such as `500ms`, `5s`, `2m`, `1h` or `1d`";

/// A length of time: `500ms`, `5s`, `2m`, `1h`, `1d`, or several together as in `1m 30s`.
///
/// A plain integer counts milliseconds, as it does in Spring. There are no negative values, no fractions and
/// no other spellings of the units, so that a value means the same to each of its readers.
///
/// ```
/// use std::time::Duration;
/// use kafka_boot::config::TimeSpan;
///
/// let span: TimeSpan = "1m 30s".parse()?;
/// assert_eq!(span.get(), Duration::from_secs(90));
/// assert_eq!(span.to_string(), "1m 30s");
/// assert_eq!("1500".parse::<TimeSpan>()?, TimeSpan::from_millis(1500));
/// # Ok::<(), kafka_boot::config::ParseUnitError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// A span of so many milliseconds.
    ///
    /// ```
    /// # use kafka_boot::config::TimeSpan;
    /// assert_eq!(TimeSpan::from_millis(250).to_string(), "250ms");
    /// ```
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// A span of so many seconds.
    ///
    /// ```
    /// # use kafka_boot::config::TimeSpan;
    /// assert_eq!(TimeSpan::from_secs(60).to_string(), "1m");
    /// ```
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds, the unit of nearly every Kafka setting; `u64::MAX` when it is longer.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the span is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for TimeSpan {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.0
    }
}

impl Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.pad("0ms");
        }
        let mut rest = self.0.as_nanos();
        let mut text = String::new();
        for (unit, length) in UNITS {
            let count = rest / length;
            rest %= length;
            if count > 0 {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(&count.to_string());
                text.push_str(unit);
            }
        }
        f.pad(&text)
    }
}

impl FromStr for TimeSpan {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason: String| ParseUnitError { reason, expected: EXPECTED };
        if text.is_empty() {
            return Err(refuse("is empty".into()));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let milliseconds = text.parse().map_err(|_| refuse("is too long a time".into()))?;
            return Ok(Self::from_millis(milliseconds));
        }
        let mut total: u128 = 0;
        let mut previous_length = u128::MAX;
        for part in text.split(' ') {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (count, unit) = part.split_at(digits);
            if count.is_empty() {
                return Err(refuse(format!("has no whole number before `{unit}`")));
            }
            if unit.is_empty() {
                return Err(refuse(format!("has no unit after `{count}`")));
            }
            let Some(&(_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(refuse(format!("has the unknown unit `{unit}`")));
            };
            if length >= previous_length {
                return Err(refuse("must name its units from the largest to the smallest, each once".into()));
            }
            previous_length = length;
            let count: u128 = count.parse().map_err(|_| refuse("is too long a time".into()))?;
            total = count
                .checked_mul(length)
                .and_then(|nanoseconds| total.checked_add(nanoseconds))
                .ok_or_else(|| refuse("is too long a time".into()))?;
        }
        let seconds =
            u64::try_from(total / 1_000_000_000).map_err(|_| refuse("is too long a time".into()))?;
        let subsecond_nanos = u32::try_from(total % 1_000_000_000).unwrap_or_default();
        Ok(Self(Duration::new(seconds, subsecond_nanos)))
    }
}

/// Why a text is no [`TimeSpan`] or no [`DataSize`](super::DataSize).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; expected {expected}")]
pub struct ParseUnitError {
    pub(crate) reason: String,
    pub(crate) expected: &'static str,
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("`{text}` {error}")))
    }
}

impl JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "time-span",
            "pattern": r"^(\d+|\d+(d|h|m|s|ms|us|ns)( \d+(h|m|s|ms|us|ns))*|.*\$\{.*)$",
            "minimum": 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read_and_a_bare_number_counts_milliseconds() {
        for (text, milliseconds) in [
            ("0", 0),
            ("1500", 1_500),
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1m 30s", 90_000),
            ("1d 2h 3m 4s 5ms", 93_784_005),
        ] {
            assert_eq!(text.parse(), Ok(TimeSpan::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "5 s",
            "5min",
            "5S",
            "-1s",
            "+1s",
            "1.5s",
            "∞",
            "5s 1m",
            "5s 5s",
            "5s  1ms",
            "1e3",
            "1_000",
            "99999999999999999999999999d",
            "18446744073709551616",
            "PT5S",
            "٥s",
        ] {
            assert!(text.parse::<TimeSpan>().is_err(), "`{text}` was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_back(nanoseconds in any::<u64>()) {
            let span = TimeSpan::from(Duration::from_nanos(nanoseconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<TimeSpan>();
        }
    }
}
