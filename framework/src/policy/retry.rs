//! How long to wait before the next attempt.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Exponential backoff with jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    multiplier: f64,
    max: Duration,
    jitter: f64,
}

impl Backoff {
    /// Waits `initial` before the second attempt and `multiplier` times as long before each next one, at most `max`;
    /// each delay is spread by ± `jitter` (a fraction, 0 to 1).
    ///
    /// ```
    /// use kafka_boot::Backoff;
    /// use std::time::Duration;
    ///
    /// let backoff = Backoff::new(Duration::from_millis(100), 2.0, Duration::from_secs(1), 0.0);
    /// assert_eq!(backoff.delay(1), Duration::from_millis(100));
    /// assert_eq!(backoff.delay(3), Duration::from_millis(400));
    /// assert_eq!(backoff.delay(30), Duration::from_secs(1));
    /// ```
    pub fn new(initial: Duration, multiplier: f64, max: Duration, jitter: f64) -> Self {
        Self { initial, multiplier: multiplier.max(1.0), max, jitter: jitter.clamp(0.0, 1.0) }
    }

    /// The delay after failure number `failures`, from 1.
    pub fn delay(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.multiplier.powi(exponent);
        let capped = seconds.min(self.max.as_secs_f64());
        let spread = 1.0 + self.jitter * (2.0 * random_fraction() - 1.0);
        Duration::try_from_secs_f64(capped * spread).unwrap_or(self.max)
    }
}

/// A number from 0 to 1. Jitter needs no more randomness than the standard library's hasher keys have.
pub(super) fn random_fraction() -> f64 {
    #[cfg(feature = "simulation")]
    if let Some(fraction) = fixed::get() {
        return fraction;
    }
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let fraction = bits as f64 / (1u64 << 53) as f64;
    fraction
}

/// No jitter in the middle of a simulation, which no randomness but its own may decide.
#[cfg(feature = "simulation")]
pub(crate) mod fixed {
    use std::cell::Cell;

    thread_local! {
        static FRACTION: Cell<Option<f64>> = const { Cell::new(None) };
    }

    pub(super) fn get() -> Option<f64> {
        FRACTION.get()
    }

    /// Fixes what this thread throws, or lets it throw again.
    pub(crate) fn set(fraction: Option<f64>) {
        FRACTION.set(fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_fraction() {
        let backoff = Backoff::new(Duration::from_millis(100), 1.0, Duration::from_secs(1), 0.2);
        for _ in 0..1000 {
            let delay = backoff.delay(1).as_secs_f64();
            assert!((0.08..=0.12).contains(&delay), "{delay}");
        }
    }
}
