//! The one allocation that a record in flight costs: shared by the caller's future and librdkafka.
//!
//! 1. librdkafka holds one reference, as the message's opaque pointer, from submission to the delivery report.
//! 2. The record stays in the slot as long as librdkafka points to its payload.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::record::{Delivered, ProducerRecord, SendError};
use crate::error::ClientError;
use crate::record::Timestamp;

/// What became of a record.
pub(super) type Outcome = Result<Delivered, SendError>;

/// Where a record was written in its topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: Timestamp,
}

/// Called with the outcome instead of a future.
pub(super) type Callback = Box<dyn FnOnce(Outcome) + Send>;

pub(super) struct Slot {
    /// What the record counts towards the limit; given back with the delivery report.
    pub(super) charged_bytes: u32,
    state: Mutex<State>,
}

enum State {
    InFlight {
        record: ProducerRecord,
        listener: Listener,
    },
    /// The record is kept for whoever takes the outcome: memory is cheapest to free where it was allocated, and that is
    /// seldom the reporting thread.
    Done(Result<(ProducerRecord, Place), SendError>),
    Taken,
}

enum Listener {
    /// A future that has not been polled yet, or was dropped.
    Nobody,
    Task(Waker),
    Callback(Callback),
}

impl Slot {
    pub(super) fn new(record: ProducerRecord, charged_bytes: u32, callback: Option<Callback>) -> Arc<Self> {
        let listener = callback.map_or(Listener::Nobody, Listener::Callback);
        Arc::new(Self { charged_bytes, state: Mutex::new(State::InFlight { record, listener }) })
    }

    /// Runs `read` on the record, which must be in flight. Pointers into the record's bytes stay valid until
    /// [`Self::complete`] or [`Self::reclaim`].
    pub(super) fn with_record<T>(&self, read: impl FnOnce(&ProducerRecord) -> T) -> T {
        match &*self.lock() {
            State::InFlight { record, .. } => read(record),
            State::Done(_) | State::Taken => {
                unreachable!("a record is submitted before it has an outcome")
            }
        }
    }

    /// Hands over the outcome: where the record was written, or why not and whether it may be in the topic all the same.
    /// Returns whom to wake.
    pub(super) fn complete(
        &self,
        judge: impl FnOnce() -> Result<Place, (ClientError, bool)>,
    ) -> Option<Waker> {
        let mut state = self.lock();
        let State::InFlight { record, listener } = std::mem::replace(&mut *state, State::Taken) else {
            return None;
        };
        let outcome = match judge() {
            Ok(place) => Ok((record, place)),
            Err((error, possibly)) => Err(SendError::new(error, record).possibly_written(possibly)),
        };
        match listener {
            Listener::Callback(callback) => {
                drop(state);
                callback(outcome.map(delivered));
                None
            }
            Listener::Task(waker) => {
                *state = State::Done(outcome);
                Some(waker)
            }
            Listener::Nobody => {
                *state = State::Done(outcome);
                None
            }
        }
    }

    /// Takes the record back that librdkafka did not accept.
    pub(super) fn reclaim(&self) -> Option<ProducerRecord> {
        match std::mem::replace(&mut *self.lock(), State::Taken) {
            State::InFlight { record, .. } => Some(record),
            State::Done(_) | State::Taken => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees the record but for what the outcome has of it.
fn delivered((record, place): (ProducerRecord, Place)) -> Delivered {
    let Place { partition, offset, timestamp } = place;
    Delivered { topic: record.topic, partition, offset, timestamp }
}

/// Resolves to what became of a record. Dropping it does not take the record back.
#[must_use = "a delivery that nobody awaits hides a lost record"]
pub struct Delivery(Arc<Slot>);

impl Delivery {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self(slot)
    }
}

impl Future for Delivery {
    type Output = Outcome;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.0.lock();
        match &mut *state {
            State::InFlight { listener: Listener::Task(waker), .. } => waker.clone_from(context.waker()),
            State::InFlight { listener, .. } => *listener = Listener::Task(context.waker().clone()),
            State::Done(_) | State::Taken => {
                let State::Done(outcome) = std::mem::replace(&mut *state, State::Taken) else {
                    panic!("a delivery was polled after it was ready");
                };
                drop(state);
                return Poll::Ready(outcome.map(delivered));
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}
