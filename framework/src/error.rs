//! The errors that users meet: [`HandlerError`] from their own code, [`ExtractError`] from a record that cannot be
//! read, [`StartError`] from an application that cannot start.

use std::error::Error as StdError;
use std::fmt;

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
/// It does not implement [`std::error::Error`] itself, so that every error converts into it.
pub struct HandlerError {
    source: BoxError,
    panicked: bool,
}

impl HandlerError {
    /// Makes an error of a message.
    ///
    /// ```
    /// let error = kafka_boot::HandlerError::msg("the order has no lines");
    /// assert_eq!(error.to_string(), "the order has no lines");
    /// ```
    pub fn msg(message: impl Into<String>) -> Self {
        Self { source: message.into().into(), panicked: false }
    }

    /// Makes the error that stands for a caught panic.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        Self { source: format!("the handler panicked: {}", panic_text(payload)).into(), panicked: true }
    }

    /// Whether the handler panicked, rather than returned an error.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }

    pub(crate) fn into_source(self) -> BoxError {
        self.source
    }

    /// The error that the handler returned.
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.source.as_ref()
    }

    /// What stands for a handler that did not return in time.
    pub(crate) fn timed_out(limit: std::time::Duration) -> Self {
        Self::msg(format!("the handler did not return within {limit:?}, its `handler-timeout`"))
    }

    /// The error with its causes, outermost first, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), panicked: false }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
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
        Self { argument, source: source.into(), index: None, is_filtered: false }
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
