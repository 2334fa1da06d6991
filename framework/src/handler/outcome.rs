//! What a handler may return.

use crate::error::HandlerError;

/// How one attempt ended: done, or failed with an error that goes to the error pipeline.
pub type Outcome = Result<(), HandlerError>;

/// What a listener or a job may return: `()`, or `Result<(), E>` with any error `E`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "must be `()` or `Result<(), E>` where `E` is any error",
    note = "`kafka_boot::Result` is `Result<(), HandlerError>`, into which `?` converts every error"
)]
pub trait IntoOutcome {
    /// Converts the returned value.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Ok(())
    }
}

impl<E: Into<HandlerError>> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Outcome {
        self.map_err(Into::into)
    }
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
