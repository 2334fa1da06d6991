//! What follows a failed attempt: one place for errors, panics and records that cannot be read.

mod cause;
mod circuit_breaker;
mod classify;
mod dead_letter;
pub(crate) mod headers;
mod outbox;
mod rate_limit;
mod recover;
mod retry;

pub(crate) use cause::Cause;
pub(crate) use circuit_breaker::{Call, CircuitBreaker, CircuitState, Refused};
pub use classify::ErrorType;
pub(crate) use dead_letter::DeadLetterPublisher;
pub(crate) use outbox::Outbox;
pub(crate) use rate_limit::RateLimit;
#[cfg(test)]
pub(crate) use recover::fake;
pub(crate) use recover::{HandOver, Recover, RecoverError};
pub use retry::Backoff;

use classify::Retried;

use std::fmt;
use std::time::Duration;

use crate::config::model::{ErrorProperties, Exhausted};
use crate::error::{ExtractError, HandlerError};
use crate::handler::{BatchError, OnFailure};
use crate::record::Delivery;

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
    /// Write the record to its dead-letter topic; it is done when the broker has it.
    DeadLetter,
    /// Count the record as done, and say so.
    Skip,
    /// Stop the listener; the record stays undone.
    Stop,
}

/// A listener's error policy: attempts with backoff, then the dead-letter topic, stop or skip. What an error says of
/// itself goes first.
#[derive(Debug, Clone)]
pub(crate) struct ErrorPolicy {
    attempts: u32,
    backoff: Backoff,
    retried: Retried,
    exhausted: Exhausted,
    is_attempt_header: bool,
}

impl ErrorPolicy {
    pub(crate) fn new(properties: &ErrorProperties, types: &[ErrorType]) -> Self {
        let backoff = &properties.backoff;
        Self {
            attempts: properties.attempts,
            backoff: Backoff::new(
                backoff.initial.get(),
                backoff.multiplier,
                backoff.max.get(),
                backoff.jitter,
            ),
            retried: Retried::new(properties, types),
            exhausted: properties.then,
            is_attempt_header: properties.delivery_attempt_header,
        }
    }

    /// Attempt number `attempt`, from 1, as the record shows it.
    pub(crate) fn delivery(&self, attempt: u32) -> Delivery {
        Delivery::new(attempt, self.is_attempt_header)
    }

    /// Decides what follows the failure of attempt number `attempt`, from 1.
    pub(crate) fn decide(&self, fault: &Fault, attempt: u32) -> Decision {
        let Fault::Handler(error) = fault else { return self.exhausted() };
        let is_any_left = attempt < self.attempts;
        match error.on_failure() {
            OnFailure::DeadLetter => Decision::DeadLetter,
            OnFailure::Skip => Decision::Skip,
            OnFailure::Stop => Decision::Stop,
            OnFailure::RetryAfter(delay) if is_any_left => Decision::Retry(delay),
            OnFailure::Retry if is_any_left => Decision::Retry(self.backoff.delay(attempt)),
            OnFailure::Policy if is_any_left && self.retried.has(fault) => {
                Decision::Retry(self.backoff.delay(attempt))
            }
            OnFailure::RetryAfter(_) | OnFailure::Retry | OnFailure::Policy => self.exhausted(),
        }
    }

    /// Whether another attempt could help, as far as the error and the policy say.
    pub(crate) fn may_retry(&self, fault: &Fault) -> bool {
        let Fault::Handler(error) = fault else { return false };
        match error.on_failure() {
            OnFailure::Retry | OnFailure::RetryAfter(_) => true,
            OnFailure::Policy => self.retried.has(fault),
            OnFailure::DeadLetter | OnFailure::Skip | OnFailure::Stop => false,
        }
    }

    fn exhausted(&self) -> Decision {
        match self.exhausted {
            Exhausted::DeadLetter => Decision::DeadLetter,
            Exhausted::Skip => Decision::Skip,
            Exhausted::Stop => Decision::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts: u32, then: Exhausted) -> ErrorPolicy {
        ErrorPolicy::new(&ErrorProperties { attempts, then, ..ErrorProperties::default() }, &[])
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
        assert_eq!(policy(3, Exhausted::DeadLetter).decide(&fault, 1), Decision::DeadLetter);
    }

    #[test]
    fn what_an_error_says_goes_before_the_policy_as_long_as_attempts_are_left() {
        let second = Duration::from_secs(1);
        let never = ErrorProperties {
            attempts: 2,
            retry_not_on: vec!["HandlerError".into()],
            then: Exhausted::Stop,
            ..ErrorProperties::default()
        };
        let policy = ErrorPolicy::new(&never, &[]);
        let decide = |on_failure, attempt| {
            policy.decide(&Fault::Handler(HandlerError::msg("no").with(on_failure)), attempt)
        };
        assert_eq!(decide(OnFailure::Policy, 1), Decision::Stop);
        assert!(matches!(decide(OnFailure::Retry, 1), Decision::Retry(_)));
        assert_eq!(decide(OnFailure::RetryAfter(second), 1), Decision::Retry(second));
        assert_eq!(decide(OnFailure::RetryAfter(second), 2), Decision::Stop);
        assert_eq!(decide(OnFailure::DeadLetter, 1), Decision::DeadLetter);
        assert_eq!(decide(OnFailure::Skip, 1), Decision::Skip);
        assert_eq!(decide(OnFailure::Stop, 1), Decision::Stop);
    }

    #[test]
    fn a_batchs_error_says_what_the_record_s_error_says() {
        let inner = HandlerError::msg("no").with(OnFailure::Skip);
        let fault = Fault::Handler(BatchError::at(1, inner).into());
        assert_eq!(policy(3, Exhausted::Stop).decide(&fault, 1), Decision::Skip);
    }
}
