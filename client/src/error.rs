//! What can go wrong in a Kafka client, in one opaque error type.
//!
//! [`ClientError`] carries a coarse [`ErrorKind`] to decide on, the exact [`ErrorCode`] of librdkafka or the broker to
//! report, and, where there is one, the partition it is about.

use std::error::Error;
use std::ffi::CStr;
use std::fmt;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t;

use crate::partition::TopicPartition;

/// A librdkafka (negative) or broker (positive) error code.
///
/// ```
/// use kafka_boot_client::ErrorCode;
///
/// assert_eq!(ErrorCode::NOT_COORDINATOR.name(), "NOT_COORDINATOR");
/// assert_eq!(ErrorCode::TIMED_OUT.description(), "Local: Timed out");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $native:ident;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: ErrorCode = ErrorCode(rd_kafka_resp_err_t::$native as i32);)*
        }
    };
}

codes! {
    /// No error.
    NONE = RD_KAFKA_RESP_ERR_NO_ERROR;
    /// Local: a received batch is malformed or fails its checksum.
    BAD_MESSAGE = RD_KAFKA_RESP_ERR__BAD_MSG;
    /// Local: the client is being destroyed.
    DESTROY = RD_KAFKA_RESP_ERR__DESTROY;
    /// Local: generic failure.
    FAIL = RD_KAFKA_RESP_ERR__FAIL;
    /// Local: the connection to a broker failed.
    TRANSPORT = RD_KAFKA_RESP_ERR__TRANSPORT;
    /// Local: a host name could not be resolved.
    RESOLVE = RD_KAFKA_RESP_ERR__RESOLVE;
    /// Local: a produced record was not delivered within `message.timeout.ms`.
    MESSAGE_TIMED_OUT = RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
    /// Local: the end of a partition was reached.
    PARTITION_EOF = RD_KAFKA_RESP_ERR__PARTITION_EOF;
    /// Local: the partition does not exist in the cluster.
    UNKNOWN_PARTITION = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    /// Local: the topic does not exist in the cluster.
    UNKNOWN_TOPIC = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    /// Local: no broker can be reached.
    ALL_BROKERS_DOWN = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    /// Local: an argument or setting is invalid.
    INVALID_ARGUMENT = RD_KAFKA_RESP_ERR__INVALID_ARG;
    /// Local: the operation timed out.
    TIMED_OUT = RD_KAFKA_RESP_ERR__TIMED_OUT;
    /// Local: the producer's queue is full.
    QUEUE_FULL = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    /// Local: a TLS error.
    SSL = RD_KAFKA_RESP_ERR__SSL;
    /// Local: waiting for the group coordinator.
    WAIT_COORDINATOR = RD_KAFKA_RESP_ERR__WAIT_COORD;
    /// Local: the client has no group.
    UNKNOWN_GROUP = RD_KAFKA_RESP_ERR__UNKNOWN_GROUP;
    /// Local: an operation is in progress already.
    IN_PROGRESS = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    /// Local: the call does not fit the client's state, such as storing an offset of a partition not assigned.
    STATE = RD_KAFKA_RESP_ERR__STATE;
    /// Local: not implemented, or not built in.
    NOT_IMPLEMENTED = RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
    /// Local: authentication failed.
    AUTHENTICATION = RD_KAFKA_RESP_ERR__AUTHENTICATION;
    /// Local: there is no offset to commit.
    NO_OFFSET = RD_KAFKA_RESP_ERR__NO_OFFSET;
    /// Local: the broker does not support the feature.
    UNSUPPORTED_FEATURE = RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
    /// Local: the operation may be retried.
    RETRY = RD_KAFKA_RESP_ERR__RETRY;
    /// Local: a record was purged from the queue.
    PURGE_QUEUE = RD_KAFKA_RESP_ERR__PURGE_QUEUE;
    /// Local: a record was purged in flight; it may have been written.
    PURGE_IN_FLIGHT = RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    /// Local: the client has failed for good.
    FATAL = RD_KAFKA_RESP_ERR__FATAL;
    /// Local: `max.poll.interval.ms` passed without a poll; the consumer left its group.
    MAX_POLL_EXCEEDED = RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED;
    /// Local: this producer was fenced by a newer one.
    FENCED = RD_KAFKA_RESP_ERR__FENCED;
    /// Local: the assignment was lost.
    ASSIGNMENT_LOST = RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
    /// Local: there is no valid offset and `auto.offset.reset` is `error`.
    AUTO_OFFSET_RESET = RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;
    /// Broker: unknown error.
    UNKNOWN = RD_KAFKA_RESP_ERR_UNKNOWN;
    /// Broker: the requested offset does not exist (any more).
    OFFSET_OUT_OF_RANGE = RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    /// Broker: the record is corrupt.
    CORRUPT_MESSAGE = RD_KAFKA_RESP_ERR_INVALID_MSG;
    /// Broker: unknown topic or partition.
    UNKNOWN_TOPIC_OR_PARTITION = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    /// Broker: the partition has no leader.
    LEADER_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    /// Broker: the broker does not lead the partition.
    NOT_LEADER_FOR_PARTITION = RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    /// Broker: the request timed out.
    REQUEST_TIMED_OUT = RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
    /// Broker: the broker is not available.
    BROKER_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE;
    /// Broker: the record is larger than the topic allows.
    MESSAGE_TOO_LARGE = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    /// Broker: the offset's metadata is larger than the broker allows.
    OFFSET_METADATA_TOO_LARGE = RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE;
    /// Broker: the coordinator is loading its state.
    COORDINATOR_LOAD_IN_PROGRESS = RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
    /// Broker: the coordinator is not available.
    COORDINATOR_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
    /// Broker: the broker is not the coordinator.
    NOT_COORDINATOR = RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    /// Broker: the topic name is invalid.
    INVALID_TOPIC = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
    /// Broker: too few replicas are in sync.
    NOT_ENOUGH_REPLICAS = RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    /// Broker: too few replicas were in sync after the write.
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    /// Broker: the member's generation is not the group's.
    ILLEGAL_GENERATION = RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
    /// Broker: the coordinator does not know the member.
    UNKNOWN_MEMBER_ID = RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    /// Broker: the group is rebalancing.
    REBALANCE_IN_PROGRESS = RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    /// Broker: no access to the topic.
    TOPIC_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    /// Broker: no access to the group.
    GROUP_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    /// Broker: no access to the cluster.
    CLUSTER_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    /// Broker: no access to the transactional id.
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    /// Broker: SASL authentication failed.
    SASL_AUTHENTICATION_FAILED = RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
    /// Broker: the topic exists already.
    TOPIC_ALREADY_EXISTS = RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
    /// The number of partitions cannot be.
    INVALID_PARTITIONS = RD_KAFKA_RESP_ERR_INVALID_PARTITIONS;
    /// Broker: the API version is not supported.
    UNSUPPORTED_VERSION = RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION;
    /// Broker: a storage error.
    KAFKA_STORAGE_ERROR = RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR;
    /// Broker: the group still has members.
    NON_EMPTY_GROUP = RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP;
    /// Broker: the group does not exist.
    GROUP_ID_NOT_FOUND = RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND;
    /// Broker: the static member was fenced by another with the same `group.instance.id`.
    FENCED_INSTANCE_ID = RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
    /// Broker: a producer with a newer epoch exists.
    INVALID_PRODUCER_EPOCH = RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    /// Broker: the producer was fenced.
    PRODUCER_FENCED = RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
    /// Broker: the member's epoch (KIP-848) is not the group's.
    FENCED_MEMBER_EPOCH = RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH;
    /// Broker: the member's epoch (KIP-848) is stale.
    STALE_MEMBER_EPOCH = RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH;
}

