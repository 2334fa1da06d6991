//! What follows a failed attempt: one place for errors, panics and records that cannot be read.

mod circuit_breaker;
mod rate_limit;
mod retry;

pub(crate) use circuit_breaker::{Call, CircuitBreaker, CircuitState, Refused};
pub(crate) use rate_limit::RateLimit;
pub use retry::Backoff;

use std::fmt;
use std::time::Duration;

use crate::config::model::{ErrorProperties, Exhausted};
use crate::error::{ExtractError, HandlerError};
use crate::handler::BatchError;

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The record cannot be read: another attempt cannot help.
    Extract(ExtractError),
    /// The handler returned an error, panicked, or took too long.
    Handler(HandlerError),
    /// The same, while the circuit is open: that says nothing of the record, and is no attempt at it.
    Outage(HandlerError),
    /// The lane was told to stop before the handler was called.
    Interrupted,
}

impl Fault {
    /// The place of the record at fault in its batch of `len` records, if the error names it.
    pub(crate) fn index_in(&self, len: usize) -> Option<usize> {
        match self {
            Self::Extract(error) => error.index().filter(|index| *index < len),
            Self::Handler(error) | Self::Outage(error) => BatchError::index_in(error, len),
            Self::Interrupted => None,
        }
    }

    /// Whether the listener's filter left the record out: nothing failed.
    pub(crate) fn is_filtered(&self) -> bool {
        matches!(self, Self::Extract(error) if error.is_filtered())
    }

    pub(crate) fn into_error(self) -> HandlerError {
        match self {
            Self::Extract(error) => error.into(),
            Self::Handler(error) | Self::Outage(error) => error,
            Self::Interrupted => HandlerError::msg("interrupted"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extract(error) => error.fmt(f),
            Self::Handler(error) | Self::Outage(error) => f.write_str(&error.chain()),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after this time.
    Retry(Duration),
    /// Count the record as done, and say so.
    Skip,
    /// Stop the listener; the record stays undone.
    Stop,
}

/// A listener's error policy: attempts with backoff, then stop or skip.
#[derive(Debug, Clone)]
pub(crate) struct ErrorPolicy {
    attempts: u32,
    backoff: Backoff,
    exhausted: Exhausted,
}

impl ErrorPolicy {
    pub(crate) fn new(properties: &ErrorProperties) -> Self {
        let backoff = &properties.backoff;
        Self {
            attempts: properties.attempts,
            backoff: Backoff::new(
                backoff.initial.get(),
                backoff.multiplier,
                backoff.max.get(),
                backoff.jitter,
            ),
            exhausted: properties.then,
        }
    }

    /// Decides what follows the failure of attempt number `attempt`, from 1.
    pub(crate) fn decide(&self, fault: &Fault, attempt: u32) -> Decision {
        let may_retry = matches!(fault, Fault::Handler(_)) && attempt < self.attempts;
        if may_retry {
            return Decision::Retry(self.backoff.delay(attempt));
        }
        match self.exhausted {
            Exhausted::Skip => Decision::Skip,
            Exhausted::Stop => Decision::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts: u32, then: Exhausted) -> ErrorPolicy {
        ErrorPolicy::new(&ErrorProperties { attempts, then, ..ErrorProperties::default() })
    }

    #[test]
    fn a_handler_error_is_retried_until_the_attempts_are_used_up() {
        let policy = policy(3, Exhausted::Stop);
        let fault = Fault::Handler(HandlerError::msg("no"));
        assert!(matches!(policy.decide(&fault, 1), Decision::Retry(_)));
        assert!(matches!(policy.decide(&fault, 2), Decision::Retry(_)));
        assert_eq!(policy.decide(&fault, 3), Decision::Stop);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_tried_again() {
        let fault = Fault::Extract(ExtractError::new("Key<u64>", "not a number"));
        assert_eq!(policy(3, Exhausted::Skip).decide(&fault, 1), Decision::Skip);
        assert_eq!(policy(3, Exhausted::Stop).decide(&fault, 1), Decision::Stop);
    }
}
