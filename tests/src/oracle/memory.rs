//! I8: bounded memory.

use super::Violation;

/// Resident memory of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySample {
    /// When, in nanoseconds of [`crate::ledger::now_ns`].
    pub at_ns: u64,
    /// How much, in bytes.
    pub resident_bytes: u64,
}

/// How much memory a process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBounds {
    /// What it takes when it is connected and idle, in bytes.
    pub base_bytes: u64,
    /// What its configuration lets it buffer, in bytes.
    pub buffer_bytes: u64,
}

/// The length of a queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSample {
    /// When, in nanoseconds of [`crate::ledger::now_ns`].
    pub at_ns: u64,
    /// The queue's name, as its metric has it.
    pub name: String,
    /// How much is in it.
    pub length: u64,
    /// How much it may hold.
    pub bound: u64,
}

impl MemoryBounds {
    /// Base and buffers plus 20 %, in bytes.
    pub fn limit_bytes(self) -> u64 {
        let expected = self.base_bytes.saturating_add(self.buffer_bytes);
        expected.saturating_add(expected / 5)
    }
}

/// I8: resident memory stays within base and configured buffers plus 20 %. The highest sample above that is reported.
pub fn bounded_memory(samples: &[MemorySample], bounds: MemoryBounds) -> Vec<Violation> {
    let limit_bytes = bounds.limit_bytes();
    let highest = samples.iter().max_by_key(|sample| sample.resident_bytes);
    let violation = highest.filter(|sample| sample.resident_bytes > limit_bytes).map(|sample| {
        let MemorySample { at_ns, resident_bytes } = *sample;
        Violation::TooMuchMemory { resident_bytes, limit_bytes, at_ns }
    });
    violation.into_iter().collect()
}

/// I8: no queue holds more than its bound.
pub fn bounded_queues(samples: &[QueueSample]) -> Vec<Violation> {
    let over = samples.iter().filter(|sample| sample.length > sample.bound);
    over.map(|sample| {
        let QueueSample { at_ns, name, length, bound } = sample.clone();
        Violation::QueueOverBound { name, length, bound, at_ns }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_by_base_and_buffers_plus_a_fifth() {
        let bounds = MemoryBounds { base_bytes: 60, buffer_bytes: 40 };
        for (peak, holds) in [(0, true), (100, true), (120, true), (121, false)] {
            let samples = [10, peak, 10].map(|resident_bytes| MemorySample { at_ns: 7, resident_bytes });
            assert_eq!(bounded_memory(&samples, bounds).is_empty(), holds, "{peak}");
        }
    }

    #[test]
    fn a_queue_over_its_bound_is_found_by_name() {
        let sample =
            |length| QueueSample { at_ns: 2_000_000_000, name: "lane-0".to_owned(), length, bound: 8 };
        assert_eq!(bounded_queues(&[sample(0), sample(8)]), []);
        let found = bounded_queues(&[sample(8), sample(9)]);
        assert_eq!(found[0].to_string(), "I8 bounded memory: queue `lane-0` held 9 of at most 8 at 2.000 s");
    }
}
