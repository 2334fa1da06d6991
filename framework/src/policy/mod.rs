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
mod retry_topics;

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
#[cfg(feature = "simulation")]
pub(crate) use retry::fixed as fixed_jitter;
pub(crate) use retry_topics::{RetryTopics, Stage};

use classify::Retried;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::model::{ErrorProperties, Exhausted};
use crate::error::{ExtractError, HandlerError};
use crate::handler::{BatchError, OnFailure};
use crate::record::{Delivery, Stored};
use retry_topics::{deliveries, due_ms};

/// The longest time that a record may wait in a retry topic: thirty days.
const WAIT_MAX_MS: u64 = 30 * 24 * 60 * 60 * 1000;

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

/// Where a record goes that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The retry topic of this number.
    RetryTopic(usize),
    /// The topic of its dead letters.
    DeadLetters,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after this time.
    Retry(Duration),
    /// Write the record to another topic; it is done when the broker has it.
    Leave(Destination),
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
    retry_topics: Option<RetryTopics>,
}

impl ErrorPolicy {
    /// `retry_topics` are those of the listener, seen from the topics that it reads.
    pub(crate) fn new(
        properties: &ErrorProperties,
        types: &[ErrorType],
        retry_topics: Option<RetryTopics>,
    ) -> Self {
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
            retry_topics,
        }
    }

    /// Attempt number `attempt`, from 1, at this delivery of a record, as the record shows it: those at its deliveries before
    /// are counted in.
    pub(crate) fn delivery(&self, attempt: u32, record: &Stored) -> Delivery {
        let before =
            if self.is_delayed() { (deliveries(record) - 1).saturating_mul(self.attempts) } else { 0 };
        Delivery::new(before.saturating_add(attempt), self.is_attempt_header)
    }

    /// Whether records wait in the listener's topics before they are handled.
    pub(crate) fn is_delayed(&self) -> bool {
        self.retry_topics.as_ref().is_some_and(RetryTopics::is_delayed)
    }

    /// Until when a record waits before it is handled; `None` if it does not.
    pub(crate) fn not_before(&self, record: &Stored) -> Option<Instant> {
        if !self.is_delayed() {
            return None;
        }
        let ahead = due_ms(record)?.checked_sub(now_ms())?;
        let ahead = u64::try_from(ahead).ok().filter(|ahead| *ahead > 0)?;
        // What lies further ahead than any wait may is not a time that was meant.
        (ahead <= WAIT_MAX_MS).then(|| Instant::now() + Duration::from_millis(ahead))
    }

    /// Where those of `records` end that need not wait, or the first one if it has to.
    pub(crate) fn due_together(&self, records: &[Stored], range: Range<usize>) -> usize {
        if !self.is_delayed() {
            return range.end;
        }
        let mut others = range.start + 1..range.end;
        others.find(|index| self.not_before(&records[*index]).is_some()).unwrap_or(range.end)
    }

    /// Whether records that failed together may go different ways.
    pub(crate) fn has_retry_topics(&self) -> bool {
        self.retry_topics.is_some()
    }

    /// Decides what follows the failure of attempt number `attempt`, from 1, at this delivery of a record.
    pub(crate) fn decide(&self, fault: &Fault, attempt: u32, record: &Stored) -> Decision {
        let Fault::Handler(error) = fault else { return self.exhausted() };
        let is_any_left = attempt < self.attempts;
        match error.on_failure() {
            OnFailure::DeadLetter => Decision::Leave(Destination::DeadLetters),
            OnFailure::Skip => Decision::Skip,
            OnFailure::Stop => Decision::Stop,
            OnFailure::RetryAfter(delay) if is_any_left => Decision::Retry(delay),
            OnFailure::Policy if !self.retried.has(fault) => self.exhausted(),
            OnFailure::Retry | OnFailure::Policy if is_any_left => {
                Decision::Retry(self.backoff.delay(attempt))
            }
            OnFailure::RetryAfter(_) | OnFailure::Retry | OnFailure::Policy => {
                let next = self.retry_topics.as_ref().and_then(|topics| topics.next(record, now_ms()));
                next.map_or_else(|| self.exhausted(), |next| Decision::Leave(Destination::RetryTopic(next)))
            }
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
            Exhausted::DeadLetter => Decision::Leave(Destination::DeadLetters),
            Exhausted::Skip => Decision::Skip,
            Exhausted::Stop => Decision::Stop,
        }
    }
}

/// Milliseconds since 1970, as the headers have them.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Stored {
        Stored::made_at(0)
    }

    fn policy(attempts: u32, then: Exhausted) -> ErrorPolicy {
        ErrorPolicy::new(&ErrorProperties { attempts, then, ..ErrorProperties::default() }, &[], None)
    }

    #[test]
    fn a_handler_error_is_retried_until_the_attempts_are_used_up() {
        let policy = policy(3, Exhausted::Stop);
        let fault = Fault::Handler(HandlerError::msg("no"));
        assert!(matches!(policy.decide(&fault, 1, &record()), Decision::Retry(_)));
        assert!(matches!(policy.decide(&fault, 2, &record()), Decision::Retry(_)));
        assert_eq!(policy.decide(&fault, 3, &record()), Decision::Stop);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_tried_again() {
        let fault = Fault::Extract(ExtractError::new("Key<u64>", "not a number"));
        assert_eq!(policy(3, Exhausted::Skip).decide(&fault, 1, &record()), Decision::Skip);
        assert_eq!(policy(3, Exhausted::Stop).decide(&fault, 1, &record()), Decision::Stop);
        assert_eq!(
            policy(3, Exhausted::DeadLetter).decide(&fault, 1, &record()),
            Decision::Leave(Destination::DeadLetters)
        );
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
        let policy = ErrorPolicy::new(&never, &[], None);
        let decide = |on_failure, attempt| {
            policy.decide(&Fault::Handler(HandlerError::msg("no").with(on_failure)), attempt, &record())
        };
        assert_eq!(decide(OnFailure::Policy, 1), Decision::Stop);
        assert!(matches!(decide(OnFailure::Retry, 1), Decision::Retry(_)));
        assert_eq!(decide(OnFailure::RetryAfter(second), 1), Decision::Retry(second));
        assert_eq!(decide(OnFailure::RetryAfter(second), 2), Decision::Stop);
        assert_eq!(decide(OnFailure::DeadLetter, 1), Decision::Leave(Destination::DeadLetters));
        assert_eq!(decide(OnFailure::Skip, 1), Decision::Skip);
        assert_eq!(decide(OnFailure::Stop, 1), Decision::Stop);
    }

    #[test]
    fn a_batchs_error_says_what_the_record_s_error_says() {
        let inner = HandlerError::msg("no").with(OnFailure::Skip);
        let fault = Fault::Handler(BatchError::at(1, inner).into());
        assert_eq!(policy(3, Exhausted::Stop).decide(&fault, 1, &record()), Decision::Skip);
    }
}
