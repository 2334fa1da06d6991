//! What a listener's lanes pass before they call the handler: its rate limit and its circuit breaker.
//!
//! All lanes of all consumers of a listener share one [`Gate`]; each has a [`Pass`] of its own to wait with.
//!
//! # Invariants
//! 1. A listener with neither costs its lanes one look at a flag for each record.
//! 2. A [`Ticket`] that is dropped unused, with its lane or for lack of a call, gives its place back.
//! 3. Whoever waits learns of every change of what it waits for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::events::{EventSender, ListenerEventKind};
use crate::config::model::ConsumerProperties;
use crate::observe::names;
use crate::policy::{Call, CircuitBreaker, CircuitState, RateLimit, Refused};

/// What the lanes of a listener pass.
pub(crate) struct Gate {
    listener: String,
    /// Whether there is anything to ask.
    is_guarded: AtomicBool,
    state: Mutex<State>,
    /// Told whenever somebody who waits should ask again.
    changed: watch::Sender<()>,
    events: EventSender,
    circuit_open: Gauge,
}

#[derive(Debug)]
struct State {
    limit: Option<RateLimit>,
    /// How often the limit was changed: what was reserved under an earlier one means nothing.
    limit_epoch: u64,
    breaker: Option<CircuitBreaker>,
    /// Why the last call failed.
    last_failure: Option<String>,
}

impl State {
    fn is_guarded(&self) -> bool {
        self.limit.is_some() || self.breaker.is_some()
    }

    fn refund(&mut self, place: &Place) {
        if place.epoch == self.limit_epoch
            && let Some(limit) = &mut self.limit
        {
            limit.refund(place.records);
        }
    }
}

/// The circuit of a listener whose handler fails: no record is given to it until a probe has succeeded.
///
/// Its `Display` is what health says: `circuit open for 12 s, to be probed in 18 s; the last call failed: connection refused`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenCircuit {
    /// For how long it has not been closed.
    pub open_for: Duration,
    /// When the handler is probed; `None` while it is.
    pub probed_in: Option<Duration>,
    /// Why the last call failed.
    pub last_failure: String,
}

impl fmt::Display for OpenCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit open for {} s, ", self.open_for.as_secs())?;
        match self.probed_in {
            Some(time) => write!(f, "to be probed in {} s", time.as_secs_f64().ceil())?,
            None => f.write_str("and probed now")?,
        }
        write!(f, "; the last call failed: {}", self.last_failure)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Gate {
    pub(crate) fn new(listener: &str, consumer: &ConsumerProperties, events: EventSender) -> Arc<Self> {
        let breaker = consumer.circuit_breaker.enabled;
        let breaker = breaker.then(|| CircuitBreaker::new(consumer.circuit_breaker.clone()));
        let limit = consumer.rate_limit.map(RateLimit::new);
        let state = State { limit, limit_epoch: 0, breaker, last_failure: None };
        Arc::new(Self {
            listener: listener.to_owned(),
            is_guarded: AtomicBool::new(state.is_guarded()),
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            events,
            circuit_open: gauge!(names::LISTENER_CIRCUIT_OPEN, names::LABEL_LISTENER => listener.to_owned()),
        })
    }

    /// One with neither.
    #[cfg(test)]
    pub(super) fn open() -> Arc<Self> {
        Self::new("test", &ConsumerProperties::default(), super::events::EventBus::default().of("test"))
    }

    /// Limits the listener to another rate from now on; `None` is no limit.
    pub(crate) fn set_rate_limit(&self, per_second: Option<f64>) {
        let mut state = self.lock();
        state.limit = per_second.map(RateLimit::new);
        state.limit_epoch += 1;
        self.is_guarded.store(state.is_guarded(), Ordering::Relaxed);
        drop(state);
        self.changed.send_replace(());
    }

    /// The circuit, if it is not closed.
    pub(crate) fn open_circuit(&self) -> Option<OpenCircuit> {
        if !self.is_guarded.load(Ordering::Relaxed) {
            return None;
        }
        let (state, now) = (self.lock(), Instant::now());
        let breaker = state.breaker.as_ref()?;
        let open_for = now.saturating_duration_since(breaker.opened_at()?);
        let probed_in = match breaker.state() {
            CircuitState::Open { until } => Some(until.saturating_duration_since(now)),
            CircuitState::HalfOpen | CircuitState::Closed => None,
        };
        let last_failure = state.last_failure.clone().unwrap_or_default();
        Some(OpenCircuit { open_for, probed_in, last_failure })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the breaker something, or tells it; and tells others if its state is another one then.
    fn breaker<T>(&self, change: impl FnOnce(&mut CircuitBreaker) -> T) -> Option<T> {
        let mut state = self.lock();
        let State { breaker, last_failure, .. } = &mut *state;
        let breaker = breaker.as_mut()?;
        let before = breaker.state();
        let result = change(breaker);
        let after = breaker.state();
        if before != after {
            let (verdict, reason) = (breaker.verdict(), last_failure.clone().unwrap_or_default());
            drop(state);
            self.tell(after, verdict, &reason);
            self.changed.send_replace(());
        }
        Some(result)
    }

    fn tell(&self, state: CircuitState, (failures, calls): (u32, u32), reason: &str) {
        let listener = &self.listener;
        match state {
            CircuitState::Open { until } => {
                let probed_in = until.saturating_duration_since(Instant::now());
                warn!(%listener, failures, calls, error = reason, ?probed_in, "circuit open: too many calls of the handler fail, so it is given no record until it has been probed");
                self.events
                    .send(|| ListenerEventKind::CircuitOpened { reason: reason.to_owned(), probed_in });
            }
            CircuitState::HalfOpen => {
                info!(%listener, "circuit half-open: the handler is probed");
                self.events.send(|| ListenerEventKind::CircuitHalfOpened);
            }
            CircuitState::Closed => {
                info!(%listener, "circuit closed: the handler works again");
                self.events.send(|| ListenerEventKind::CircuitClosed);
            }
        }
        self.circuit_open.set(if state == CircuitState::Closed { 0.0 } else { 1.0 });
    }
}

/// A place within the rate, for records that go together.
#[derive(Debug)]
struct Place {
    due: Instant,
    records: u32,
    epoch: u64,
}

/// What a lane waits for before it may ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Time(Instant),
    Change,
}

