//! What the oracle finds: typed, with a text a reader can act on.

use crate::ledger::Outcome;

use super::Place;

/// The invariants that a violation can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// I1.
    NoLoss,
    /// I2.
    CommitBehindFrontier,
    /// I3.
    BoundedDuplicates,
    /// I4.
    Order,
    /// I5.
    NoZombie,
    /// I6.
    Liveness,
    /// I7.
    CleanExit,
    /// I8.
    BoundedMemory,
    /// I9.
    NoSilentDeath,
}

/// One way in which a history breaks an invariant. Times are of [`crate::ledger::now_ns`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is documented, and its text names the fields")]
pub enum Violation {
    /// I1: a record was acknowledged and never settled.
    #[error("I1 no loss: record {uid} at {place} was acknowledged and never settled; {}", attempted(*attempts, *last_outcome))]
    Lost { uid: u64, place: Place, attempts: usize, last_outcome: Option<Outcome> },

    /// I2: at this moment a commit covered a record that was not settled.
    #[error("I2 commit behind frontier: {committed} was committed at {} although {first_unsettled} was not settled", seconds(*at_ns))]
    CommitPastFrontier { first_unsettled: Place, committed: i64, at_ns: u64 },

    /// I2: a committed offset was lower than one before it.
    #[error("I2 commit behind frontier: the commit of partition {partition} went back from {from} to {to} at {}", seconds(*at_ns))]
    CommitWentBack { partition: i32, from: i64, to: i64, at_ns: u64 },

    /// I3: a record was done again before anything had gone wrong.
    #[error("I3 bounded duplicates: record {uid} at {place} was done again at {}, before any disruption", seconds(*at_ns))]
    DuplicateWithoutCause { uid: u64, place: Place, at_ns: u64 },

