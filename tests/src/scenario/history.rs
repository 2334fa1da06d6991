//! What a scenario left behind, and the verdict on it.

use std::collections::HashSet;

use crate::ledger::{Entry, Produced};
use crate::observer::Sample;
use crate::oracle::{
    CleanExit, Disruptions, Lane, Settlement, Violation, bounded_duplicates, clean_exit,
    commits_behind_frontier, commits_never_go_back, no_loss, ordered,
};

/// What a scenario left behind.
#[derive(Debug)]
pub struct History {
    /// The records the broker acknowledged.
    pub acked: Vec<Produced>,
    /// The attempts in the ledger.
    pub entries: Vec<Entry>,
    /// What the group had committed, over time.
    pub samples: Vec<Sample>,
    /// When processes were killed or otherwise disrupted, in nanoseconds of [`crate::ledger::now_ns`].
    pub disrupted_ns: Vec<u64>,
    /// The polite stops, each with a look at the group right after it.
    pub exits: Vec<(CleanExit, Vec<Sample>)>,
    /// What is handled one record after the other.
    pub lane: Lane,
    /// The topic that the records are in.
    pub topic: String,
    /// The numbers of the records in the dead-letter topic, as often as they are there.
    pub dead_letters: Vec<u64>,
    /// The numbers of the records in retry topics.
    pub retried: HashSet<u64>,
}

impl History {
    /// Every violation of I1, I2, I3, I4 and I7, where each disruption excuses `repeats_each` repeats.
    pub fn judge(&self, repeats_each: usize) -> Vec<Violation> {
        let dead_lettered: HashSet<u64> = self.dead_letters.iter().copied().collect();
        let settlement =
            Settlement { acked: &self.acked, entries: &self.entries, dead_lettered: &dead_lettered };
        // Of the listener's own topic, a record is done as well when it waits elsewhere for its next attempt.
        let own: Vec<Entry> =
            self.entries.iter().filter(|entry| entry.topic == self.topic).cloned().collect();
        let elsewhere: HashSet<u64> = dead_lettered.union(&self.retried).copied().collect();
        let of_topic = Settlement { acked: &self.acked, entries: &own, dead_lettered: &elsewhere };
        let disruptions = Disruptions { at_ns: self.disrupted_ns.clone(), allowed_each: repeats_each };
        let mut violations = [
            no_loss(&settlement),
            commits_behind_frontier(&of_topic, &self.samples),
            commits_never_go_back(&self.samples),
            bounded_duplicates(&self.entries, &disruptions),
            ordered(&own, self.lane),
        ]
        .concat();
        for (exit, committed) in &self.exits {
            violations.extend(clean_exit(exit, &self.entries, committed));
        }
        violations
    }

    /// How many records are neither done nor dead letters.
    pub fn lost(&self) -> usize {
        let dead_lettered: HashSet<u64> = self.dead_letters.iter().copied().collect();
        let settlement =
            Settlement { acked: &self.acked, entries: &self.entries, dead_lettered: &dead_lettered };
        no_loss(&settlement).len()
    }

    /// How many times a record was done that had been done before.
    pub fn repeats(&self) -> usize {
        let done: Vec<u64> =
            self.entries.iter().filter(|entry| entry.outcome.settles()).map(|entry| entry.uid).collect();
        done.len() - done.iter().collect::<HashSet<_>>().len()
    }
}
