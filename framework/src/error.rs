//! The errors that users meet: [`HandlerError`] from their own code, [`ExtractError`] from a record that cannot be
//! read, [`StartError`] from an application that cannot start.

use std::error::Error as StdError;
use std::fmt;

use crate::handler::{BatchError, OnFailure, Retryable};
use crate::observe::panics;

/// Any error as a trait object: what user code may return.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// What a handler, a job or a bean returns: `Ok`, or any error at all.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// fn parse(text: &str) -> Result<u32> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("12").is_ok());
/// assert_eq!(parse("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub type Result<T = (), E = HandlerError> = std::result::Result<T, E>;

/// A handler's failure: any error, made by `?` or `.into()`.
///
/// It does not implement [`std::error::Error`] itself, so that every error converts into it. It remembers the type that it
/// was made of, which is how `retry-on` and `retry-not-on` know it, and what a dead letter tells of it.
pub struct HandlerError(Box<Failure>);

/// One box, so that a handler's result is as wide as a pointer.
struct Failure {
    source: BoxError,
    type_name: &'static str,
    said: OnFailure,
}

/// What stands for the type of an error that is only a text.
const TEXT_TYPE: &str = "kafka_boot::HandlerError";
/// What stands for the type of a panic.
const PANIC_TYPE: &str = "panic";

impl HandlerError {
    /// Makes an error of a message.
    ///
    /// ```
    /// let error = kafka_boot::HandlerError::msg("the order has no lines");
    /// assert_eq!(error.to_string(), "the order has no lines");
    /// ```
    pub fn msg(message: impl Into<String>) -> Self {
        Self::of(message.into().into(), TEXT_TYPE)
    }

    /// Makes the error of one that says itself what is to follow, where the function's own return type hides that.
    ///
    /// ```
    /// use kafka_boot::{HandlerError, OnFailure, Retryable};
    ///
    /// #[derive(Debug)]
    /// struct NoSuchCustomer;
    ///
    /// impl std::fmt::Display for NoSuchCustomer {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         f.write_str("there is no such customer")
    ///     }
    /// }
    ///
    /// impl std::error::Error for NoSuchCustomer {}
    ///
    /// impl Retryable for NoSuchCustomer {
    ///     fn on_failure(&self) -> OnFailure {
    ///         OnFailure::DeadLetter
    ///     }
    /// }
    ///
    /// fn find(name: &str) -> kafka_boot::Result<()> {
    ///     if name.is_empty() { Err(HandlerError::retryable(NoSuchCustomer)) } else { Ok(()) }
    /// }
    /// assert_eq!(find("").unwrap_err().on_failure(), OnFailure::DeadLetter);
    /// ```
    pub fn retryable<E: Retryable>(error: E) -> Self {
        let on_failure = error.on_failure();
        Self::from(error).with(on_failure)
    }

    /// Says what is to follow this failure, whatever the listener's error policy says.
    ///
    /// ```
    /// use kafka_boot::{HandlerError, OnFailure};
    ///
    /// let error = HandlerError::msg("the order has no lines").with(OnFailure::DeadLetter);
    /// assert_eq!(error.on_failure(), OnFailure::DeadLetter);
    /// ```
    #[must_use]
    pub fn with(mut self, on_failure: OnFailure) -> Self {
        self.0.said = on_failure;
        self
    }

    /// What is to follow, as far as the error says.
    pub fn on_failure(&self) -> OnFailure {
        match self.0.said {
            OnFailure::Policy => self
                .source()
                .downcast_ref()
                .map_or(OnFailure::Policy, |error: &BatchError| error.on_failure()),
            said => said,
        }
    }