impl ErrorCode {
    /// The code with the given number, whether known or not.
    pub const fn from_number(number: i32) -> Self {
        ErrorCode(number)
    }

    /// The number: negative for errors of librdkafka, positive for errors of the broker.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The symbolic name, such as `_TIMED_OUT` (local) or `NOT_COORDINATOR` (broker).
    pub fn name(self) -> &'static str {
        self.native().map_or("UNKNOWN_CODE", |native| {
            // SAFETY: the function takes any value of the enum and returns a static string.
            static_str(unsafe { rdsys::rd_kafka_err2name(native) })
        })
    }

    /// A sentence for humans, such as `Broker: Not coordinator`.
    pub fn description(self) -> &'static str {
        self.native().map_or("unknown error code", |native| {
            // SAFETY: the function takes any value of the enum and returns a static string.
            static_str(unsafe { rdsys::rd_kafka_err2str(native) })
        })
    }

    /// Whether trying the same again can help.
    pub fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::TRANSPORT
                | Self::RESOLVE
                | Self::ALL_BROKERS_DOWN
                | Self::TIMED_OUT
                | Self::MESSAGE_TIMED_OUT
                | Self::QUEUE_FULL
                | Self::WAIT_COORDINATOR
                | Self::IN_PROGRESS
                | Self::RETRY
                | Self::CORRUPT_MESSAGE
                | Self::LEADER_NOT_AVAILABLE
                | Self::NOT_LEADER_FOR_PARTITION
                | Self::REQUEST_TIMED_OUT
                | Self::BROKER_NOT_AVAILABLE
                | Self::COORDINATOR_LOAD_IN_PROGRESS
                | Self::COORDINATOR_NOT_AVAILABLE
                | Self::NOT_COORDINATOR
                | Self::NOT_ENOUGH_REPLICAS
                | Self::NOT_ENOUGH_REPLICAS_AFTER_APPEND
                | Self::REBALANCE_IN_PROGRESS
                | Self::KAFKA_STORAGE_ERROR
        )
    }

    /// A broker may send codes newer than the bindings; those must never become the native enum.
    pub(crate) fn native(self) -> Option<rd_kafka_resp_err_t> {
        rd_kafka_resp_err_t::try_from(self.0).ok()
    }

    /// Whether the broker sent it; librdkafka's own codes are -100 and below.
    pub(crate) fn is_from_broker(self) -> bool {
        self.is_error() && self.0 > rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__END as i32
    }

    pub(crate) fn is_error(self) -> bool {
        self != Self::NONE
    }
}

