//! What the registry's callers ask for and are told: where to seek to, and why something was not done.

use std::fmt;
use std::time::{Duration, SystemTime};

use kafka_boot_client::TopicPartition;

use super::requests::Refusal;

/// Where a partition is to be read from, for [`ListenerRegistry::seek`](super::ListenerRegistry::seek).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeekTo {
    /// The first record there is.
    Beginning,
    /// Behind the last record there is at this moment.
    End,
    /// This offset: from the first record's to the one behind the last.
    Offset(i64),
    /// The first record whose timestamp is this or later; the end, if there is none.
    Timestamp(SystemTime),
}

impl SeekTo {
    /// The moment this long ago.
    ///
    /// ```
    /// use kafka_boot::SeekTo;
    /// use std::time::Duration;
    ///
    /// assert!(matches!(SeekTo::ago(Duration::from_secs(3600)), SeekTo::Timestamp(_)));
    /// ```
    pub fn ago(span: Duration) -> Self {
        Self::Timestamp(SystemTime::now().checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH))
    }
}

/// What kind of thing kept a listener from doing what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerControlErrorKind {
    /// There is no listener of that id.
    UnknownListener,
    /// The partition is not assigned to the listener in this process, or was taken back meanwhile.
    NotAssigned,
    /// The partition has no such offset.
    OutOfRange,
    /// A later call took this one's place.
    Superseded,
    /// The position was moved, but the broker has not confirmed its commit in time. It is tried on.
    NotCommitted,
    /// The value makes no sense for this listener.
    Invalid,
    /// Kafka could not be asked.
    Kafka,
}

/// Why a listener did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerControlError {
    kind: ListenerControlErrorKind,
    message: String,
}

impl ListenerControlError {
    pub(super) fn new(kind: ListenerControlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ListenerControlErrorKind {
        self.kind
    }

    pub(super) fn refused(listener: &str, partition: &TopicPartition, refusal: Refusal) -> Self {
        use ListenerControlErrorKind as Kind;
        let (kind, message) = match refusal {
            Refusal::NotAssigned => (
                Kind::NotAssigned,
                format!(
                    "`{partition}` is not assigned to listener `{listener}` in this process: ask the instance that has \
                     it, or wait until the listener is running"
                ),
            ),
            Refusal::TakenBack => (
                Kind::NotAssigned,
                format!(
                    "the group took `{partition}` back from listener `{listener}` meanwhile: ask the instance that has \
                     it now"
                ),
            ),
            Refusal::Superseded => {
                (Kind::Superseded, format!("a later seek of `{partition}` took the place of this one"))
            }
            Refusal::OutOfRange { offset, first, end } => (
                Kind::OutOfRange,
                format!("`{partition}` has no offset {offset}: expected one from {first} to {end}, its end"),
            ),
            Refusal::NotCommitted { offset } => (
                Kind::NotCommitted,
                format!(
                    "`{partition}` goes on at {offset}, but no broker has confirmed the commit of that position yet; it \
                     is tried on, and a crash before it is confirmed would go on from the old one"
                ),
            ),
            Refusal::Client(error) => (Kind::Kafka, format!("could not move `{partition}`: {error}")),
        };
        Self::new(kind, message)
    }
}

impl fmt::Display for ListenerControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ListenerControlError {}
