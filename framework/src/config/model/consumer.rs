//! `kafka.consumer`: how records are fetched and their offsets committed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CircuitBreakerProperties, RawProperties};
use crate::config::{DataSize, TimeSpan};

/// `kafka.consumer`: what holds for the consumers of all listeners. Each key can be given per listener as
/// well.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConsumerProperties {
    /// The consumer group. A listener needs one, from here or from its own declaration. Default: none.
    #[schemars(length(min = 1))]
    pub group_id: Option<String>,
    /// The name the consumer gives itself to the brokers. Default: `kafka.client-id` and the listener's id.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// Where a group starts that has no committed offset. Default `earliest`, so that a new group skips
    /// nothing.
    pub auto_offset_reset: AutoOffsetReset,
    /// How offsets are committed. Default `sync`.
    pub commit: CommitMode,
    /// When offsets are committed. Default `batch`, or `manual` with `commit: manual`.
    pub ack_mode: AckMode,
    /// After how many records `ack-mode: count` commits. Default 1.
    #[schemars(range(min = 1))]
    pub ack_count: u32,
    /// After what time `ack-mode: time` commits. Default 5 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub ack_time: TimeSpan,
    /// How long one commit may take before it is tried again. Default 10 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub commit_timeout: TimeSpan,
    /// How often `commit: auto` commits. Default 5 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1d"))]
    pub auto_commit_interval: TimeSpan,
    /// How many records one poll hands over at most, and the most that a batch listener is given. Default
    /// 500.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_poll_records: u32,
    /// How long one poll waits for records, unless something else is to be done. Default 1 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub poll_timeout: TimeSpan,
    /// How long the poll loop may stand still before the group takes the partitions away. Handlers do not run
    /// on that loop, so a slow one costs nothing. Default 5 min.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1d"))]
    pub max_poll_interval: TimeSpan,
    /// After what silence the group takes the partitions away. Default 45 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub session_timeout: TimeSpan,
    /// How often the consumer tells the group that it lives. Default 3 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub heartbeat_interval: TimeSpan,
    /// Which of the two group protocols is spoken. Default `classic`.
    pub group_protocol: GroupProtocol,
    /// How the classic protocol shares the partitions out, in order of preference. Default `[range]`.
    #[schemars(length(min = 1))]
    pub partition_assignment_strategy: Vec<AssignmentStrategy>,
    /// A name that makes the member static: it keeps its partitions over a restart. Default: none.
    #[schemars(length(min = 1))]
    pub group_instance_id: Option<String>,
    /// Whether records of open and aborted transactions are delivered. Default `read-committed`.
    pub isolation_level: IsolationLevel,
    /// How many bytes a broker gathers before it answers a fetch. Default 1 byte.
    #[schemars(extend("x-minimum" = "1B", "x-maximum" = "100000000B"))]
    pub fetch_min_bytes: DataSize,
    /// How long a broker waits for `fetch-min-bytes`. Default 500 ms.
    #[schemars(extend("x-maximum" = "5m"))]
    pub fetch_max_wait: TimeSpan,
    /// How much one consumer may hold fetched and not yet dispatched. Default 32 MiB.
    #[schemars(extend("x-minimum" = "1KiB", "x-maximum" = "2097151KiB"))]
    pub queued_max_bytes: DataSize,
    /// How many records of each partition a consumer keeps fetched ahead, within that; more are fetched when there are fewer.
    /// librdkafka's own default of 100 000 costs memory and gains nothing. Default 20 000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub queued_min_records: u32,
    /// How long fetching pauses when that is reached; librdkafka's own default of 1 s costs most of the
    /// throughput. Default 1 ms.
    #[schemars(extend("x-maximum" = "5m"))]
    pub fetch_queue_backoff: TimeSpan,
    /// With `ordering: partition`, how many records of one partition may be dispatched and not yet settled; default
    /// 4096. With `ordering: key` or `none`, how many handlers of the listener are at work at once; default 256.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: u32,
    /// How many bytes of keys and values a listener may have dispatched and not yet settled. Default 64 MiB.
    #[schemars(extend("x-minimum" = "64KiB"))]
    pub max_in_flight_bytes: DataSize,
    /// How long a handler may take for one attempt at a record, or a batch; then the attempt has failed, and an `async fn` is
    /// dropped where it waits. A plain `fn` cannot be ended: it then runs on a thread of its own, which is left behind.
    /// `0s` is as long as it likes. Default `0s`.
    pub handler_timeout: TimeSpan,
    /// How many records a second the handler of a listener is given at most, in this process: each attempt counts.
    /// Default: no limit.
    #[schemars(range(min = 0.001, max = 1_000_000_000.0))]
    pub rate_limit: Option<f64>,
    /// Pauses a listener while nearly every call of its handler fails.
    pub circuit_breaker: CircuitBreakerProperties,
    /// How long a record may be open while everything in front of it in its partition is done, before the log and
    /// health name it as stuck; `0s` is never. Default 5 min.
    pub stuck_after: TimeSpan,
    /// After what time without a record, and how often from then on, a consumer tells that it is idle, as an event;
    /// `0s` is never. Default `0s`.
    pub idle_event_interval: TimeSpan,
    /// How much metadata the broker keeps with a commit, its `offset.metadata.max.bytes`: with `ordering: key` and
    /// `none`, what is done beyond the committed offset is written there. Default 4 KiB.
    #[schemars(extend("x-minimum" = "64B", "x-maximum" = "1MiB"))]
    pub offset_metadata_max_bytes: DataSize,
    /// How many consumers, each with its own thread, a listener gets. Default 1.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u16,
    /// How long revoked partitions wait for their records in flight. Default 10 s.
    pub drain_timeout: TimeSpan,
    /// Whether listeners start with the program; otherwise through the registry. Default `true`.
    pub auto_startup: bool,
    /// Whether the checksums of records are verified. Default `false`.
    pub check_crcs: bool,
    /// Whether subscribing may create the topic, where the broker allows it. Default `false`.
    pub allow_auto_create_topics: bool,
    /// How often topics and partitions are looked up afresh. Default 5 min.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "1h"))]
    pub metadata_max_age: TimeSpan,
    /// librdkafka's settings for consumers, under their own names or Kafka's Java ones.
    pub properties: RawProperties,
}