    /// I3: more was repeated than the disruptions so far excuse.
    #[error(
        "I3 bounded duplicates: {extra} records were repeated after {disruptions} disruptions, which excuse {allowed}"
    )]
    TooManyDuplicates { disruptions: usize, extra: usize, allowed: usize },

    /// I4: a record was done for the first time after a later one of its lane.
    #[error("I4 order: in lane {lane}, {place} was first done after {after}")]
    DoneOutOfOrder { lane: String, place: Place, after: Place },

    /// I4: a record was attempted although one before it in its lane was not finished.
    #[error(
        "I4 order: in lane {lane}, an attempt of {place} began before {before_end_of} was finished (generation {generation})"
    )]
    AttemptedOutOfOrder { lane: String, place: Place, before_end_of: Place, generation: i64 },

    /// I5: a commit was accepted for an assignment that was over.
    #[error("I5 no zombie: `{instance}` committed {place} {} after the end of its generation {generation}", seconds(*late_by_ns))]
    ZombieCommit { place: Place, instance: String, generation: i64, late_by_ns: u64 },

    /// I5: a result was applied to an assignment that was over.
    #[error("I5 no zombie: `{instance}` settled {place} {} after the end of its generation {generation}", seconds(*late_by_ns))]
    ZombieResult { place: Place, instance: String, generation: i64, late_by_ns: u64 },

    /// I6: records were left over when they should long have been read.
    #[error("I6 liveness: partition {partition} still had a lag of {lag} {} after the last fault", seconds(*after_last_fault_ns))]
    NotDrained { partition: i32, lag: i64, after_last_fault_ns: u64 },

    /// I6: nothing was committed for too long although there was something to read.
    #[error("I6 liveness: partition {partition} stood at {} of {end} for {}", committed.unwrap_or(0), seconds(*for_ns))]
    Stalled { partition: i32, committed: Option<i64>, end: i64, for_ns: u64 },

    /// I7: the process ended with another code than 0; without a code, a signal ended it.
    #[error("I7 clean exit: `{instance}` exited with {code:?} instead of 0")]
    WrongExitCode { instance: String, code: Option<i32> },

    /// I7: the process took too long to end.
    #[error("I7 clean exit: `{instance}` took {} to exit, more than {}", seconds(*took_ns), seconds(*limit_ns))]
    SlowExit { instance: String, took_ns: u64, limit_ns: u64 },

    /// I7: the process ended without leaving its group.
    #[error("I7 clean exit: `{instance}` exited without leaving its group")]
    StillInGroup { instance: String },

    /// I7: what was settled before the exit was not committed by it.
    #[error("I7 clean exit: `{instance}` settled {settled} but left {} committed when it exited", committed.unwrap_or(0))]
    NotCommittedAtExit { instance: String, settled: Place, committed: Option<i64> },

    /// I7: a record that a cleanly stopped instance had done was done again.
    #[error("I7 clean exit: record {uid} at {place} was done by a cleanly stopped instance and then again")]
    RepeatedAfterCleanExit { uid: u64, place: Place },

    /// I8: more memory was resident than base and buffers explain.
    #[error("I8 bounded memory: {resident_bytes} bytes were resident at {}, more than {limit_bytes}", seconds(*at_ns))]
    TooMuchMemory { resident_bytes: u64, limit_bytes: u64, at_ns: u64 },

    /// I8: a queue held more than its bound.
    #[error("I8 bounded memory: queue `{name}` held {length} of at most {bound} at {}", seconds(*at_ns))]
    QueueOverBound { name: String, length: u64, bound: u64, at_ns: u64 },

    /// I9: a part died, and health went on saying UP, for this long or without end.
    #[error("I9 no silent death: after `{what}` had died, health said UP {}", for_ns.map_or("to the end".to_owned(), |for_ns| format!("for {}", seconds(for_ns))))]
    HealthyThoughDead { what: String, for_ns: Option<u64> },

    /// I9: a part died, and was neither restarted nor did the process end with a failure.
    #[error(
        "I9 no silent death: `{what}` died, was not restarted, and the process's exit code is {exit_code:?}"
    )]
    NeitherRestartedNorExited { what: String, exit_code: Option<i32> },

    /// I9: tasks were started that nobody joined.
    #[error("I9 no silent death: {spawned} tasks were started and {joined} were joined")]
    TasksNotJoined { spawned: u64, joined: u64 },
}

impl Violation {
    /// The invariant this is a violation of.
    pub fn invariant(&self) -> Invariant {
        match self {
            Self::Lost { .. } => Invariant::NoLoss,
            Self::CommitPastFrontier { .. } | Self::CommitWentBack { .. } => Invariant::CommitBehindFrontier,
            Self::DuplicateWithoutCause { .. } | Self::TooManyDuplicates { .. } => {
                Invariant::BoundedDuplicates
            }
            Self::DoneOutOfOrder { .. } | Self::AttemptedOutOfOrder { .. } => Invariant::Order,
            Self::ZombieCommit { .. } | Self::ZombieResult { .. } => Invariant::NoZombie,
            Self::NotDrained { .. } | Self::Stalled { .. } => Invariant::Liveness,
            Self::WrongExitCode { .. }
            | Self::SlowExit { .. }
            | Self::StillInGroup { .. }
            | Self::NotCommittedAtExit { .. }
            | Self::RepeatedAfterCleanExit { .. } => Invariant::CleanExit,
            Self::TooMuchMemory { .. } | Self::QueueOverBound { .. } => Invariant::BoundedMemory,
            Self::HealthyThoughDead { .. }
            | Self::NeitherRestartedNorExited { .. }
            | Self::TasksNotJoined { .. } => Invariant::NoSilentDeath,
        }
    }
}

fn attempted(attempts: usize, last_outcome: Option<Outcome>) -> String {
    match last_outcome {
        Some(outcome) => format!("the last of its {attempts} attempts ended with `{outcome}`"),
        None => "it was never attempted".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three decimals")]
fn seconds(nanoseconds: u64) -> String {
    format!("{:.3} s", nanoseconds as f64 / 1e9)
}