    /// Makes the error that stands for a caught panic.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = panic_text(payload);
        let text = match panics::take_place() {
            Some(place) => format!("the handler panicked: {text} (at {place})"),
            None => format!("the handler panicked: {text}"),
        };
        Self::of(text.into(), PANIC_TYPE)
    }

    fn of(source: BoxError, type_name: &'static str) -> Self {
        Self(Box::new(Failure { source, type_name, said: OnFailure::Policy }))
    }

    /// Whether the handler panicked, rather than returned an error.
    pub fn is_panic(&self) -> bool {
        self.0.type_name == PANIC_TYPE
    }

    /// The name of the type that the error was made of, as the compiler writes it: `std::io::error::Error`. `panic` for a
    /// panic, and `kafka_boot::HandlerError` for a mere text.
    pub fn type_name(&self) -> &'static str {
        match self.source().downcast_ref::<BatchError>() {
            Some(error) => error.error().type_name(),
            None => self.0.type_name,
        }
    }

    /// The error that the handler returned.
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.0.source.as_ref()
    }

    /// The error with its causes, outermost first.
    pub(crate) fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first: &(dyn StdError + 'static) = self.0.source.as_ref();
        std::iter::successors(Some(first), |error| StdError::source(*error))
    }

    /// What stands for a handler that did not return in time.
    pub(crate) fn timed_out(limit: std::time::Duration) -> Self {
        Self::msg(format!("the handler did not return within {limit:?}, its `handler-timeout`"))
    }

    /// The error with its causes, outermost first, joined by `: `.
    pub fn chain(&self) -> String {
        let texts: Vec<String> = self.causes().map(ToString::to_string).collect();
        texts.join(": ")
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let type_name = match std::any::type_name::<E>() {
            "&str" | "alloc::string::String" => TEXT_TYPE,
            name => name,
        };
        Self::of(error.into(), type_name)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.source(), f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

/// The message of a caught panic.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is not text".to_owned())
}

/// Why an argument could not be taken out of a record: the record is at fault, so a second attempt cannot help.
#[derive(Debug)]
pub struct ExtractError {
    argument: &'static str,
    source: BoxError,
    /// The place of the record in its batch, if it is one record that cannot be read.
    index: Option<usize>,
    /// Whether the listener's filter left the record out, which is no fault.
    is_filtered: bool,
    /// Whether it is the record's key that cannot be read.
    is_key: bool,
}

impl ExtractError {
    /// What stands for a record that the listener's filter left out.
    pub(crate) fn filtered() -> Self {
        Self { is_filtered: true, ..Self::new("filter", "the filter left the record out") }
    }

    pub(crate) fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// Makes the error of the argument type `argument`, for example `"Key<u64>"`.
    ///
    /// ```
    /// let error = kafka_boot::ExtractError::new("Tenant", "header `tenant` is missing");
    /// assert_eq!(error.to_string(), "cannot read `Tenant` from the record: header `tenant` is missing");
    /// ```
    pub fn new(argument: &'static str, source: impl Into<BoxError>) -> Self {
        Self { argument, source: source.into(), index: None, is_filtered: false, is_key: false }
    }

    /// Says that it is the record's key that cannot be read.
    pub(crate) fn of_key(mut self) -> Self {
        self.is_key = true;
        self
    }

    pub(crate) fn is_key(&self) -> bool {
        self.is_key
    }

    /// Names the record of a batch that cannot be read, from 0: those before it are then handled first, and those
    /// behind it as the error policy says.
    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// The place in the batch of the record that cannot be read, if it is one.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// The argument's type.
    pub fn argument(&self) -> &'static str {
        self.argument
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}` from the record: {}", self.argument, self.source)
    }
}

impl StdError for ExtractError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// What kind of thing kept the application from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The configuration is wrong: exit code 78.
    Configuration,
    /// A bean is missing, ambiguous, part of a cycle, or its function failed.
    Bean,
    /// Two handlers contradict each other, or none was found.
    Handler,
    /// Kafka refused, or could not be reached in time.
    Kafka,
    /// Anything else: the runtime, the log, the operating system.
    Other,
}

/// Why the application did not start.
pub struct StartError {
    kind: StartErrorKind,
    message: String,
    source: Option<BoxError>,
}

impl StartError {
    pub(crate) fn new(kind: StartErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An error of a user's own argument type, found while the application starts.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(StartErrorKind::Handler, message)
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }

    /// The process's exit code for this error: 78 (`EX_CONFIG`) for the configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            StartErrorKind::Configuration => 78,
            _ => 1,
        }
    }
}

impl From<crate::config::ConfigErrors> for StartError {
    fn from(errors: crate::config::ConfigErrors) -> Self {
        Self::new(StartErrorKind::Configuration, errors.to_string())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for StartError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
