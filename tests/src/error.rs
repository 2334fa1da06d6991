//! Failures of the harness itself, as opposed to violations that it finds.

use std::fmt;

/// What a harness function answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the harness could not do what a test asked for.
///
/// ```
/// use kafka_boot_tests::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Timeout, "no line matched `started` within 5 s");
/// assert_eq!(error.kind(), ErrorKind::Timeout);
/// assert_eq!(error.to_string(), "no line matched `started` within 5 s");
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A program or a download that the harness needs is missing from this machine.
    Unavailable,
    /// A condition did not hold before its deadline.
    Timeout,
    /// The operating system refused a file, a process or a signal.
    Io,
    /// A broker or the client library answered with an error.
    Kafka,
    /// A command-line tool ended with a failure.
    Tool,
    /// Evidence or the output of a tool could not be understood.
    Parse,
    /// The request makes no sense for this object, such as killing a broker that the harness does not own.
    Unsupported,
}

impl Error {
    /// Makes an error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Says what could not be done with which thing, followed by the operating system's reason.
    pub(crate) fn io(what: impl fmt::Display, source: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Io, format!("{what}: {source}"))
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

// The same text as `Display`: tests meet this type through `unwrap`, and an escaped log tail would be unreadable.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Error {}

impl From<rdkafka::error::KafkaError> for Error {
    fn from(source: rdkafka::error::KafkaError) -> Self {
        Self::new(ErrorKind::Kafka, source.to_string())
    }
}
