//! By what a record is done, beside its handler's return.

use super::AckTarget;
use crate::beans::AttemptScope;

/// What a handler may be given to say so, or to do it with.
#[derive(Debug, Clone)]
pub(crate) enum Completion {
    /// An `Ack`, where the function acknowledges.
    Ack(AckTarget),
    /// The transaction that the record's offset is part of.
    Transaction(AttemptScope),
}

impl Completion {
    pub(crate) fn ack(&self) -> Option<&AckTarget> {
        match self {
            Self::Ack(target) => Some(target),
            Self::Transaction(_) => None,
        }
    }

    pub(crate) fn transaction(&self) -> Option<&AttemptScope> {
        match self {
            Self::Transaction(scope) => Some(scope),
            Self::Ack(_) => None,
        }
    }
}
