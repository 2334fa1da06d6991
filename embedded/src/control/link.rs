//! Slow networks.

use std::time::Duration;

use tokio::time::sleep;

/// A slow link delivers in steps of this length.
const STEP: Duration = Duration::from_millis(20);

/// How slow a network is, for [`RuleBuilder::slow`](super::RuleBuilder::slow).
///
/// ```
/// use std::time::Duration;
/// use kafka_boot_embedded::control::Link;
///
/// let far_away = Link::default().latency(Duration::from_millis(80)).bytes_per_second(64 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Link {
    latency: Duration,
    bytes_per_second: Option<u64>,
}

/// How fast bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    bytes_per_second: u64,
}

impl Link {
    /// By how much every request arrives later. Default: not at all.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How many bytes a connection carries in a second, in each direction; at least 1. Default: as many as it can.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes.max(1));
        self
    }

    pub(super) fn added_latency(&self) -> Duration {
        self.latency
    }

    pub(super) fn pace(&self) -> Option<Pace> {
        self.bytes_per_second.map(|bytes_per_second| Pace { bytes_per_second })
    }
}

impl Pace {
    /// As much as goes in one step, and at least a byte.
    pub(crate) fn bytes_at_once(self) -> usize {
        let step_ms = u64::try_from(STEP.as_millis()).unwrap_or(1);
        usize::try_from(self.bytes_per_second.saturating_mul(step_ms) / 1_000).unwrap_or(usize::MAX).max(1)
    }

    /// Takes as long as so many bytes do.
    pub(crate) async fn take(self, bytes: usize) {
        sleep(self.time_of(bytes)).await;
    }

    fn time_of(self, bytes: usize) -> Duration {
        let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_second;
        Duration::from_micros(micros)
    }

    pub(super) fn slower(self, other: Option<Self>) -> Self {
        let other = other.map_or(u64::MAX, |other| other.bytes_per_second);
        Self { bytes_per_second: self.bytes_per_second.min(other) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let Some(pace) = Link::default().bytes_per_second(1_000).pace() else { panic!("no pace") };
        assert_eq!(pace.time_of(1_500), Duration::from_millis(1_500));
        assert_eq!(pace.bytes_at_once(), 20);
        let Some(slowest) = Link::default().bytes_per_second(0).pace() else { panic!("no pace") };
        assert_eq!((slowest.bytes_at_once(), slowest.time_of(2)), (1, Duration::from_secs(2)));
        assert_eq!(pace.slower(Some(slowest)), slowest);
        assert_eq!(Link::default().pace(), None);
    }
}
