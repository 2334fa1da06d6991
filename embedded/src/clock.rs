//! The two clocks: one for what is written into records, one for deadlines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as Kafka stamps records.
pub(crate) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the broker started, which no adjustment of the system's clock moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn instant_of(self, elapsed_ms: u64) -> tokio::time::Instant {
        (self.0 + std::time::Duration::from_millis(elapsed_ms)).into()
    }
}