impl Default for ConsumerProperties {
    fn default() -> Self {
        Self {
            group_id: None,
            client_id: None,
            auto_offset_reset: AutoOffsetReset::Earliest,
            commit: CommitMode::Sync,
            ack_mode: AckMode::Batch,
            ack_count: 1,
            ack_time: TimeSpan::from_secs(5),
            commit_timeout: TimeSpan::from_secs(10),
            auto_commit_interval: TimeSpan::from_secs(5),
            max_poll_records: 500,
            poll_timeout: TimeSpan::from_secs(1),
            max_poll_interval: TimeSpan::from_secs(300),
            session_timeout: TimeSpan::from_secs(45),
            heartbeat_interval: TimeSpan::from_secs(3),
            group_protocol: GroupProtocol::Classic,
            partition_assignment_strategy: vec![AssignmentStrategy::Range],
            group_instance_id: None,
            isolation_level: IsolationLevel::ReadCommitted,
            fetch_min_bytes: DataSize::from_bytes(1),
            fetch_max_wait: TimeSpan::from_millis(500),
            queued_max_bytes: DataSize::from_mib(32),
            queued_min_records: 20_000,
            fetch_queue_backoff: TimeSpan::from_millis(1),
            max_in_flight: 4096,
            max_in_flight_bytes: DataSize::from_mib(64),
            handler_timeout: TimeSpan::from_secs(0),
            rate_limit: None,
            circuit_breaker: CircuitBreakerProperties::default(),
            stuck_after: TimeSpan::from_secs(300),
            idle_event_interval: TimeSpan::from_secs(0),
            offset_metadata_max_bytes: DataSize::from_bytes(4096),
            concurrency: 1,
            drain_timeout: TimeSpan::from_secs(10),
            auto_startup: true,
            check_crcs: false,
            allow_auto_create_topics: false,
            metadata_max_age: TimeSpan::from_secs(300),
            properties: RawProperties::default(),
        }
    }
}

/// Where a group starts that has no committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AutoOffsetReset {
    /// At the oldest record there is.
    #[default]
    Earliest,
    /// After the newest record there is.
    Latest,
    /// Nowhere: the listener fails.
    None,
}

/// How offsets are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum CommitMode {
    /// By librdkafka's timer: a crash repeats what was handled since its last tick.
    Auto,
    /// Confirmed by the broker, in order, and tried again where it fails.
    #[default]
    Sync,
    /// Without waiting for the broker; the next commit makes up for one that fails.
    Async,
    /// By the handler, through its `Ack` argument.
    Manual,
    /// With what the handler sends, in transactions: each record is consumed, and what is sent for it written, exactly once.
    Transaction,
}

/// When offsets are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AckMode {
    /// After each record.
    Record,
    /// After the records of each poll.
    #[default]
    Batch,
    /// After `ack-time`.
    Time,
    /// After `ack-count` records.
    Count,
    /// After `ack-time` or `ack-count` records, whichever comes first.
    CountTime,
    /// What the handler acknowledged, after the records of each poll.
    Manual,
    /// What the handler acknowledged, at once.
    ManualImmediate,
}

impl AckMode {
    /// Whether the handler acknowledges.
    pub const fn is_manual(self) -> bool {
        matches!(self, Self::Manual | Self::ManualImmediate)
    }
}

/// The protocol of a consumer group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum GroupProtocol {
    /// The members share the partitions out.
    #[default]
    Classic,
    /// The broker shares them out (KIP-848, Kafka 4.0 and later).
    Consumer,
}

/// How the classic protocol shares partitions out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AssignmentStrategy {
    /// Neighbouring partitions of each topic.
    Range,
    /// One partition each, in turns.
    Roundrobin,
    /// Evenly, with as few moves as possible; members that stay are not interrupted.
    CooperativeSticky,
}

impl AssignmentStrategy {
    /// The name librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Roundrobin => "roundrobin",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// Whether records of open and aborted transactions are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum IsolationLevel {
    /// Only records of transactions that were committed.
    #[default]
    ReadCommitted,
    /// All records.
    ReadUncommitted,
}
