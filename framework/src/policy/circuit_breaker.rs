//! When a listener stops calling its handler because nearly every call fails, and when it tries again.
//!
//! Sans-IO. The words and the states are those of Resilience4j.
//!
//! ```text
//! closed ── too many of the last calls failed ──► open ── wait ──► half-open ── the probes succeed ──► closed
//!                                                   ▲                  │
//!                                                   └── they fail ─────┘
//! ```
//!
//! # Invariants
//! 1. While it is open no call is let through; while it is half-open, no more than the permitted number of probes.
//! 2. The outcome of a call counts in the state in which the call was let through, and in no later one.
//! 3. A probe that ends without an outcome gives its place to another.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::config::model::CircuitBreakerProperties;

/// A listener's breaker.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    properties: CircuitBreakerProperties,
    state: State,
    /// Which state this is, counted from the first one.
    generation: u64,
    /// Since when it has not been closed.
    opened_at: Option<Instant>,
    /// How many calls had failed, and how many there were, when it last opened.
    verdict: (u32, u32),
}

#[derive(Debug)]
enum State {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { at_work: u32, succeeded: u32, failed: u32 },
}

/// The outcomes of the last calls.
#[derive(Debug, Default)]
struct Window {
    has_failed: VecDeque<bool>,
    failures: u32,
}

impl Window {
    fn push(&mut self, has_failed: bool, size: usize) {
        if self.has_failed.len() >= size {
            self.failures -= u32::from(self.has_failed.pop_front().unwrap_or_default());
        }
        self.has_failed.push_back(has_failed);
        self.failures += u32::from(has_failed);
    }

    fn calls(&self) -> u32 {
        u32::try_from(self.has_failed.len()).unwrap_or(u32::MAX)
    }
}

/// A call that was let through: in which state it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    generation: u64,
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is open until then.
    Until(Instant),
    /// All probes are at work: their outcome decides.
    UntilProbed,
}

/// The state as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CircuitState {
    Closed,
    /// Open since the first time, and until then.
    Open {
        until: Instant,
    },
    HalfOpen,
}

impl CircuitBreaker {
    pub(crate) fn new(properties: CircuitBreakerProperties) -> Self {
        Self {
            properties,
            state: State::Closed(Window::default()),
            generation: 0,
            opened_at: None,
            verdict: (0, 0),
        }
    }

