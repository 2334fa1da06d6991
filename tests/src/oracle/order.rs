//! I4: order.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Place, Violation};
use crate::ledger::Entry;

/// What is processed one record after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Each partition.
    Partition,
    /// Each key inside a partition; records without a key are one lane together.
    Key,
}

/// A lane's identity: topic, partition and, for [`Lane::Key`], the key.
type LaneId<'a> = (&'a str, i32, Option<&'a str>);

/// I4: in each lane, records are done for the first time in the order of their offsets, and within one assignment no
/// attempt begins before the records in front of it are finished.
///
/// Attempts that share their start are one batch, which may be tried again as a whole or from any of its records on.
pub fn ordered(entries: &[Entry], lane: Lane) -> Vec<Violation> {
    let mut lanes: BTreeMap<LaneId<'_>, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let key = if lane == Lane::Key { entry.key.as_deref() } else { None };
        lanes.entry((&entry.topic, entry.partition, key)).or_default().push(entry);
    }
    let mut violations = Vec::new();
    for (lane, entries) in lanes {
        let name = match lane {
            (topic, partition, None) => format!("{topic}[{partition}]"),
            (topic, partition, Some(key)) => format!("{topic}[{partition}] key `{key}`"),
        };
        first_dones_increase(&name, &entries, &mut violations);
        attempts_do_not_overtake(&name, entries, &mut violations);
    }
    violations
}

fn first_dones_increase(lane: &str, entries: &[&Entry], violations: &mut Vec<Violation>) {
    // A record that a policy left out had its turn: that it is done when it comes again later changes nothing.
    let mut dones: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.outcome.settles()).collect();
    // Records of one batch end together, in the order of their offsets.
    dones.sort_by_key(|entry| (entry.end_ns, entry.offset));
    let mut seen = HashSet::new();
    let mut furthest: Option<&Entry> = None;
    for entry in dones.into_iter().filter(|entry| seen.insert(entry.offset)) {
        match furthest {
            Some(after) if after.offset > entry.offset => violations.push(Violation::DoneOutOfOrder {
                lane: lane.to_owned(),
                place: Place::from(entry),
                after: Place::from(after),
            }),
            _ => furthest = Some(entry),
        }
    }
}

fn attempts_do_not_overtake(lane: &str, entries: Vec<&Entry>, violations: &mut Vec<Violation>) {
    let mut assignments: HashMap<(&str, i64), Vec<&Entry>> = HashMap::new();
    for entry in entries {
        assignments.entry((&entry.instance, entry.generation)).or_default().push(entry);
    }
    for mut attempts in assignments.into_values() {
        attempts.sort_by_key(|entry| (entry.start_ns, entry.offset));
        let rounds: Vec<&[&Entry]> = attempts.chunk_by(|one, other| one.start_ns == other.start_ns).collect();
        for pair in rounds.windows(2) {
            if let Some((entry, before_end_of)) = overtaking(pair[0], pair[1]) {
                violations.push(Violation::AttemptedOutOfOrder {
                    lane: lane.to_owned(),
                    place: Place::from(entry),
                    before_end_of: Place::from(before_end_of),
                    generation: entry.generation,
                });
            }
        }
    }
}

