//! I2: no commit passes an unsettled record.

use std::collections::{BTreeMap, HashMap};

use super::{Place, Settlement, Violation};
use crate::observer::Sample;

/// Never settled, as far as the ledger knows.
const NEVER: u64 = u64::MAX;

/// One partition: its records by offset, each with the time by which it and all before it were settled.
struct Frontier {
    offsets: Vec<i64>,
    settled_through_ns: Vec<u64>,
    settled_ns: Vec<u64>,
}

/// I2: at each sample, every record below the committed offset is settled in the ledger by then.
///
/// A dead-lettered record counts as settled from the end of its last attempt. Each offset that was committed too early
/// is reported once, with the first sample that shows it.
pub fn commits_behind_frontier(settlement: &Settlement<'_>, samples: &[Sample]) -> Vec<Violation> {
    let frontiers = frontiers(settlement);
    let mut reported: HashMap<(&str, i32), i64> = HashMap::new();
    let mut violations = Vec::new();
    for sample in samples {
        let partition = (sample.topic.as_str(), sample.partition);
        let (Some(committed), Some(frontier)) = (sample.committed, frontiers.get(&partition)) else {
            continue;
        };
        let Some(offset) = frontier.first_unsettled_below(committed, sample.at_ns) else { continue };
        if reported.insert(partition, committed) == Some(committed) {
            continue;
        }
        let first_unsettled = Place { topic: sample.topic.clone(), partition: sample.partition, offset };
        violations.push(Violation::CommitPastFrontier { first_unsettled, committed, at_ns: sample.at_ns });
    }
    violations
}

/// I2: no sample shows a lower committed offset than one before it, or none where there was one. Each step back is
/// reported.
pub fn commits_never_go_back(samples: &[Sample]) -> Vec<Violation> {
    let mut last: HashMap<(&str, i32), i64> = HashMap::new();
    let mut violations = Vec::new();
    for sample in samples {
        let (partition, to, at_ns) = (sample.partition, sample.committed.unwrap_or(0), sample.at_ns);
        let Some(from) = last.insert((&sample.topic, partition), to).filter(|from| *from > to) else {
            continue;
        };
        violations.push(Violation::CommitWentBack { partition, from, to, at_ns });
    }
    violations
}

fn frontiers<'a>(settlement: &Settlement<'a>) -> HashMap<(&'a str, i32), Frontier> {
    // For each offset that exists: when it was settled first.
    let mut settled: HashMap<(&str, i32), BTreeMap<i64, u64>> = HashMap::new();
    for produced in settlement.acked {
        let partition = settled.entry((&produced.topic, produced.partition)).or_default();
        // Only a dead-lettered record may be settled without an attempt: one that could not be decoded.
        let unattempted = if settlement.dead_lettered.contains(&produced.uid) { 0 } else { NEVER };
        partition.insert(produced.offset, unattempted);
    }
    let mut last_attempt: HashMap<u64, (u64, (&str, i32), i64)> = HashMap::new();
    for entry in settlement.entries {
        let partition = (entry.topic.as_str(), entry.partition);
        let first = settled.entry(partition).or_default().entry(entry.offset).or_insert(NEVER);
        if entry.outcome.settles() {
            // 0 is the mark of "dead-lettered", whose time is set below.
            *first = if *first == 0 { entry.end_ns } else { entry.end_ns.min(*first) };
        } else if settlement.dead_lettered.contains(&entry.uid) {
            let last = last_attempt.entry(entry.uid).or_insert((0, partition, entry.offset));
            last.0 = last.0.max(entry.end_ns);
        }
    }
    for (end_ns, partition, offset) in last_attempt.into_values() {
        if let Some(first) = settled.get_mut(&partition).and_then(|offsets| offsets.get_mut(&offset)) {
            *first = if matches!(*first, 0 | NEVER) { end_ns } else { *first };
        }
    }
    settled.into_iter().map(|(partition, offsets)| (partition, Frontier::new(offsets))).collect()
}

impl Frontier {
    fn new(settled: BTreeMap<i64, u64>) -> Self {
        let (offsets, settled_ns): (Vec<i64>, Vec<u64>) = settled.into_iter().unzip();
        let settled_through_ns = settled_ns
            .iter()
            .scan(0, |latest, at_ns| {
                *latest = (*at_ns).max(*latest);
                Some(*latest)
            })
            .collect();
        Self { offsets, settled_through_ns, settled_ns }
    }

