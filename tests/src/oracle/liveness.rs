//! I6: liveness.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::Violation;
use crate::observer::Sample;

/// What progress is owed, and when it is not.
#[derive(Debug, Clone)]
pub struct LivenessBounds {
    /// When the last fault ended, in nanoseconds of [`crate::ledger::now_ns`].
    pub last_fault_ns: u64,
    /// How long after that the lag must be gone; default 30 s.
    pub drained_within: Duration,
    /// How long a partition with lag may stand still; default 10 s.
    pub stall_limit: Duration,
    /// When standing still is excused: the broker was down, no member was alive, a policy had paused the partition.
    pub excused_ns: Vec<Range<u64>>,
}

impl LivenessBounds {
    /// The default bounds after a last fault at this time, with nothing excused.
    pub fn after(last_fault_ns: u64) -> Self {
        Self {
            last_fault_ns,
            drained_within: Duration::from_secs(30),
            stall_limit: Duration::from_secs(10),
            excused_ns: Vec::new(),
        }
    }
}

/// I6: each partition's lag is 0 within a bound after the last fault, and as long as there is lag, the committed offset
/// moves.
///
/// No samples at all are a violation by themselves only through the caller's own check: an empty history shows nothing.
pub fn live(samples: &[Sample], bounds: &LivenessBounds) -> Vec<Violation> {
    let mut partitions: BTreeMap<(&str, i32), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        partitions.entry((&sample.topic, sample.partition)).or_default().push(sample);
    }
    let mut violations = Vec::new();
    for samples in partitions.into_values() {
        violations.extend(not_drained(&samples, bounds));
        violations.extend(stalls(&samples, bounds));
    }
    violations
}

fn not_drained(samples: &[&Sample], bounds: &LivenessBounds) -> Option<Violation> {
    let due_ns = bounds.last_fault_ns.saturating_add(nanoseconds(bounds.drained_within));
    let in_time = samples
        .iter()
        .any(|sample| sample.lag() == 0 && (bounds.last_fault_ns..=due_ns).contains(&sample.at_ns));
    let last = samples.last()?;
    (!in_time).then(|| Violation::NotDrained {
        partition: last.partition,
        lag: last.lag(),
        after_last_fault_ns: last.at_ns.saturating_sub(bounds.last_fault_ns),
    })
}

fn stalls(samples: &[&Sample], bounds: &LivenessBounds) -> Vec<Violation> {
    let limit_ns = nanoseconds(bounds.stall_limit);
    let mut violations = Vec::new();
    let mut standing_since: Option<&Sample> = None;
    let mut reported = false;
    for sample in samples {
        let moved = standing_since.is_none_or(|since| since.committed != sample.committed);
        let excused = bounds.excused_ns.iter().any(|excuse| excuse.contains(&sample.at_ns));
        if moved || excused || sample.lag() == 0 {
            standing_since = Some(sample);
            reported = false;
            continue;
        }
        // A fault between two samples excuses as well: the time that counts begins after it.
        let since_ns = standing_since.map_or(sample.at_ns, |since| since.at_ns);
        let ended_in_between =
            bounds.excused_ns.iter().map(|excuse| excuse.end).filter(|end| *end <= sample.at_ns);
        let from_ns = ended_in_between.fold(since_ns, u64::max);
        let for_ns = sample.at_ns - from_ns;
        if for_ns > limit_ns && !reported {
            reported = true;
            let (partition, committed, end) = (sample.partition, sample.committed, sample.end);
            violations.push(Violation::Stalled { partition, committed, end, for_ns });
        }
    }
    violations
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::sample;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Second, committed, end.
    type Seen = (u64, i64, i64);

    /// A name, samples, and the seconds in which standing still is excused.
    type Case<'a> = (&'a str, &'a [Seen], Option<Range<u64>>);

    fn series(samples: &[Seen]) -> Vec<Sample> {
        samples.iter().map(|(at, committed, end)| sample(at * SECOND, Some(*committed), *end)).collect()
    }

    #[test]
    fn progress_and_excused_pauses_hold() {
        let cases: &[Case<'_>] = &[
            ("steady", &[(0, 0, 9), (5, 3, 9), (10, 6, 9), (15, 9, 9)], None),
            ("idle for long after all is read", &[(0, 9, 9), (100, 9, 9), (200, 9, 9)], None),
            (
                "a new record after a long idle time",
                &[(0, 9, 9), (29, 9, 9), (35, 9, 10), (40, 10, 10)],
                None,
            ),
            ("a broker down for 20 s", &[(0, 1, 9), (1, 2, 9), (22, 2, 9), (25, 9, 9)], Some(2..22)),
        ];
        for (name, samples, excused) in cases {
            let mut bounds = LivenessBounds::after(0);
            bounds.excused_ns = excused.iter().map(|span| span.start * SECOND..span.end * SECOND).collect();
            assert_eq!(live(&series(samples), &bounds), [], "{name}");
        }
    }

    #[test]
    fn a_group_that_stands_still_is_found() {
        let mut bounds = LivenessBounds::after(0);
        bounds.drained_within = Duration::from_mins(5);
        let found = live(&series(&[(0, 2, 9), (5, 2, 9), (11, 2, 9), (30, 2, 9), (31, 9, 9)]), &bounds);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].to_string(), "I6 liveness: partition 0 stood at 2 of 9 for 11.000 s");

        bounds.excused_ns = std::iter::once(SECOND..5 * SECOND).collect();
        let found = live(&series(&[(0, 2, 9), (16, 2, 9), (17, 9, 9)]), &bounds);
        assert_eq!(found.len(), 1, "an excuse that ended 11 s ago is none: {found:?}");
    }

    #[test]
    fn a_lag_that_is_never_or_too_late_gone_is_found() {
        let never = series(&[(0, 0, 9), (9, 5, 9), (18, 8, 9)]);
        assert_eq!(
            live(&never, &LivenessBounds::after(10 * SECOND))[0].to_string(),
            "I6 liveness: partition 0 still had a lag of 1 8.000 s after the last fault",
        );
        let late = series(&[(0, 0, 9), (9, 3, 9), (18, 4, 9), (27, 6, 9), (36, 9, 9)]);
        assert_eq!(live(&late, &LivenessBounds::after(0)).len(), 1);
        let unread = [sample(0, None, 3), sample(SECOND, None, 3)];
        assert_eq!(live(&unread, &LivenessBounds::after(0)).len(), 1);
    }
}
