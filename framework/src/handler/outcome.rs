//! What a handler may return, and what it may say of a failure.

use std::error::Error;
use std::marker::PhantomData;
use std::time::Duration;

use crate::error::HandlerError;

/// How one attempt ended: done, or failed with an error that goes to the error pipeline.
pub type HandlerResult = Result<(), HandlerError>;

/// What is to follow a failed attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// What the listener's error policy says.
    #[default]
    Policy,
    /// Another attempt, while there are any left, also where the policy would not retry such an error.
    Retry,
    /// Another attempt after this time rather than after the backoff, while there are any left.
    RetryAfter(Duration),
    /// The dead-letter topic, without another attempt.
    DeadLetter,
    /// The record counts as done; it is logged, and counted as skipped.
    Skip,
    /// The listener stops with the record undone, and its supervision decides.
    Stop,
}

/// An error that says what is to follow it.
///
/// A listener whose function returns `Result<(), E>` asks its error; where a function returns [`kafka_boot::Result`](crate::Result),
/// which hides the type, make the error with [`HandlerError::retryable`].
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{OnFailure, Retryable};
/// use std::time::Duration;
///
/// #[derive(Debug)]
/// enum BookingError {
///     Busy,
///     NoSuchAccount,
/// }
///
/// impl std::fmt::Display for BookingError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str(match self {
///             Self::Busy => "the ledger is busy",
///             Self::NoSuchAccount => "there is no such account",
///         })
///     }
/// }
///
/// impl std::error::Error for BookingError {}
///
/// impl Retryable for BookingError {
///     fn on_failure(&self) -> OnFailure {
///         match self {
///             Self::Busy => OnFailure::RetryAfter(Duration::from_secs(2)),
///             Self::NoSuchAccount => OnFailure::DeadLetter,
///         }
///     }
/// }
///
/// #[kafka_listener(topic = "bookings", group = "ledger")]
/// async fn book(booking: Payload<String>) -> Result<(), BookingError> {
///     if booking.0.is_empty() { Err(BookingError::NoSuchAccount) } else { Ok(()) }
/// }
/// ```
pub trait Retryable: Error + Send + Sync + 'static {
    /// What is to follow.
    fn on_failure(&self) -> OnFailure;
}

/// What a listener may return where no error type says it: how the attempt ended, and what is to follow.
///
/// ```
/// use kafka_boot::Outcome;
/// use kafka_boot::prelude::*;
/// use std::time::Duration;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Payload<String>) -> Outcome {
///     match order.0.as_str() {
///         "" => Outcome::DeadLetter("an order has a number".into()),
///         "closed" => Outcome::RetryAfter(Duration::from_secs(30), "the ledger is closed".into()),
///         _ => Outcome::Done,
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Outcome {
    /// The record is done.
    Done,
    /// It failed; another attempt follows, while there are any left.
    Retry(HandlerError),
    /// The same, after this time rather than after the backoff.
    RetryAfter(Duration, HandlerError),
    /// It failed, and goes to the dead-letter topic without another attempt.
    DeadLetter(HandlerError),
    /// It failed, and counts as done; it is logged, and counted as skipped.
    Skip(HandlerError),
    /// It failed, and the listener stops with the record undone.
    Stop(HandlerError),
}

impl Outcome {
    fn into_result(self) -> HandlerResult {
        Err(match self {
            Self::Done => return Ok(()),
            Self::Retry(error) => error.with(OnFailure::Retry),
            Self::RetryAfter(delay, error) => error.with(OnFailure::RetryAfter(delay)),
            Self::DeadLetter(error) => error.with(OnFailure::DeadLetter),
            Self::Skip(error) => error.with(OnFailure::Skip),
            Self::Stop(error) => error.with(OnFailure::Stop),
        })
    }
}

/// What a listener may return: `()`, `Result<(), E>` with any error `E`, [`Outcome`], or `Result<Outcome, E>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a listener",
    label = "must be `()`, `Outcome` or `Result<(), E>` where `E` is any error",
    note = "`kafka_boot::Result` is `Result<(), HandlerError>`, into which `?` converts every error"
)]
pub trait IntoOutcome {
    /// Converts the returned value.
    fn into_outcome(self) -> HandlerResult;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> HandlerResult {
        Ok(())
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> HandlerResult {
        self.into_result()
    }
}

impl<E: Into<HandlerError>> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> HandlerResult {
        self.map_err(Into::into)
    }
}

impl<E: Into<HandlerError>> IntoOutcome for Result<Outcome, E> {
    fn into_outcome(self) -> HandlerResult {
        self.map_err(Into::into)?.into_result()
    }
}

/// What a job may return: `()`, or `Result<(), E>` with any error `E`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a job",
    label = "must be `()` or `Result<(), E>` where `E` is any error",
    note = "`kafka_boot::Result` is `Result<(), HandlerError>`, into which `?` converts every error"
)]
pub trait IntoJobResult {
    /// Converts the returned value.
    fn into_job_result(self) -> HandlerResult;
}

