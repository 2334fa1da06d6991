//! I1: no loss.

use std::collections::HashMap;

use super::{Place, Settlement, Violation};
use crate::ledger::Entry;

/// I1: every acknowledged record is done, skipped by policy, or readable in a dead-letter topic.
pub fn no_loss(settlement: &Settlement<'_>) -> Vec<Violation> {
    let mut attempts: HashMap<u64, Vec<&Entry>> = HashMap::new();
    for entry in settlement.entries {
        attempts.entry(entry.uid).or_default().push(entry);
    }
    let mut violations = Vec::new();
    for produced in settlement.acked {
        let entries = attempts.get(&produced.uid).map_or(&[][..], Vec::as_slice);
        let settled = settlement.dead_lettered.contains(&produced.uid)
            || entries.iter().any(|entry| entry.outcome.settles());
        if settled {
            continue;
        }
        violations.push(Violation::Lost {
            uid: produced.uid,
            place: Place::from(produced),
            attempts: entries.len(),
            last_outcome: entries.iter().max_by_key(|entry| entry.end_ns).map(|entry| entry.outcome),
        });
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::fixture::{attempt, produced};
    use super::*;
    use crate::ledger::Outcome::{self, Done, Error, Panic, Skipped};

    #[test]
    fn a_record_counts_only_if_it_was_done_skipped_or_dead_lettered() {
        let cases: &[(&str, &[Outcome], &[u64], bool)] = &[
            ("done", &[Done], &[], true),
            ("done at the second attempt", &[Error, Done], &[], true),
            ("done, and failed when repeated", &[Done, Error], &[], true),
            ("skipped", &[Skipped], &[], true),
            ("dead-lettered after attempts", &[Error, Panic], &[0], true),
            ("dead-lettered without any", &[], &[0], true),
            ("never attempted", &[], &[], false),
            ("failed for good", &[Error, Error, Panic], &[], false),
            ("another record dead-lettered", &[Error], &[1], false),
        ];
        for (name, outcomes, dead_lettered, holds) in cases {
            let acked = [produced(0, 0)];
            let entries: Vec<_> =
                (0..).zip(*outcomes).map(|(time, outcome)| attempt(0, time..time + 1, *outcome)).collect();
            let dead_lettered = dead_lettered.iter().copied().collect::<HashSet<_>>();
            let violations =
                no_loss(&Settlement { acked: &acked, entries: &entries, dead_lettered: &dead_lettered });
            assert_eq!(violations.is_empty(), *holds, "{name}: {violations:?}");
        }
    }

    #[test]
    fn a_loss_names_the_record_its_place_and_its_last_outcome() {
        let entries = [attempt(4, 0..1, Error), attempt(4, 2..3, Panic)];
        let settlement =
            Settlement { acked: &[produced(0, 4)], entries: &entries, dead_lettered: &HashSet::new() };
        assert_eq!(
            no_loss(&settlement)[0].to_string(),
            "I1 no loss: record 4 at t[0]@4 was acknowledged and never settled; \
             the last of its 2 attempts ended with `panic`",
        );
    }
}
