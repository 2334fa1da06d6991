//! [`DataSize`]: a number of bytes as people write it in a configuration file.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::duration::ParseUnitError;

/// The units that are read, with their size in bytes.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// What every message about a malformed size ends with.
pub(crate) const EXPECTED: &str = "a size such as `512B`, `64KiB`, `1MB` or `2GiB`";

/// A number of bytes: `512B`, `64KiB`, `32MiB`, `1GiB`, or in powers of ten `1KB`, `1MB`, `1GB`.
///
/// A plain integer counts bytes. `KB` is 1000 bytes and `KiB` is 1024, as the standards have it; Spring's
/// `KB` is 1024.
///
/// ```
/// use kafka_boot::config::DataSize;
///
/// let size: DataSize = "64KiB".parse()?;
/// assert_eq!(size.as_bytes(), 65_536);
/// assert_eq!(size.to_string(), "64KiB");
/// # Ok::<(), kafka_boot::config::ParseUnitError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataSize(u64);

impl DataSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many units of 1024 × 1024 bytes.
    ///
    /// ```
    /// # use kafka_boot::config::DataSize;
    /// assert_eq!(DataSize::from_mib(2).to_string(), "2MiB");
    /// ```
    pub const fn from_mib(mebibytes: u32) -> Self {
        Self((mebibytes as u64) << 20)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The size in units of 1024 bytes, rounded up, the unit of librdkafka's `…kbytes` settings.
    pub const fn as_kib(self) -> u64 {
        self.0.div_ceil(1024)
    }
}

impl Display for DataSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first unit that divides the size exactly keeps the text short and the round trip exact.
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(("B", 1));
        f.pad(&format!("{}{unit}", self.0 / size))
    }
}

impl FromStr for DataSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason: String| ParseUnitError { reason, expected: EXPECTED };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        if count.is_empty() {
            return Err(refuse("does not begin with a whole number".into()));
        }
        let factor = if unit.is_empty() {
            1
        } else {
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            known.ok_or_else(|| refuse(format!("has the unknown unit `{unit}`")))?.1
        };
        let count: u64 = count.parse().map_err(|_| refuse("is too large".into()))?;
        count.checked_mul(factor).map(Self).ok_or_else(|| refuse("is too large".into()))
    }
}

impl Serialize for DataSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("`{text}` {error}")))
    }
}

impl JsonSchema for DataSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DataSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "data-size",
            "pattern": r"^(\d+([KMGT]i?B|B)?|.*\$\{.*)$",
            "minimum": 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read_and_a_bare_number_counts_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("512B", 512),
            ("1KB", 1_000),
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("32MiB", 33_554_432),
            ("1GiB", 1 << 30),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(DataSize::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "KiB", "64 KiB", "64kib", "64K", "-1B", "1.5MiB", "1e3", "99999999TiB", "1_000"] {
            assert!(text.parse::<DataSize>().is_err(), "`{text}` was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_back(bytes in any::<u64>()) {
            let size = DataSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