/// Of two rounds in order of their start, each sorted by offset: the attempt that began too early, and what it overtook.
fn overtaking<'a>(earlier: &[&'a Entry], later: &[&'a Entry]) -> Option<(&'a Entry, &'a Entry)> {
    let (first_earlier, last_earlier) = (*earlier.first()?, *earlier.last()?);
    let first_later = *later.first()?;
    if let Some(running) = earlier.iter().find(|entry| entry.end_ns > first_later.start_ns) {
        // Both cannot have been alone in the lane; the one further on is the one that should have waited.
        let later_last = *later.last()?;
        return Some((later_last, running));
    }
    let is_batch = earlier.len() > 1;
    let allowed_from = if is_batch { first_earlier.offset } else { last_earlier.offset };
    // Going back means that what was in front had not been finished when the earlier round began.
    (first_later.offset < allowed_from).then_some((last_earlier, first_later))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{attempt, done};
    use super::*;
    use crate::ledger::Outcome::{Error, Skipped};

    #[test]
    fn lanes_that_take_turns_hold() {
        let cases: &[(&str, Lane, Vec<Entry>)] = &[
            ("one after the other", Lane::Partition, vec![done(0, 1..2), done(1, 2..3), done(5, 4..6)]),
            (
                "a retry in place",
                Lane::Partition,
                vec![attempt(0, 1..2, Error), done(0, 3..4), done(1, 5..6)],
            ),
            ("a failure given up", Lane::Partition, vec![attempt(0, 1..2, Error), done(1, 5..6)]),
            ("a batch", Lane::Partition, vec![done(0, 1..5), done(1, 1..5), done(2, 6..7)]),
            (
                "a batch tried again",
                Lane::Partition,
                vec![
                    done(0, 1..5),
                    attempt(1, 1..5, Error),
                    attempt(2, 1..5, Error),
                    done(1, 6..9),
                    done(2, 6..9),
                ],
            ),
            ("keys in parallel", Lane::Key, vec![done(0, 1..9).keyed("a"), done(1, 2..3).keyed("b")]),
            (
                "the next owner repeats",
                Lane::Partition,
                vec![done(0, 1..2), done(1, 3..4), done(0, 5..6).by("b", 2), done(1, 7..8).by("b", 2)],
            ),
            (
                "left out, and done when it comes again",
                Lane::Partition,
                vec![
                    attempt(0, 1..2, Skipped),
                    done(1, 3..4),
                    done(0, 5..6).by("b", 2),
                    done(1, 7..8).by("b", 2),
                ],
            ),
            (
                "a frozen owner ends late",
                Lane::Partition,
                vec![done(0, 1..90), done(0, 5..6).by("b", 2), done(1, 7..8).by("b", 2)],
            ),
        ];
        for (name, lane, entries) in cases {
            assert_eq!(ordered(entries, *lane), [], "{name}");
        }
    }

    #[test]
    fn lanes_that_do_not_take_turns_are_found() {
        let cases: &[(&str, Lane, Vec<Entry>)] = &[
            ("done backwards", Lane::Partition, vec![done(1, 1..2), done(0, 3..4)]),
            ("overlapping", Lane::Partition, vec![done(0, 1..5), done(1, 3..7)]),
            (
                "keys in parallel under partition order",
                Lane::Partition,
                vec![done(0, 1..9).keyed("a"), done(1, 2..3).keyed("b")],
            ),
            ("one key in parallel", Lane::Key, vec![done(0, 1..9).keyed("a"), done(1, 2..3).keyed("a")]),
            ("records without keys in parallel", Lane::Key, vec![done(0, 1..9), done(1, 2..3)]),
            (
                "a retry behind its successor",
                Lane::Partition,
                vec![attempt(0, 1..2, Error), done(1, 3..4), done(0, 5..6)],
            ),
            ("across instances", Lane::Partition, vec![done(1, 1..2), done(0, 3..4).by("b", 2)]),
            ("the same record twice at once", Lane::Partition, vec![done(0, 1..5), done(0, 3..7)]),
        ];
        for (name, lane, entries) in cases {
            let found = ordered(entries, *lane);
            assert!(!found.is_empty(), "{name}");
            assert!(found.iter().all(|violation| violation.invariant() == super::super::Invariant::Order));
        }
    }

    #[test]
    fn a_violation_names_the_lane_and_both_records() {
        let found = ordered(&[done(3, 1..2).keyed("k"), done(2, 3..4).keyed("k")], Lane::Key);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "I4 order: in lane t[0] key `k`, t[0]@2 was first done after t[0]@3",
                "I4 order: in lane t[0] key `k`, an attempt of t[0]@3 began before t[0]@2 was finished (generation 1)",
            ]
        );
    }
}
