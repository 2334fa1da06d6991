//! I3: bounded duplicates.

use std::collections::HashMap;

use super::{Place, Violation};
use crate::ledger::{Entry, Outcome};

/// What went wrong during a run, and how many repeats each of it excuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disruptions {
    /// When each disruption began, in nanoseconds of [`crate::ledger::now_ns`], in order of time.
    pub at_ns: Vec<u64>,
    /// How many records each may cause to be done again: the sum over the partitions it hits of what was in flight or
    /// not committed there.
    pub allowed_each: usize,
}

/// I3: no record is done twice before the first disruption, and at any time not more records have been done again than
/// the disruptions so far excuse.
pub fn bounded_duplicates(entries: &[Entry], disruptions: &Disruptions) -> Vec<Violation> {
    let mut dones: HashMap<u64, Vec<&Entry>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.outcome == Outcome::Done) {
        dones.entry(entry.uid).or_default().push(entry);
    }
    let mut repeats: Vec<&Entry> = Vec::new();
    for mut same in dones.into_values().filter(|same| same.len() > 1) {
        same.sort_by_key(|entry| entry.end_ns);
        repeats.extend(&same[1..]);
    }
    // By when they ended: an attempt that a pause froze began long before the disruption that it is a repeat of.
    repeats.sort_by_key(|entry| (entry.end_ns, entry.uid));

    let first_ns = disruptions.at_ns.first().copied().unwrap_or(u64::MAX);
    let unexcused = repeats.partition_point(|entry| entry.end_ns < first_ns);
    let mut violations: Vec<Violation> = repeats[..unexcused]
        .iter()
        .map(|entry| Violation::DuplicateWithoutCause {
            uid: entry.uid,
            place: Place::from(*entry),
            at_ns: entry.end_ns,
        })
        .collect();

    for count in 1..=disruptions.at_ns.len() {
        let until_ns = disruptions.at_ns.get(count).copied().unwrap_or(u64::MAX);
        let extra = repeats.partition_point(|entry| entry.end_ns < until_ns) - unexcused;
        let allowed = count * disruptions.allowed_each;
        if extra > allowed {
            violations.push(Violation::TooManyDuplicates { disruptions: count, extra, allowed });
            // Whatever exceeds later bounds too would only say the same again.
            break;
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{attempt, done};
    use super::*;

    fn judge(entries: &[Entry], at_ns: &[u64], allowed_each: usize) -> Vec<String> {
        let disruptions = Disruptions { at_ns: at_ns.to_vec(), allowed_each };
        bounded_duplicates(entries, &disruptions).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn repeats_within_the_bound_hold() {
        let retried = [attempt(0, 1..2, Outcome::Error), done(0, 3..4)];
        assert_eq!(judge(&retried, &[], 0), [""; 0], "a retry is not a duplicate");
        let repeated = [done(0, 1..2), done(1, 3..4), done(0, 11..12), done(1, 13..14)];
        assert_eq!(judge(&repeated, &[10], 2), [""; 0]);
        let twice = [done(0, 1..2), done(0, 11..12), done(0, 21..22)];
        assert_eq!(judge(&twice, &[10, 20], 1), [""; 0]);
        let frozen = [done(0, 12..13), done(0, 5..30)];
        assert_eq!(
            judge(&frozen, &[10], 1),
            [""; 0],
            "an attempt that a pause stretched over the disruption"
        );
    }

    #[test]
    fn a_repeat_before_any_disruption_is_found() {
        let found = judge(&[done(7, 1..2), done(7, 3..4)], &[10], 100);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("record 7 at t[0]@7 was done again at 0.000 s, before any disruption"),
            "{found:?}"
        );
        assert_eq!(judge(&[done(7, 1..2), done(7, 3..4)], &[], 100).len(), 1);
    }

    #[test]
    fn more_repeats_than_the_disruptions_so_far_excuse_are_found() {
        let entries: Vec<Entry> = (0..3)
            .flat_map(|offset| [done(offset, 1..2), done(offset, 11..12)])
            .chain([done(9, 1..2), done(9, 31..32)])
            .collect();
        let found = judge(&entries, &[10, 30], 2);
        assert_eq!(
            found,
            ["I3 bounded duplicates: 3 records were repeated after 1 disruptions, which excuse 2"]
        );
        assert_eq!(judge(&entries, &[10, 30], 3), [""; 0]);
    }
}
