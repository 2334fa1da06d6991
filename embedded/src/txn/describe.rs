//! What is told about transactions.

use super::{Entry, Ledger, ProducerIdentity};

/// What a transactional id is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxnState {
    Empty,
    Ongoing,
    CompleteCommit,
    CompleteAbort,
}

impl TxnState {
    /// Kafka's names, also of those states that do not last here: to filter by one of them is no mistake.
    pub(crate) const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

/// A transactional id, as tools show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) producer: ProducerIdentity,
    pub(crate) state: TxnState,
    pub(crate) timeout_ms: u64,
    /// When the open or the last transaction began, by the clock of deadlines.
    pub(crate) since_ms: Option<u64>,
    /// The partitions of the open transaction, in order.
    pub(crate) partitions: Vec<(String, i32)>,
}

impl Ledger {
    /// `None` for an id that is unknown.
    pub(crate) fn describe(&self, id: &str) -> Option<Described> {
        self.entries.get(id).map(Entry::describe)
    }

    /// Every id, in the order of their names.
    pub(crate) fn describe_all(&self) -> Vec<(String, Described)> {
        let mut all: Vec<_> = self.entries.iter().map(|(id, entry)| (id.clone(), entry.describe())).collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

impl Entry {
    fn describe(&self) -> Described {
        let state = match (&self.open, self.last) {
            (Some(_), _) => TxnState::Ongoing,
            (None, Some(last)) if last.committed => TxnState::CompleteCommit,
            (None, Some(_)) => TxnState::CompleteAbort,
            (None, None) => TxnState::Empty,
        };
        let open = self.open.as_ref();
        Described {
            producer: self.producer,
            state,
            timeout_ms: self.timeout_ms,
            since_ms: open.map(|open| open.since_ms).or(self.last.map(|last| last.since_ms)),
            partitions: open.map(|open| open.partitions.iter().cloned().collect()).unwrap_or_default(),
        }
    }
}
