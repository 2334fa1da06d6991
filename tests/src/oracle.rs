//! The oracle: pure functions from a history to violations of the delivery invariants.
//!
//! | | invariant | function | in words |
//! |---|---|---|---|
//! | I1 | no loss | [`no_loss`] | what was acknowledged is done, skipped by policy, or readable in a dead-letter topic |
//! | I2 | commit ≤ frontier | [`commits_behind_frontier`] | no committed offset ever passes an unsettled record |
//! | | | [`commits_never_go_back`] | … and a committed offset only ever grows |
//! | I3 | bounded duplicates | [`bounded_duplicates`] | repeats happen after a disruption only, and no more than so many each |
//! | I4 | order | [`ordered`] | records of a lane are done, and attempted, one after the other |
//! | I5 | no zombie | [`no_zombies`] | nothing of an assignment counts after it was revoked or lost |
//! | I6 | liveness | [`live`] | the lag shrinks while it can, and is gone soon after the last fault |
//! | I7 | clean exit | [`clean_exit`] | a polite stop is in time, with 0, committed, and repeats nothing |
//! | I8 | bounded memory | [`bounded_memory`], [`bounded_queues`] | memory and queues stay within what was configured |
//! | I9 | no silent death | [`no_silent_death`] | what ends is noticed: health, exit code or restart, and joined tasks |
//!
//! A history belongs to one consumer group. A test with several listeners on a topic splits its entries first.
//!
//! ```
//! use kafka_boot_tests::ledger::Produced;
//! use kafka_boot_tests::oracle::{Settlement, assert_holds, no_loss};
//! use std::collections::HashSet;
//!
//! let acked = [Produced { uid: 1, topic: "t".into(), partition: 0, offset: 0, key: None, seq: 0 }];
//! let dead_lettered = HashSet::from([1]);
//! assert_holds(&no_loss(&Settlement { acked: &acked, entries: &[], dead_lettered: &dead_lettered }));
//! ```

use std::collections::HashSet;
use std::fmt;

use crate::ledger::{Entry, Produced};

mod death;
mod duplicates;
#[cfg(test)]
mod fixture;
mod frontier;
mod liveness;
mod loss;
mod memory;
mod order;
mod shutdown;
mod violation;
mod zombie;

pub use death::{Death, TaskCount, no_silent_death};
pub use duplicates::{Disruptions, bounded_duplicates};
pub use frontier::{commits_behind_frontier, commits_never_go_back};
pub use liveness::{LivenessBounds, live};
pub use loss::no_loss;
pub use memory::{MemoryBounds, MemorySample, QueueSample, bounded_memory, bounded_queues};
pub use order::{Lane, ordered};
pub use shutdown::{CleanExit, clean_exit};
pub use violation::{Invariant, Violation};
pub use zombie::no_zombies;

/// How many violations a failed assertion shows.
const SHOWN_VIOLATIONS: usize = 20;

/// What is known about the fate of the records of a run.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// The records the broker acknowledged.
    pub acked: &'a [Produced],
    /// The attempts in the ledger.
    pub entries: &'a [Entry],
    /// The numbers of the records that were read back from dead-letter topics.
    pub dead_lettered: &'a HashSet<u64>,
}

/// A record's place in the cluster; shown as `orders[2]@17`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// Fails the test if there are violations, and shows the first of them.
///
/// # Panics
///
/// When `violations` is not empty.
#[track_caller]
pub fn assert_holds(violations: &[Violation]) {
    if violations.is_empty() {
        return;
    }
    let shown: Vec<String> =
        violations.iter().take(SHOWN_VIOLATIONS).map(|violation| format!("  {violation}")).collect();
    panic!(
        "{} violations (KAFKA_BOOT_SEED={}), the first of them:\n{}",
        violations.len(),
        crate::seed::seed(),
        shown.join("\n"),
    );
}

impl From<&Produced> for Place {
    fn from(produced: &Produced) -> Self {
        Self { topic: produced.topic.clone(), partition: produced.partition, offset: produced.offset }
    }
}

impl From<&Entry> for Place {
    fn from(entry: &Entry) -> Self {
        Self { topic: entry.topic.clone(), partition: entry.partition, offset: entry.offset }
    }
}
