//! What happened in a simulation, as others read it.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A simulation that has ended.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// What it was made of.
    pub seed: u64,
    /// The listener's settings and the faults, for a reader.
    pub plan: String,
    /// Everything that happened, in order, with the simulation's time in nanoseconds: no two at the same.
    pub notes: Vec<(u64, Note)>,
    /// The first invariant that did not hold, if one did not.
    pub failure: Option<String>,
    /// Whether records are handled in the order of their partition, or only in that of their key, or in none.
    pub order: SimulatedOrder,
    /// Whether handlers say by hand what is done: then they may do so in any order.
    pub is_manual: bool,
    /// Whether batches may go to the topic of dead letters, whose letters arrive in any order.
    pub has_letters_of_batches: bool,
}

impl Simulated {
    /// The same for the same history.
    pub fn hash(&self) -> u64 {
        // Its keys are always the same.
        let mut hasher = DefaultHasher::new();
        self.notes.hash(&mut hasher);
        hasher.finish()
    }
}

/// In which order records are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedOrder {
    /// That of their partition.
    Partition,
    /// That of their key.
    Key,
    /// None.
    None,
}

/// Something that happened. An `assignment` is one of one partition to one consumer: each has a number of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Note {
    Produced {
        partition: i32,
        offset: i64,
        key: Option<u64>,
    },
    /// A position was moved past records: nobody owes them any more.
    Excused {
        partition: i32,
        from: i64,
        to: i64,
    },
    Started {
        consumer: u32,
    },
    Ended {
        consumer: u32,
        exit: String,
    },
    Fault {
        what: &'static str,
        consumer: Option<u32>,
        millis: u64,
    },
    /// A consumer joins a rebalance, and says what it has.
    Joins {
        consumer: u32,
        generation: Option<i32>,
        owned: Vec<i32>,
    },
    /// The group has a generation that all members have joined, or the assignment of it.
    Generation {
        generation: i32,
        is_assigned: bool,
    },
    /// The group announces a rebalance.
    Asked {
        consumer: u32,
        what: &'static str,
        partitions: Vec<i32>,
    },
    Assigned {
        consumer: u32,
        assignment: u32,
        partition: i32,
    },
    Revoked {
        consumer: u32,
        assignment: u32,
        partition: i32,
    },
    Lost {
        consumer: u32,
        assignment: u32,
        partition: i32,
    },
    /// The consumer is gone, and did not say so.
    Crashed {
        consumer: u32,
        assignment: u32,
        partition: i32,
    },
    /// The consumer moved its own position.
    Sought {
        consumer: u32,
        assignment: u32,
        partition: i32,
        offset: i64,
    },
    AttemptStarted {
        assignment: u32,
        partition: i32,
        offset: i64,
        attempt: u32,
    },
    AttemptEnded {
        assignment: u32,
        partition: i32,
        offset: i64,
        key: Option<u64>,
        attempt: u32,
        started_ns: u64,
        outcome: AttemptOutcome,
    },
    /// The topic of dead letters has it.
    Lettered {
        assignment: u32,
        partition: i32,
        offset: i64,
        key: Option<u64>,
        is_late: bool,
    },
    Acknowledged {
        assignment: u32,
        partition: i32,
        offset: i64,
        key: Option<u64>,
        is_late: bool,
    },
    Nacked {
        assignment: u32,
        partition: i32,
        offset: i64,
    },
    CommitSent {
        consumer: u32,
        assignment: Option<u32>,
        partition: i32,
        offset: i64,
    },
    CommitAccepted {
        consumer: u32,
        assignment: Option<u32>,
        partition: i32,
        offset: i64,
    },
    /// How a commit was answered: empty if all of it is done, else the names of the errors.
    CommitAnswered {
        consumer: u32,
        number: usize,
        answer: String,
    },
    /// From here on no faults happen.
    Calm,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// Well.
    Done,
    /// With an error.
    Error,
    /// With a panic.
    Panic,
    /// With an error, and the policy counts the record as done.
    Skipped,
    /// With nothing: its lane was ended.
    Dropped,
}