/// One lane's way through the gate.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    changed: watch::Receiver<()>,
    reserved: Option<Place>,
}

impl Pass {
    pub(super) fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), changed: gate.changed.subscribe(), reserved: None }
    }

    /// Whether there is anything to ask.
    pub(super) fn is_guarded(&self) -> bool {
        self.gate.is_guarded.load(Ordering::Relaxed)
    }

    /// Asks to call the handler with so many records.
    pub(super) fn ask(&mut self, records: u32, now: Instant) -> Result<Ticket, Until> {
        self.changed.mark_unchanged();
        if let Some(due) = self.reserve(records, now).filter(|due| *due > now) {
            return Err(Until::Time(due));
        }
        let call = match self.gate.breaker(|breaker| breaker.ask(now)).transpose() {
            Ok(call) => call,
            Err(Refused::Until(until)) => return Err(Until::Time(until)),
            Err(Refused::UntilProbed) => return Err(Until::Change),
        };
        Ok(Ticket { gate: Arc::clone(&self.gate), call, place: self.reserved.take() })
    }

    /// When the records may go, as far as the rate is concerned.
    fn reserve(&mut self, records: u32, now: Instant) -> Option<Instant> {
        let mut state = self.gate.lock();
        let epoch = state.limit_epoch;
        let Some(limit) = &mut state.limit else {
            self.reserved = None;
            return None;
        };
        match &self.reserved {
            Some(place) if place.epoch == epoch => Some(place.due),
            _ => {
                let due = limit.reserve(records, now);
                self.reserved = Some(Place { due, records, epoch });
                Some(due)
            }
        }
    }

    /// Waits until it is worth asking again.
    pub(super) async fn until(&mut self, until: Until) {
        let time = async {
            match until {
                Until::Time(time) => tokio::time::sleep_until(time).await,
                Until::Change => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            // The gate lives as long as its passes, so this is never an error.
            _ = self.changed.changed() => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(place) = &self.reserved {
            self.gate.lock().refund(place);
        }
    }
}

/// The permission to call the handler once; it wants to be told how that went.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    call: Option<Call>,
    place: Option<Place>,
}

impl Ticket {
    /// The call ended well.
    pub(super) fn succeeded(mut self) {
        self.place = None;
        if let Some(call) = self.call.take() {
            self.gate.breaker(|breaker| breaker.succeeded(call, Instant::now()));
        }
    }

    /// The call was made, and how it ended says nothing of what the handler depends on.
    pub(super) fn spent(mut self) {
        self.place = None;
    }

    /// The call failed. Whether that counts as an attempt at its record.
    pub(super) fn failed(mut self, reason: impl FnOnce() -> String) -> bool {
        self.place = None;
        let Some(call) = self.call.take() else { return true };
        self.gate.lock().last_failure = Some(reason());
        self.gate.breaker(|breaker| breaker.failed(call, Instant::now())).unwrap_or(true)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            self.gate.lock().refund(place);
        }
        if let Some(call) = self.call {
            self.gate.breaker(|breaker| breaker.ignored(call));
            // A probe's place is free again.
            self.gate.changed.send_replace(());
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
