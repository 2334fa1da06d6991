//! What of a listener can be changed while it runs, and each consumer's part of it.

use super::room::Room;
use crate::config::model::{ConsumerProperties, ListenerSettings, Ordering};

/// How many records of a partition may wait in its lane without order at least. The more there are, the more keys can be
/// handled at once; and a pause throws away what the client has fetched ahead, so it must not come several times a second.
const QUEUED_RECORDS_MIN: usize = 16384;
/// How many threads a listener's plain `fn` may be run on at once.
pub(crate) const HANDLER_THREADS_MAX: u32 = 1_024;
/// The bounds of the configuration.
const CONCURRENCY_MAX: u16 = 1_024;
const MAX_IN_FLIGHT_MAX: u32 = 1_000_000;
const RATE_LIMIT_BOUNDS: std::ops::RangeInclusive<f64> = 0.001..=1e9;

/// What of a listener can be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tuning {
    pub(crate) concurrency: u16,
    pub(crate) max_in_flight: u32,
    pub(crate) rate_limit: Option<f64>,
}

impl Tuning {
    pub(crate) fn of(consumer: &ConsumerProperties) -> Self {
        Self {
            concurrency: consumer.concurrency.max(1),
            max_in_flight: consumer.max_in_flight,
            rate_limit: consumer.rate_limit,
        }
    }

    /// Says what is wrong with it, if something is.
    pub(crate) fn check(&self, ordering: Ordering, is_blocking: bool) -> Result<(), String> {
        let Self { concurrency, max_in_flight, rate_limit } = *self;
        if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
            return Err(format!("`concurrency` is from 1 to {CONCURRENCY_MAX}, found {concurrency}"));
        }
        if !(1..=MAX_IN_FLIGHT_MAX).contains(&max_in_flight) {
            return Err(format!("`max-in-flight` is from 1 to {MAX_IN_FLIGHT_MAX}, found {max_in_flight}"));
        }
        if let Some(rate) = rate_limit.filter(|rate| !RATE_LIMIT_BOUNDS.contains(rate)) {
            let (least, most) = RATE_LIMIT_BOUNDS.into_inner();
            return Err(format!(
                "`rate-limit` is from {least} to {most} records a second, or none; found {rate}"
            ));
        }
        if ordering != Ordering::Partition && max_in_flight < u32::from(concurrency) {
            return Err(format!(
                "with `ordering: {}`, `max-in-flight` ({max_in_flight}) is shared by all consumers and must not be less than `concurrency` ({concurrency})",
                ordering.as_str()
            ));
        }
        if ordering != Ordering::Partition && is_blocking && max_in_flight > HANDLER_THREADS_MAX {
            return Err(format!(
                "its function is a plain `fn`, each of whose calls needs a thread: `max-in-flight` is at most {HANDLER_THREADS_MAX}, found {max_in_flight}"
            ));
        }
        Ok(())
    }

    /// How many handlers of one of the consumers may be at work at once, where records need not wait for one another.
    pub(crate) fn at_work_max(&self, consumer: u16) -> usize {
        let consumers = u32::from(self.concurrency.max(1));
        let extra = u32::from(u32::from(consumer) < self.max_in_flight % consumers);
        to_usize((self.max_in_flight / consumers + extra).max(1))
    }

    /// How much one of the consumers takes in.
    pub(crate) fn room(&self, settings: &ListenerSettings, consumer: u16) -> Room {
        let properties = &settings.consumer;
        let is_unordered = settings.ordering != Ordering::Partition;
        Room {
            // Without order the records at work are bounded by permits; others have to wait there for a key to be free.
            records_max: if is_unordered {
                QUEUED_RECORDS_MIN.max(self.at_work_max(consumer).saturating_mul(2))
            } else {
                to_usize(self.max_in_flight)
            },
            bytes_max: properties.max_in_flight_bytes.as_bytes() / u64::from(self.concurrency.max(1)),
            map_bytes_max: is_unordered.then(|| properties.offset_metadata_max_bytes.as_bytes()),
        }
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNING: Tuning = Tuning { concurrency: 3, max_in_flight: 256, rate_limit: None };

    #[test]
    fn what_is_given_for_a_listener_is_shared_by_its_consumers_without_a_rest() {
        assert_eq!([0, 1, 2].map(|consumer| TUNING.at_work_max(consumer)), [86, 85, 85]);
        let few = Tuning { max_in_flight: 1, ..TUNING };
        assert_eq!([0, 1, 2].map(|consumer| few.at_work_max(consumer)), [1, 1, 1], "each needs one");
    }

    #[test]
    fn what_the_configuration_would_refuse_is_refused() {
        let (none, key) = (Ordering::Partition, Ordering::Key);
        for (tuning, ordering, part) in [
            (Tuning { concurrency: 0, ..TUNING }, none, "`concurrency` is from 1 to 1024, found 0"),
            (Tuning { concurrency: 1_025, ..TUNING }, none, "found 1025"),
            (Tuning { max_in_flight: 0, ..TUNING }, none, "`max-in-flight` is from 1 to 1000000, found 0"),
            (Tuning { max_in_flight: 1_000_001, ..TUNING }, none, "found 1000001"),
            (Tuning { max_in_flight: 2, ..TUNING }, key, "must not be less than `concurrency` (3)"),
            (Tuning { max_in_flight: 1_025, ..TUNING }, key, "at most 1024, found 1025"),
            (Tuning { rate_limit: Some(0.0), ..TUNING }, none, "`rate-limit` is from 0.001"),
            (Tuning { rate_limit: Some(f64::NAN), ..TUNING }, none, "found NaN"),
            (Tuning { rate_limit: Some(-1.0), ..TUNING }, none, "found -1"),
        ] {
            let message = tuning.check(ordering, true).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(Tuning { max_in_flight: 2, ..TUNING }.check(none, false), Ok(()));
        assert_eq!(Tuning { rate_limit: Some(0.5), ..TUNING }.check(key, true), Ok(()));
    }
}
