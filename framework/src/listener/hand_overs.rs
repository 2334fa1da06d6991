//! The records of a lane by key that are on their way out: made with the first of them.
//!
//! # Invariants
//! 1. A record on its way out holds its key, and no permit.
//! 2. It leaves the lane only when its new topic has it.

use std::collections::HashMap;
use std::future::Future;

use futures_util::future::BoxFuture;

use super::key_queues::Entry;
use super::recovery::{Leaving, Recovery};
use super::running::{Panic, Running, Started};
use crate::policy::RecoverError;

type Answer = Result<String, RecoverError>;

/// One lane's.
pub(super) struct HandOvers {
    running: Running<BoxFuture<'static, Answer>, Entry>,
    leaving: HashMap<usize, Leaving>,
    /// How many wait for an answer.
    unanswered: usize,
}

impl HandOvers {
    pub(super) fn new() -> Self {
        Self { running: Running::new(), leaving: HashMap::new(), unanswered: 0 }
    }

    /// Takes a record, which is then to be sent.
    pub(super) fn take(&mut self, entry: Entry, leaving: Leaving) {
        self.leaving.insert(entry.index(), leaving);
    }

    /// Whether the record is on its way out.
    pub(super) fn has(&self, entry: Entry) -> bool {
        self.leaving.contains_key(&entry.index())
    }

    /// Tries to write a record where it is to go; the answer, if it is there at once.
    pub(super) fn send(&mut self, entry: Entry, recovery: &Recovery) -> Option<Answer> {
        let leaving = self.leaving.get(&entry.index())?;
        match self.running.start(entry, recovery.attempt(leaving)) {
            Started::Finished(answer) => answered(answer),
            Started::At(_) => {
                self.unanswered += 1;
                None
            }
        }
    }

    /// The answers that have come.
    pub(super) fn answers(&mut self, max: usize) -> Vec<(Entry, Answer)> {
        let mut answers = Vec::new();
        let (running, unanswered) = (&mut self.running, &mut self.unanswered);
        running.poll_woken(max, |entry, answer| {
            *unanswered -= 1;
            answers.extend(answered(answer).map(|answer| (entry, answer)));
        });
        answers
    }

    /// The record, to note that it was refused.
    pub(super) fn leaving(&mut self, entry: Entry) -> Option<&mut Leaving> {
        self.leaving.get_mut(&entry.index())
    }

    /// The record has gone.
    pub(super) fn gone(&mut self, entry: Entry) -> Option<Leaving> {
        self.leaving.remove(&entry.index())
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    pub(super) fn is_any_woken(&self) -> bool {
        self.running.is_any_woken()
    }

    pub(super) fn until_woken(&self) -> impl Future<Output = ()> + Send + use<> {
        self.running.until_woken()
    }
}

/// What writes records panics only if the engine is broken; the lane breaks with it.
fn answered(answer: Result<Answer, Panic>) -> Option<Answer> {
    match answer {
        Ok(answer) => Some(answer),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
