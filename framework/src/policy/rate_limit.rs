//! How many records may be given to a listener's handler in a second.
//!
//! Sans-IO: the generic cell rate algorithm. Who wants to go reserves a place and is told when its turn is, so that
//! many who wait are served in the order in which they asked, and nobody asks twice.
//!
//! # Invariants
//! 1. In any span of `t` seconds at most `rate × t` records go, and [`BURST`] of a second's worth beside them; at least
//!    one goes at once after a pause.
//! 2. A reservation that is not used is lost or given back; it never lets others go earlier than the rate allows.

use std::time::Duration;

use tokio::time::Instant;

/// How much may go at once after a pause, as a share of a second's worth.
const BURST: f64 = 0.1;

/// Records per second, kept.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// The time that one record stands for.
    interval: Duration,
    /// How far ahead of its time a record may go.
    tolerance: Duration,
    /// When the next record would go if all went evenly.
    next: Option<Instant>,
}

impl RateLimit {
    /// At most `per_second` records a second, which is a positive number.
    pub(crate) fn new(per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(per_second.recip()).unwrap_or(Duration::MAX);
        let burst = (per_second * BURST).max(1.0);
        Self { interval, tolerance: interval.mul_f64(burst - 1.0), next: None }
    }

    /// Takes the places of `records` that go together, and tells when they may.
    pub(crate) fn reserve(&mut self, records: u32, now: Instant) -> Instant {
        let next = self.next.map_or(now, |next| next.max(now));
        self.next = next.checked_add(self.interval.saturating_mul(records)).or(self.next);
        next.checked_sub(self.tolerance).unwrap_or(now).max(now)
    }

    /// Gives back what was reserved for a record that did not go.
    pub(crate) fn refund(&mut self, records: u32) {
        self.next = self.next.and_then(|next| next.checked_sub(self.interval.saturating_mul(records)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` records goes, in milliseconds, if they all ask at the same moment.
    fn turns(limit: &mut RateLimit, count: usize, now: Instant) -> Vec<u128> {
        (0..count).map(|_| (limit.reserve(1, now) - now).as_millis()).collect()
    }

    #[test]
    fn records_go_evenly_after_a_small_burst() {
        let now = Instant::now();
        assert_eq!(turns(&mut RateLimit::new(2.0), 4, now), [0, 500, 1_000, 1_500]);
        assert_eq!(turns(&mut RateLimit::new(0.1), 3, now), [0, 10_000, 20_000]);
        let burst = turns(&mut RateLimit::new(100.0), 13, now);
        assert_eq!(burst, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 20, 30]);
    }

    #[test]
    fn what_was_not_used_does_not_add_up() {
        let (mut limit, now) = (RateLimit::new(100.0), Instant::now());
        turns(&mut limit, 10, now);
        let later = now + Duration::from_mins(1);
        assert_eq!(turns(&mut limit, 12, later)[9..], [0, 10, 20]);
    }

    #[test]
    fn a_batch_takes_the_places_of_all_its_records() {
        let (mut limit, now) = (RateLimit::new(100.0), Instant::now());
        assert_eq!(limit.reserve(500, now), now);
        assert_eq!(limit.reserve(1, now) - now, Duration::from_millis(4_910));
    }

    #[test]
    fn a_place_that_is_given_back_is_free_again() {
        let (mut limit, now) = (RateLimit::new(1.0), Instant::now());
        assert_eq!(limit.reserve(1, now), now);
        let next = limit.reserve(1, now);
        limit.refund(1);
        assert_eq!(limit.reserve(1, now), next);
    }

    #[test]
    fn never_more_than_the_rate_and_its_burst_go_whatever_the_arrivals() {
        let start = Instant::now();
        for rate in [0.5, 3.0, 50.0, 1_000.0, 123_456.0] {
            let mut limit = RateLimit::new(rate);
            let mut went: Vec<f64> = Vec::new();
            for step in 0..400_u32 {
                // Arrivals in clumps: several at once, then a pause that grows and shrinks.
                let at = start + Duration::from_micros(u64::from(step / 7 * (step % 13) * 900));
                went.push((limit.reserve(1, at) - start).as_secs_f64());
            }
            went.sort_unstable_by(f64::total_cmp);
            for (index, from) in went.iter().enumerate() {
                for (later, to) in went.iter().enumerate().skip(index) {
                    let count = f64::from(u32::try_from(later - index + 1).unwrap());
                    let allowed = (to - from) * rate + (rate * BURST).max(1.0) + 1e-3;
                    assert!(count <= allowed, "{rate}/s: {count} in {} s", to - from);
                }
            }
        }
    }
}