impl IntoJobResult for () {
    fn into_job_result(self) -> HandlerResult {
        Ok(())
    }
}

impl<E: Into<HandlerError>> IntoJobResult for Result<(), E> {
    fn into_job_result(self) -> HandlerResult {
        self.map_err(Into::into)
    }
}

/// What a failure says of itself.
type Ask = fn(&HandlerError) -> OnFailure;

/// The type that a listener returns, to find out whether its error can be asked. Generated code names it, [`AskedError`] and
/// [`AnyReturned`]: the method of the first is found where the error is [`Retryable`], that of the second for all else.
#[doc(hidden)]
#[derive(Debug)]
pub struct Returned<T>(pub PhantomData<T>);

/// Asks an error that is [`Retryable`].
#[doc(hidden)]
pub trait AskedError {
    /// How the error is asked.
    fn ask(&self) -> Ask;
}

impl<T, E: Retryable> AskedError for Returned<Result<T, E>> {
    fn ask(&self) -> Ask {
        |error| error.source().downcast_ref().map_or(OnFailure::Policy, E::on_failure)
    }
}

/// Knows of nothing.
#[doc(hidden)]
pub trait AnyReturned {
    /// How no error is asked.
    fn ask(&self) -> Ask;
}

impl<T> AnyReturned for &Returned<T> {
    fn ask(&self) -> Ask {
        |_| OnFailure::Policy
    }
}

/// Notes what an error says of itself, unless it has been noted.
#[doc(hidden)]
pub fn directed<T>(result: Result<T, HandlerError>, ask: Ask) -> Result<T, HandlerError> {
    result.map_err(|error| match (error.on_failure(), ask(&error)) {
        (OnFailure::Policy, said) if said != OnFailure::Policy => error.with(said),
        _ => error,
    })
}

/// What a `#[bean]` function may return: the bean, or `Result<bean, E>` with any error `E`.
///
/// The attribute decides by the written return type which of the two it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a `#[bean]` function",
    label = "must be the bean or `Result<bean, E>` where `E` is any error"
)]
pub trait IntoBean<T> {
    /// Converts the returned value.
    fn into_bean(self) -> Result<T, HandlerError>;
}

impl<T, E: Into<HandlerError>> IntoBean<T> for Result<T, E> {
    fn into_bean(self) -> Result<T, HandlerError> {
        self.map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_result_is_as_wide_as_a_pointer() {
        assert_eq!(size_of::<HandlerResult>(), size_of::<usize>());
    }

    #[test]
    #[expect(clippy::needless_borrow, reason = "generated code borrows, whatever the type")]
    fn an_error_is_asked_only_if_it_can_say_what_is_to_follow() {
        #[derive(Debug)]
        struct Gone;
        impl std::fmt::Display for Gone {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("gone")
            }
        }
        impl Error for Gone {}
        impl Retryable for Gone {
            fn on_failure(&self) -> OnFailure {
                OnFailure::Skip
            }
        }
        let said =
            |result: HandlerResult, ask: Ask| directed(result, ask).map_err(|error| error.on_failure());
        let of_gone = (&Returned(PhantomData::<Result<(), Gone>>)).ask();
        assert_eq!(said(Err(Gone.into()), of_gone), Err(OnFailure::Skip));
        assert_eq!(said(Ok(()), of_gone), Ok(()));
        assert_eq!(said(Err(HandlerError::msg("x")), of_gone), Err(OnFailure::Policy));
        let of_other = (&Returned(PhantomData::<Result<(), std::io::Error>>)).ask();
        assert_eq!(said(Err(Gone.into()), of_other), Err(OnFailure::Policy));
        let of_nothing = (&Returned(PhantomData::<()>)).ask();
        assert_eq!(said(Err(Gone.into()), of_nothing), Err(OnFailure::Policy));
    }

    #[test]
    fn an_outcome_becomes_an_error_that_says_what_is_to_follow() {
        assert!(Outcome::Done.into_outcome().is_ok());
        let table = [
            (Outcome::Retry("x".into()), OnFailure::Retry),
            (
                Outcome::RetryAfter(Duration::from_secs(3), "x".into()),
                OnFailure::RetryAfter(Duration::from_secs(3)),
            ),
            (Outcome::DeadLetter("x".into()), OnFailure::DeadLetter),
            (Outcome::Skip("x".into()), OnFailure::Skip),
            (Outcome::Stop("x".into()), OnFailure::Stop),
        ];
        for (outcome, said) in table {
            let error = Ok::<_, HandlerError>(outcome).into_outcome().expect_err("a failure");
            assert_eq!((error.on_failure(), error.to_string().as_str()), (said, "x"));
        }
    }
}