    fn first_unsettled_below(&self, committed: i64, at_ns: u64) -> Option<i64> {
        let covered = self.offsets.partition_point(|offset| *offset < committed);
        let settled = self.settled_through_ns[..covered].partition_point(|through_ns| *through_ns <= at_ns);
        if settled == covered {
            return None;
        }
        debug_assert!(
            self.settled_ns[settled] > at_ns,
            "the running maximum grows at an unsettled record only"
        );
        Some(self.offsets[settled])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::fixture::{attempt, done, produced, sample};
    use super::*;
    use crate::ledger::Entry;
    use crate::ledger::Outcome::{Error, Skipped};

    /// Entries, dead-lettered uids, samples.
    type History<'a> = (&'a [Entry], &'a [u64], &'a [Sample]);

    fn judge((entries, dead_lettered, samples): History<'_>) -> Vec<Violation> {
        // Offset 3 does not exist: compacted, or a transaction marker.
        let acked = [0, 1, 2, 4].map(|offset| produced(0, offset));
        let dead_lettered = dead_lettered.iter().copied().collect::<HashSet<_>>();
        commits_behind_frontier(
            &Settlement { acked: &acked, entries, dead_lettered: &dead_lettered },
            samples,
        )
    }

    #[test]
    fn a_commit_that_goes_back_is_found_once_for_each_step() {
        let cases: [(&[Option<i64>], usize); 4] = [
            (&[None, Some(0), Some(3), Some(3), Some(9)], 0),
            (&[Some(3), Some(2), Some(2), Some(5)], 1),
            (&[Some(3), None], 1),
            (&[Some(3), Some(2), Some(1)], 2),
        ];
        for (committed, steps_back) in cases {
            let samples: Vec<Sample> =
                (1..).zip(committed).map(|(at_ns, committed)| sample(at_ns, *committed, 9)).collect();
            assert_eq!(commits_never_go_back(&samples).len(), steps_back, "{committed:?}");
        }
    }

    #[test]
    fn commits_that_follow_the_frontier_hold() {
        let in_order = [done(0, 1..10), attempt(1, 11..20, Skipped), done(2, 21..30), done(4, 31..40)];
        let parallel = [done(4, 1..5), done(2, 1..6), done(1, 1..7), done(0, 1..8)];
        let letters = [done(0, 1..10), attempt(1, 11..12, Error), attempt(1, 13..14, Error)];
        let cases: &[(&str, History<'_>)] = &[
            ("nothing committed", (&[], &[], &[sample(5, None, 5), sample(6, Some(0), 5)])),
            (
                "step by step",
                (&in_order, &[], &[sample(10, Some(1), 5), sample(25, Some(2), 5), sample(40, Some(5), 5)]),
            ),
            ("over a gap", (&in_order, &[], &[sample(30, Some(4), 5)])),
            ("all at once", (&parallel, &[], &[sample(8, Some(5), 5)])),
            ("over a dead letter", (&letters, &[1], &[sample(14, Some(2), 5)])),
            ("over an undecodable dead letter", (&[], &[0], &[sample(1, Some(1), 5)])),
        ];
        for (name, history) in cases {
            assert_eq!(judge(*history), [], "{name}");
        }
    }

    #[test]
    fn a_commit_past_an_unsettled_record_is_found() {
        let parallel = [done(4, 1..5), done(2, 1..6), done(1, 1..7), done(0, 1..8)];
        let failed = [done(0, 1..2), attempt(1, 3..4, Error), done(2, 5..6)];
        let letter = [done(0, 1..2), attempt(1, 3..4, Error), attempt(1, 8..9, Error)];
        let cases: &[(&str, History<'_>, i64)] = &[
            ("nothing was attempted", (&[], &[], &[sample(9, Some(1), 5)]), 0),
            ("the highest done, not the lowest", (&parallel, &[], &[sample(6, Some(5), 5)]), 0),
            ("a moment too early", (&parallel, &[], &[sample(7, Some(1), 5)]), 0),
            ("an error taken for success", (&failed, &[], &[sample(9, Some(3), 5)]), 1),
            ("one too many", (&failed[..1], &[], &[sample(9, Some(2), 5)]), 1),
            ("before a dead letter's last attempt", (&letter, &[1], &[sample(5, Some(2), 5)]), 1),
        ];
        for (name, history, offset) in cases {
            let found = judge(*history);
            let [Violation::CommitPastFrontier { first_unsettled, .. }] = &found[..] else {
                panic!("{name}: {found:?}");
            };
            assert_eq!(first_unsettled.offset, *offset, "{name}");
        }
    }

    #[test]
    fn one_bad_commit_seen_in_many_samples_is_one_violation() {
        let samples: Vec<Sample> = (0..10).map(|at_ns| sample(at_ns, Some(1), 5)).collect();
        assert_eq!(judge((&[], &[], &samples)).len(), 1);
    }
}