impl From<rd_kafka_resp_err_t> for ErrorCode {
    fn from(native: rd_kafka_resp_err_t) -> Self {
        ErrorCode(native as i32)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to do about an error depends on its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is unknown or its value is invalid.
    Configuration {
        /// librdkafka's name of the setting; empty when the settings contradict one another.
        key: String,
    },
    /// A setting needs something that librdkafka was built without.
    FeatureMissing {
        /// librdkafka's name of the setting.
        key: String,
        /// The cargo feature of this crate to turn on: `tls`, `kerberos` or `oidc`.
        feature: &'static str,
    },
    /// No broker can be reached; the client goes on trying.
    AllBrokersDown,
    /// A connection failed; the client goes on trying.
    Transport,
    /// The broker refused the credentials, or they could not be had.
    Authentication,
    /// The broker denies access.
    Authorization,
    /// The topic or partition does not exist (yet).
    UnknownTopic,
    /// There is no valid offset to read from, and the settings say not to choose one.
    OffsetOutOfRange,
    /// There was nothing to commit.
    NoOffset,
    /// The group is rebalancing, or its coordinator moves.
    RebalanceInProgress,
    /// The commit came from an older generation of the group.
    IllegalGeneration,
    /// The coordinator has forgotten this member.
    UnknownMember,
    /// Another client took this one's identity.
    Fenced,
    /// The deadline passed first.
    Timeout,
    /// The producer holds as much as it may.
    QueueFull,
    /// The record is larger than client, topic or broker allow.
    MessageTooLarge,
    /// `max.poll.interval.ms` passed without a poll; the consumer left its group.
    PollExceeded,
    /// The call does not fit the client's state or its arguments.
    Invalid,
    /// The broker or mock cluster does not support the request.
    Unsupported,
    /// The client failed for good and has to be recreated.
    Fatal,
    /// Anything else; see [`ClientError::code`].
    Other,
}

impl ErrorKind {
    fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::ALL_BROKERS_DOWN => Self::AllBrokersDown,
            ErrorCode::TRANSPORT | ErrorCode::RESOLVE => Self::Transport,
            ErrorCode::AUTHENTICATION | ErrorCode::SSL | ErrorCode::SASL_AUTHENTICATION_FAILED => {
                Self::Authentication
            }
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => Self::Authorization,
            ErrorCode::UNKNOWN_TOPIC
            | ErrorCode::UNKNOWN_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Self::UnknownTopic,
            ErrorCode::OFFSET_OUT_OF_RANGE | ErrorCode::AUTO_OFFSET_RESET => Self::OffsetOutOfRange,
            ErrorCode::NO_OFFSET => Self::NoOffset,
            ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            | ErrorCode::WAIT_COORDINATOR => Self::RebalanceInProgress,
            ErrorCode::ILLEGAL_GENERATION | ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::ASSIGNMENT_LOST => {
                Self::IllegalGeneration
            }
            ErrorCode::UNKNOWN_MEMBER_ID => Self::UnknownMember,
            ErrorCode::FENCED
            | ErrorCode::FENCED_INSTANCE_ID
            | ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::PRODUCER_FENCED => Self::Fenced,
            ErrorCode::TIMED_OUT | ErrorCode::MESSAGE_TIMED_OUT | ErrorCode::REQUEST_TIMED_OUT => {
                Self::Timeout
            }
            ErrorCode::QUEUE_FULL => Self::QueueFull,
            ErrorCode::MESSAGE_TOO_LARGE => Self::MessageTooLarge,
            ErrorCode::MAX_POLL_EXCEEDED => Self::PollExceeded,
            ErrorCode::STATE | ErrorCode::INVALID_ARGUMENT | ErrorCode::UNKNOWN_GROUP => Self::Invalid,
            ErrorCode::UNSUPPORTED_FEATURE | ErrorCode::UNSUPPORTED_VERSION | ErrorCode::NOT_IMPLEMENTED => {
                Self::Unsupported
            }
            ErrorCode::FATAL => Self::Fatal,
            _ => Self::Other,
        }
    }
}