    pub(crate) fn state(&self) -> CircuitState {
        match self.state {
            State::Closed(_) => CircuitState::Closed,
            State::Open { until } => CircuitState::Open { until },
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Since when it has been open or half-open, if it is.
    pub(crate) fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    /// How many calls had failed, and how many there were, when it last opened.
    pub(crate) fn verdict(&self) -> (u32, u32) {
        self.verdict
    }

    /// Lets a call through, or not.
    pub(crate) fn ask(&mut self, now: Instant) -> Result<Call, Refused> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(Refused::Until(until));
            }
            self.enter(State::HalfOpen { at_work: 0, succeeded: 0, failed: 0 });
        }
        if let State::HalfOpen { at_work, succeeded, failed } = &mut self.state {
            if *at_work + *succeeded + *failed >= self.properties.permitted_number_of_calls_in_half_open_state
            {
                return Err(Refused::UntilProbed);
            }
            *at_work += 1;
        }
        Ok(Call { generation: self.generation })
    }

    /// A call ended well.
    pub(crate) fn succeeded(&mut self, call: Call, now: Instant) {
        self.ended(call, false, now);
    }

    /// A call failed. Whether that counts as an attempt at its record: while the circuit is not closed, the failure says
    /// nothing of the record.
    pub(crate) fn failed(&mut self, call: Call, now: Instant) -> bool {
        self.ended(call, true, now);
        matches!(self.state, State::Closed(_))
    }

    /// A call was not made, or its outcome says nothing.
    pub(crate) fn ignored(&mut self, call: Call) {
        if let State::HalfOpen { at_work, .. } = &mut self.state
            && call.generation == self.generation
        {
            *at_work = at_work.saturating_sub(1);
        }
    }

    fn ended(&mut self, call: Call, has_failed: bool, now: Instant) {
        if call.generation != self.generation {
            return;
        }
        let properties = &self.properties;
        match &mut self.state {
            State::Closed(window) => {
                window
                    .push(has_failed, usize::try_from(properties.sliding_window_size).unwrap_or(usize::MAX));
                let calls = window.calls();
                let is_judged =
                    calls >= properties.minimum_number_of_calls.min(properties.sliding_window_size);
                let failures = window.failures;
                if is_judged && is_reached(properties, failures, calls) {
                    self.open((failures, calls), now);
                }
            }
            State::HalfOpen { at_work, succeeded, failed } => {
                *at_work = at_work.saturating_sub(1);
                if has_failed {
                    *failed += 1;
                } else {
                    *succeeded += 1;
                }
                let (failed, calls) = (*failed, *succeeded + *failed);
                let permitted = properties.permitted_number_of_calls_in_half_open_state;
                // Decided as soon as the calls that are left cannot change it.
                if is_reached(properties, failed, permitted) {
                    self.open((failed, calls), now);
                } else if calls >= permitted
                    || !is_reached(properties, failed + (permitted - calls), permitted)
                {
                    self.opened_at = None;
                    self.enter(State::Closed(Window::default()));
                }
            }
            State::Open { .. } => {}
        }
    }

    fn open(&mut self, verdict: (u32, u32), now: Instant) {
        self.verdict = verdict;
        self.opened_at.get_or_insert(now);
        let until = now + self.properties.wait_duration_in_open_state.get();
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

fn is_reached(properties: &CircuitBreakerProperties, failures: u32, calls: u32) -> bool {
    failures > 0 && f64::from(failures) * 100.0 >= properties.failure_rate_threshold * f64::from(calls)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::TimeSpan;

    const WAIT: Duration = Duration::from_secs(30);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(CircuitBreakerProperties {
            enabled: true,
            failure_rate_threshold: 50.0,
            sliding_window_size: 10,
            minimum_number_of_calls: 4,
            wait_duration_in_open_state: TimeSpan::from_secs(30),
            permitted_number_of_calls_in_half_open_state: 3,
        })
    }

    /// Makes calls one after the other: `.` succeeds, `x` fails. Whether each failure counted as an attempt.
    fn calls(breaker: &mut CircuitBreaker, outcomes: &str, now: Instant) -> Vec<bool> {
        let mut counted = Vec::new();
        for outcome in outcomes.chars() {
            let call = breaker.ask(now).unwrap();
            match outcome {
                '.' => breaker.succeeded(call, now),
                'x' => counted.push(breaker.failed(call, now)),
                _ => unreachable!("`.` or `x`"),
            }
        }
        counted
    }

    #[test]
    fn it_opens_when_enough_of_the_last_calls_failed_and_not_before_there_are_enough() {
        let now = Instant::now();
        for (outcomes, is_open) in [
            ("xxx", false),
            ("xxxx", true),
            ("..xx", true),
            (".x.x", true),
            ("...x", false),
            ("..........xxxx", false),
            ("..........xxxxx", true),
            ("xx", false),
        ] {
            let mut breaker = breaker();
            let counted = calls(&mut breaker, outcomes, now);
            assert_eq!(matches!(breaker.state(), CircuitState::Open { .. }), is_open, "{outcomes}");
            assert_eq!(breaker.verdict() != (0, 0), is_open, "{outcomes}");
            // The failure that opens it says no more of its record than of any other.
            let last_counts = !is_open;
            assert!(
                counted
                    .split_last()
                    .is_none_or(|(last, rest)| *last == last_counts && rest.iter().all(|c| *c))
            );
        }
    }

    #[test]
    fn while_open_nothing_passes_then_as_many_probes_as_permitted() {
        let (mut breaker, now) = (breaker(), Instant::now());
        calls(&mut breaker, "xxxx", now);
        assert_eq!(breaker.ask(now), Err(Refused::Until(now + WAIT)));
        assert_eq!(breaker.ask(now + WAIT / 2), Err(Refused::Until(now + WAIT)));
        for _ in 0..3 {
            breaker.ask(now + WAIT).unwrap();
        }
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert_eq!(breaker.ask(now + WAIT), Err(Refused::UntilProbed));
    }

    #[test]
    fn probes_decide_as_soon_as_their_outcome_is_certain() {
        let now = Instant::now();
        for (probes, expected) in [
            ("..", CircuitState::Closed),
            (".x.", CircuitState::Closed),
            ("xx", CircuitState::Open { until: now + WAIT * 2 }),
        ] {
            let mut breaker = breaker();
            calls(&mut breaker, "xxxx", now);
            let counted = calls(&mut breaker, probes, now + WAIT);
            assert_eq!(breaker.state(), expected, "{probes}");
            assert!(counted.iter().all(|counts| !counts), "a failed probe is no attempt");
            let opened_at = (expected != CircuitState::Closed).then_some(now);
            assert_eq!(breaker.opened_at(), opened_at, "{probes}");
        }
    }

    #[test]
    fn a_call_that_began_before_the_circuit_opened_changes_nothing_later() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let slow = breaker.ask(now).unwrap();
        calls(&mut breaker, "xxxx", now);
        assert!(!breaker.failed(slow, now), "its record is not to blame");
        let (probe, late) = (breaker.ask(now + WAIT).unwrap(), slow);
        breaker.succeeded(late, now + WAIT);
        breaker.succeeded(late, now + WAIT);
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        breaker.failed(probe, now + WAIT);
        calls(&mut breaker, "x", now + WAIT);
        assert_eq!(breaker.verdict(), (2, 2));
    }

    #[test]
    fn a_probe_that_is_not_made_gives_its_place_to_another() {
        let (mut breaker, now) = (breaker(), Instant::now());
        calls(&mut breaker, "xxxx", now);
        let probes = [(); 3].map(|()| breaker.ask(now + WAIT).unwrap());
        for probe in probes {
            breaker.ignored(probe);
        }
        calls(&mut breaker, "..", now + WAIT);
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.ignored(probes[0]);
        assert_eq!(breaker.state(), CircuitState::Closed, "an old probe means nothing any more");
    }

    #[test]
    fn a_single_permitted_probe_is_enough() {
        let now = Instant::now();
        let properties = CircuitBreakerProperties {
            permitted_number_of_calls_in_half_open_state: 1,
            ..breaker().properties
        };
        let mut breaker = CircuitBreaker::new(properties);
        calls(&mut breaker, "xxxx", now);
        calls(&mut breaker, "x", now + WAIT);
        assert_eq!(breaker.state(), CircuitState::Open { until: now + WAIT * 2 });
        calls(&mut breaker, ".", now + WAIT * 2);
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}
