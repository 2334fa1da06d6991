//! The way out for records that could not be handled, as the lanes of one consumer share it.
//!
//! # Invariants
//! 1. A record is settled only after its new topic has it.
//! 2. A record that waits for a topic that does not take it is on the board, which health reads, until it is taken or its
//!    lane ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use metrics::Counter;
use tokio::time::Instant;
use tracing::{error, warn};

use super::lanes::{Lane, LaneShared};
use crate::observe::names;
use crate::policy::{Backoff, Cause, Decision, Destination, Fault, HandOver, Recover, RecoverError};
use crate::record::Chunk;

/// The waits while a topic takes no records.
const INITIAL_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After what time an unanswered hand-over counts as waiting.
const UNANSWERED_AFTER: Duration = Duration::from_secs(3);
/// How long a lane that is told to stop waits for an answer under way.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(5);
/// How often the same trouble is logged at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// A record that cannot be handled, and waits for the topic that it is to go to.
///
/// Its `Display` names both: `record orders-0@42 waits for `orders-dlt` for 12 s: Broker: Unknown topic or partition`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingRecord {
    /// The topic that it was read from.
    pub topic: String,
    /// Its partition, from 0.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The topic that it waits for.
    pub target: String,
    /// For how long.
    pub age: Duration,
    /// Why the last attempt to write it failed; `None` if it is unanswered.
    pub error: Option<String>,
}

impl fmt::Display for WaitingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset, target, age, error } = self;
        write!(f, "record {topic}-{partition}@{offset} waits for `{target}` for {} s: ", age.as_secs())?;
        f.write_str(error.as_deref().unwrap_or("no answer yet"))
    }
}

/// What the lanes of one consumer share.
#[derive(Debug)]
pub(crate) struct Recovery {
    recover: Option<Arc<dyn Recover>>,
    backoff: Backoff,
    board: Arc<Board>,
    to_retry_topics: Counter,
    to_dead_letters: Counter,
}

/// Which records wait, by where they are.
#[derive(Debug, Default)]
struct Board {
    waiting: Mutex<BTreeMap<Place, Waiting>>,
    complained_at: Mutex<Option<Instant>>,
}

type Place = (Arc<str>, i32, i64);

#[derive(Debug)]
struct Waiting {
    target: String,
    since: Instant,
    error: Option<String>,
}

/// A record's entry on the board, for as long as this lives.
#[derive(Debug)]
struct Ticket {
    board: Arc<Board>,
    place: Place,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.board.waiting).remove(&self.place);
    }
}

/// A record on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) record: HandOver,
    pub(super) attempts: u32,
    failures: u32,
    ticket: Ticket,
}

impl Recovery {
    pub(crate) fn new(listener: &str, recover: Option<Arc<dyn Recover>>) -> Self {
        let counter =
            |name: &'static str| metrics::counter!(name, names::LABEL_LISTENER => listener.to_owned());
        Self {
            recover,
            backoff: Backoff::new(INITIAL_WAIT, 2.0, LONGEST_WAIT, 0.2),
            board: Arc::default(),
            to_retry_topics: counter(names::LISTENER_RETRY_TOPICS),
            to_dead_letters: counter(names::LISTENER_DEAD_LETTERS),
        }
    }

    /// The records that wait, the first ones of their partitions first.
    pub(crate) fn waiting(&self) -> Vec<WaitingRecord> {
        let waiting = lock(&self.board.waiting);
        let shown = waiting
            .iter()
            .filter(|(_, waiting)| waiting.error.is_some() || waiting.since.elapsed() >= UNANSWERED_AFTER);
        shown
            .map(|((topic, partition, offset), waiting)| WaitingRecord {
                topic: topic.to_string(),
                partition: *partition,
                offset: *offset,
                target: waiting.target.clone(),
                age: waiting.since.elapsed(),
                error: waiting.error.clone(),
            })
            .collect()
    }

    pub(super) fn is_there(&self) -> bool {
        self.recover.is_some()
    }