/// An error of a Kafka client. One pointer wide; [`ClientError::kind`] says what to do about it.
#[derive(Clone)]
pub struct ClientError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: Option<ErrorCode>,
    message: String,
    partition: Option<TopicPartition>,
    fatal: bool,
    retriable: bool,
    requires_abort: bool,
}

impl ClientError {
    /// What happened, coarsely.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The exact code, when librdkafka or the broker gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.code
    }

    /// The partition it is about, when there is one.
    pub fn partition(&self) -> Option<&TopicPartition> {
        self.0.partition.as_ref()
    }

    /// Whether trying the same again can help.
    pub fn is_retriable(&self) -> bool {
        self.0.retriable
    }

    /// Whether the client has failed for good and has to be recreated.
    pub fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// Whether the transaction that it happened in can only be aborted.
    pub fn requires_abort(&self) -> bool {
        self.0.requires_abort
    }

    /// An error of `doing`, a fragment such as "commit offsets", with librdkafka's or the broker's code.
    ///
    /// ```
    /// use kafka_boot_client::{ClientError, ErrorCode, ErrorKind};
    ///
    /// let error = ClientError::from_code("commit offsets", ErrorCode::UNKNOWN_MEMBER_ID);
    /// assert_eq!(error.kind(), &ErrorKind::UnknownMember);
    /// ```
    pub fn from_code(doing: &str, code: ErrorCode) -> Self {
        Self::new(code, format!("{doing}: {} (`{}`)", code.description(), code.name()))
    }

    /// As [`Self::from_code`], with the text librdkafka gave for this very failure.
    pub(crate) fn from_reason(doing: &str, code: ErrorCode, reason: &str) -> Self {
        if reason.is_empty() {
            return Self::from_code(doing, code);
        }
        Self::new(code, format!("{doing}: {reason} (`{}`)", code.name()))
    }

    /// The error of a request about one thing that its broker answered with nothing.
    pub fn unanswered() -> Self {
        Self::of_kind(ErrorKind::Other, "the broker answered without a word about what was asked")
    }

    /// The error of a send in a transaction that has ended.
    pub fn out_of_transaction() -> Self {
        Self::of_kind(ErrorKind::Invalid, "the transaction has ended")
    }

    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retriable = matches!(kind, ErrorKind::Timeout | ErrorKind::QueueFull);
        Self(Box::new(Inner {
            kind,
            code: None,
            message: message.into(),
            partition: None,
            fatal: false,
            retriable,
            requires_abort: false,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::Invalid, message)
    }

    /// Takes ownership of `error`; null means that there is none.
    ///
    /// # Safety
    /// `error` is null or a live error object that nobody else will destroy.
    pub(crate) unsafe fn check(doing: &str, error: *mut rdsys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: `error` is live until it is destroyed in the last line, after its strings were copied.
        unsafe {
            let code = ErrorCode::from(rdsys::rd_kafka_error_code(error));
            let reason = lossy(rdsys::rd_kafka_error_string(error));
            let mut made = Self::from_reason(doing, code, &reason);
            made.0.retriable |= rdsys::rd_kafka_error_is_retriable(error) != 0;
            made.0.requires_abort = rdsys::rd_kafka_error_txn_requires_abort(error) != 0;
            if rdsys::rd_kafka_error_is_fatal(error) != 0 {
                made = made.fatal();
            }
            rdsys::rd_kafka_error_destroy(error);
            Err(made)
        }
    }

    /// `Ok` for "no error".
    pub(crate) fn check_code(doing: &str, code: impl Into<ErrorCode>) -> Result<(), Self> {
        let code = code.into();
        if code.is_error() { Err(Self::from_code(doing, code)) } else { Ok(()) }
    }

    pub(crate) fn at(mut self, partition: TopicPartition) -> Self {
        self.0.message = format!("`{partition}`: {}", self.0.message);
        self.0.partition = Some(partition);
        self
    }

    /// Marks the error as one that the client does not survive; a fenced client stays [`ErrorKind::Fenced`].
    pub(crate) fn fatal(mut self) -> Self {
        self.0.fatal = true;
        self.0.retriable = false;
        if self.0.kind != ErrorKind::Fenced {
            self.0.kind = ErrorKind::Fatal;
        }
        self
    }

    fn new(code: ErrorCode, message: String) -> Self {
        let kind = ErrorKind::of(code);
        let fatal = kind == ErrorKind::Fatal;
        let retriable = code.is_retriable();
        Self(Box::new(Inner {
            kind,
            code: Some(code),
            message,
            partition: None,
            fatal,
            retriable,
            requires_abort: false,
        }))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientError")
            .field("kind", &self.0.kind)
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("fatal", &self.0.fatal)
            .field("retriable", &self.0.retriable)
            .finish()
    }
}

