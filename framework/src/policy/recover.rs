//! What lanes know of where records go that they could not handle.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kafka_boot_client::{ClientError, Producer};

use super::{Cause, Destination, Fault};
use crate::record::{Chunk, Stored};

/// A record that its lane gives away, with what it failed with.
#[derive(Debug, Clone)]
pub(crate) struct HandOver {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) index: usize,
    pub(crate) cause: Arc<Cause>,
    pub(crate) to: Destination,
    /// The route of its error, if that has dead letters of its own.
    pub(crate) route: Option<Arc<str>>,
    /// Who sends it, where it is a part of somebody's transaction.
    pub(crate) via: Option<Producer>,
    /// Whether it goes with as little as can be said of the failure, because it was too large with more.
    pub(crate) is_slim: bool,
}

impl HandOver {
    pub(crate) fn stored(&self) -> &Stored {
        &self.chunk.records[self.index]
    }

    pub(crate) fn offset(&self) -> i64 {
        self.stored().offset()
    }
}

/// Takes records that could not be handled. A record is taken when the broker has it, and not before.
pub(crate) trait Recover: Send + Sync + fmt::Debug {
    /// Which way records with this failure go.
    fn route(&self, fault: &Fault) -> Option<Arc<str>>;

    /// Where the record is to go, for messages.
    fn target(&self, record: &HandOver) -> String;

    /// Tries once to hand the record over; tells where it is now.
    fn hand_over(&self, record: HandOver) -> BoxFuture<'static, Result<String, RecoverError>>;
}

/// Why a record could not be handed over: another attempt may help.
#[derive(Debug, Clone)]
pub(crate) struct RecoverError {
    pub(crate) topic: String,
    pub(crate) error: ClientError,
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic `{}`: {}", self.topic, self.error)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A topic that takes records as a test wants.

    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;

    /// Refuses the first attempts at each record, takes time for each, and notes what it took.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Sink {
        state: Arc<Mutex<State>>,
        refusals: u32,
        takes: Duration,
    }

    #[derive(Debug, Default)]
    struct State {
        attempts: Vec<i64>,
        taken: Vec<i64>,
    }

    impl Sink {
        pub(crate) fn refusing(refusals: u32) -> Self {
            Self { refusals, ..Self::default() }
        }

        pub(crate) fn taking(takes: Duration) -> Self {
            Self { takes, ..Self::default() }
        }

        pub(crate) fn taken(&self) -> Vec<i64> {
            self.state().taken.clone()
        }

        pub(crate) fn attempts(&self) -> usize {
            self.state().attempts.len()
        }

        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Recover for Sink {
        fn route(&self, _: &Fault) -> Option<Arc<str>> {
            None
        }

        fn target(&self, record: &HandOver) -> String {
            format!("{}-dlt", record.chunk.topic)
        }

        fn hand_over(&self, record: HandOver) -> BoxFuture<'static, Result<String, RecoverError>> {
            let sink = self.clone();
            Box::pin(async move {
                let offset = record.offset();
                let before = {
                    let mut state = sink.state();
                    state.attempts.push(offset);
                    state.attempts.iter().filter(|attempt| **attempt == offset).count() - 1
                };
                if !sink.takes.is_zero() {
                    tokio::time::sleep(sink.takes).await;
                }
                let topic = sink.target(&record);
                if u32::try_from(before).unwrap_or(u32::MAX) < sink.refusals {
                    let error = ClientError::unanswered();
                    return Err(RecoverError { topic, error });
                }
                sink.state().taken.push(offset);
                Ok(format!("{topic}-0@0"))
            })
        }
    }
}