    /// Begins to give records away that failed together. Those that the policy skips are done.
    pub(super) fn leave(
        &self,
        lanes: &LaneShared,
        chunk: &Arc<Chunk>,
        records: impl Iterator<Item = usize>,
        fault: &Fault,
        attempts: u32,
    ) -> Vec<Leaving> {
        let Some(recover) = &self.recover else { return Vec::new() };
        let (cause, route) = (Arc::new(Cause::of(fault)), recover.route(fault));
        let leaving = records.filter_map(|index| {
            let stored = &chunk.records[index];
            // The attempts in place are over.
            let to = match lanes.policy.decide(fault, u32::MAX, stored) {
                Decision::Leave(to) => to,
                Decision::Skip => {
                    lanes.metrics.skipped.increment(1);
                    error!(listener = lanes.listener, offset = stored.offset(), attempts, error = %fault, "record skipped: its attempts are used up");
                    return None;
                }
                // Start-up refuses what would come here; nothing is lost that way.
                Decision::Stop | Decision::Retry(_) => Destination::DeadLetters,
            };
            let record = HandOver {
                chunk: Arc::clone(chunk),
                index,
                cause: Arc::clone(&cause),
                to,
                route: route.clone(),
                via: None,
                is_slim: false,
            };
            let place = (Arc::clone(&chunk.topic), chunk.partition, record.offset());
            let waiting = Waiting { target: recover.target(&record), since: Instant::now(), error: None };
            lock(&self.board.waiting).insert(place.clone(), waiting);
            let ticket = Ticket { board: Arc::clone(&self.board), place };
            Some(Leaving { record, attempts, failures: 0, ticket })
        });
        leaving.collect()
    }

    /// Tries once to write a record where it is to go.
    pub(super) fn attempt(
        &self,
        leaving: &Leaving,
    ) -> futures_util::future::BoxFuture<'static, Result<String, RecoverError>> {
        match &self.recover {
            Some(recover) => recover.hand_over(leaving.record.clone()),
            None => unreachable!("only a record with somewhere to go leaves"),
        }
    }

    /// A record has been taken.
    pub(super) fn taken(&self, listener: &str, leaving: &Leaving, to: &str) {
        let Leaving { record: HandOver { cause, to: destination, .. }, attempts, ticket, .. } = leaving;
        let (topic, partition, offset) = &ticket.place;
        let partition = format_args!("{topic}-{partition}");
        match destination {
            Destination::RetryTopic(_) => {
                self.to_retry_topics.increment(1);
                warn!(listener, %partition, offset, attempts, error = %cause.message, to, "record written to a retry topic");
            }
            Destination::DeadLetters => {
                self.to_dead_letters.increment(1);
                error!(listener, %partition, offset, attempts, error = %cause.message, to, "record written to its dead letters");
            }
        }
    }

    /// A record was not taken; says when to try again.
    pub(super) fn refused(&self, listener: &str, leaving: &mut Leaving, refusal: &RecoverError) -> Duration {
        leaving.failures = leaving.failures.saturating_add(1);
        let (topic, partition, offset) = &leaving.ticket.place;
        if let Some(waiting) = lock(&self.board.waiting).get_mut(&leaving.ticket.place) {
            waiting.error = Some(refusal.error.to_string());
        }
        let mut complained_at = lock(&self.board.complained_at);
        if complained_at.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            *complained_at = Some(Instant::now());
            warn!(
                listener, partition = %format_args!("{topic}-{partition}"), offset, error = %refusal,
                "a record cannot be written where it is to go: it waits, and what is behind it in its lane"
            );
        }
        self.backoff.delay(leaving.failures)
    }
}

impl Lane {
    /// Gives records away that failed together; `false` if the lane ends before their new topic has them.
    pub(super) async fn hand_over(
        &mut self,
        chunk: &Arc<Chunk>,
        records: impl Iterator<Item = usize> + Send,
        fault: &Fault,
        attempts: u32,
    ) -> bool {
        let shared = self.shared();
        let mut leaving = shared.recovery.leave(&shared, chunk, records, fault, attempts);
        while !leaving.is_empty() {
            let answers = join_all(leaving.iter().map(|leaving| shared.recovery.attempt(leaving)));
            let answers = tokio::select! {
                answers = answers => answers,
                () = self.told_to_stop_for(LAST_ANSWER) => return false,
            };
            let mut delay = Duration::ZERO;
            let mut refused = Vec::new();
            for (mut leaving, answer) in leaving.into_iter().zip(answers) {
                match answer {
                    Ok(to) => shared.recovery.taken(&shared.listener, &leaving, &to),
                    Err(refusal) => {
                        delay = delay.max(shared.recovery.refused(&shared.listener, &mut leaving, &refusal));
                        refused.push(leaving);
                    }
                }
            }
            leaving = refused;
            if !leaving.is_empty() && !self.wait_for_retry(delay).await {
                return false;
            }
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