impl Error for ClientError {}

/// Copies a C string; null and invalid UTF-8 are tolerated, for texts that only humans read.
///
/// # Safety
/// `text` is null or a string that lives for the call.
pub(crate) unsafe fn lossy(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and alive for the call by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A string from librdkafka's static tables.
fn static_str(text: *const std::ffi::c_char) -> &'static str {
    // SAFETY: librdkafka's name tables are static and hold ASCII.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_the_bindings_do_not_know_is_reported_by_number() {
        let code = ErrorCode::from_number(4_711);
        assert_eq!(format!("{code:?}"), "UNKNOWN_CODE(4711)");
        assert_eq!(code.description(), "unknown error code");
    }

    #[test]
    fn every_kind_that_the_engine_decides_on_is_told_apart() {
        let table = [
            (ErrorCode::ALL_BROKERS_DOWN, ErrorKind::AllBrokersDown, true),
            (ErrorCode::TRANSPORT, ErrorKind::Transport, true),
            (ErrorCode::SASL_AUTHENTICATION_FAILED, ErrorKind::Authentication, false),
            (ErrorCode::GROUP_AUTHORIZATION_FAILED, ErrorKind::Authorization, false),
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorKind::UnknownTopic, false),
            (ErrorCode::AUTO_OFFSET_RESET, ErrorKind::OffsetOutOfRange, false),
            (ErrorCode::NO_OFFSET, ErrorKind::NoOffset, false),
            (ErrorCode::REBALANCE_IN_PROGRESS, ErrorKind::RebalanceInProgress, true),
            (ErrorCode::ILLEGAL_GENERATION, ErrorKind::IllegalGeneration, false),
            (ErrorCode::UNKNOWN_MEMBER_ID, ErrorKind::UnknownMember, false),
            (ErrorCode::FENCED_INSTANCE_ID, ErrorKind::Fenced, false),
            (ErrorCode::TIMED_OUT, ErrorKind::Timeout, true),
            (ErrorCode::QUEUE_FULL, ErrorKind::QueueFull, true),
            (ErrorCode::MESSAGE_TOO_LARGE, ErrorKind::MessageTooLarge, false),
            (ErrorCode::MAX_POLL_EXCEEDED, ErrorKind::PollExceeded, false),
            (ErrorCode::FATAL, ErrorKind::Fatal, false),
            (ErrorCode::UNKNOWN, ErrorKind::Other, false),
        ];
        for (code, kind, retriable) in table {
            let error = ClientError::from_code("commit offsets", code);
            assert_eq!(error.kind(), &kind, "{code}");
            assert_eq!(error.is_retriable(), retriable, "{code}");
        }
    }

    #[test]
    fn the_message_names_the_action_the_partition_and_the_code() {
        let error = ClientError::from_code("commit offsets", ErrorCode::NOT_COORDINATOR)
            .at(TopicPartition::new("orders", 3));
        assert_eq!(
            error.to_string(),
            "`orders-3`: commit offsets: Broker: Not coordinator (`NOT_COORDINATOR`)"
        );
    }
}
