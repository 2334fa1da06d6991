//! I5: no zombie.

use std::collections::HashMap;

use super::{Place, Violation};
use crate::ledger::{Event, EventKind};

/// One assignment of a partition: instance, topic, partition, generation.
type Assignment<'a> = (&'a str, &'a str, i32, i64);

/// I5: after the handling of a revocation or loss has returned, nothing of that assignment is settled and no commit of
/// it is accepted.
pub fn no_zombies(events: &[Event]) -> Vec<Violation> {
    let mut ended: HashMap<Assignment<'_>, u64> = HashMap::new();
    for event in events.iter().filter(|event| matches!(event.kind, EventKind::Revoked | EventKind::Lost)) {
        let end = ended.entry(assignment(event)).or_insert(event.at_ns);
        *end = event.at_ns.min(*end);
    }
    let mut violations = Vec::new();
    for event in events {
        let Some(end_ns) = ended.get(&assignment(event)) else { continue };
        let (EventKind::Settled(offset) | EventKind::CommitAccepted(offset)) = event.kind else { continue };
        if event.at_ns <= *end_ns {
            continue;
        }
        let place = Place { topic: event.topic.clone(), partition: event.partition, offset };
        let (instance, generation) = (event.instance.clone(), event.generation);
        let late_by_ns = event.at_ns - end_ns;
        violations.push(if matches!(event.kind, EventKind::Settled(_)) {
            Violation::ZombieResult { place, instance, generation, late_by_ns }
        } else {
            Violation::ZombieCommit { place, instance, generation, late_by_ns }
        });
    }
    violations
}

fn assignment(event: &Event) -> Assignment<'_> {
    (&event.instance, &event.topic, event.partition, event.generation)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::event;
    use super::*;
    use EventKind::{Assigned, CommitAccepted, CommitRefused, CommitSent, Lost, Revoked, Settled};

    #[test]
    fn an_assignment_that_ends_before_the_next_begins_holds() {
        let events = [
            event(1, 1, Assigned),
            event(2, 1, Settled(0)),
            event(3, 1, CommitSent(1)),
            event(4, 1, CommitAccepted(1)),
            event(5, 1, Revoked),
            event(6, 2, Assigned),
            event(7, 2, Settled(1)),
            event(8, 2, CommitAccepted(2)),
            event(9, 2, Lost),
            event(10, 2, CommitSent(3)),
            event(11, 2, CommitRefused(3)),
        ];
        assert_eq!(no_zombies(&events), []);
    }

    #[test]
    fn whatever_counts_after_the_end_of_its_assignment_is_found() {
        for (end, late) in [
            (Revoked, Settled(7)),
            (Revoked, CommitAccepted(7)),
            (Lost, Settled(7)),
            (Lost, CommitAccepted(7)),
        ] {
            let events = [event(1, 1, Assigned), event(5, 1, end), event(6, 2, Assigned), event(9, 1, late)];
            let found = no_zombies(&events);
            assert_eq!(found.len(), 1, "{late:?} after {end:?}");
            assert!(found[0].to_string().contains("t[0]@7"), "{}", found[0]);
            assert!(found[0].to_string().ends_with("of its generation 1"), "{}", found[0]);
        }
    }
}
