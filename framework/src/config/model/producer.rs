//! `kafka.producer`: how records are sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RawProperties;
use crate::config::{DataSize, TimeSpan};

/// `kafka.producer`: the producer behind the template.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProducerProperties {
    /// The name the producer gives itself to the brokers. Default: `kafka.client-id`.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// How many replicas confirm a record: `all` in sync, the leader (`1`), or none (`0`). Default `all`.
    pub acks: Acks,
    /// How often a send is tried again within `delivery-timeout`. Default 2147483647.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub retries: u32,
    /// Whether a retry can neither duplicate nor reorder records. Default `true`.
    pub enable_idempotence: bool,
    /// How long a record waits for others to share a request with. Default 5 ms.
    #[schemars(extend("x-maximum" = "15m"))]
    pub linger: TimeSpan,
    /// The most bytes that share a batch. Default 1 MB.
    #[schemars(extend("x-minimum" = "1B", "x-maximum" = "2147483647B"))]
    pub batch_size: DataSize,
    /// The most bytes of one request, and so of one record. Default 1 MB.
    #[schemars(extend("x-minimum" = "1000B", "x-maximum" = "1000000000B"))]
    pub max_request_size: DataSize,
    /// How batches are compressed. Default `none`.
    pub compression_type: Compression,
    /// How long a record may take, with all retries, until it is confirmed or given up. Default 2 min.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "2147483647ms"))]
    pub delivery_timeout: TimeSpan,
    /// How long a broker may take for one request. Default 30 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "15m"))]
    pub request_timeout: TimeSpan,
    /// How many records may be sent and not yet confirmed; `send` waits beyond that. Default 100000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_in_flight_records: u32,
    /// How many bytes may be sent and not yet confirmed; `send` waits beyond that. Default 64 MiB.
    #[schemars(extend("x-minimum" = "1KiB", "x-maximum" = "2147483647KiB"))]
    pub max_in_flight_bytes: DataSize,
    /// How the partition follows from the key. Default `murmur2-random`, the choice of the Java clients.
    pub partitioner: Partitioner,
    /// A name that no other instance has; it turns `KafkaTemplate::transaction` on. Default: none.
    #[schemars(length(min = 1))]
    pub transactional_id: Option<String>,
    /// How long closing waits for records that are not yet confirmed. Default 10 s.
    pub close_timeout: TimeSpan,
    /// librdkafka's settings for producers, under their own names or Kafka's Java ones.
    pub properties: RawProperties,
}

impl Default for ProducerProperties {
    fn default() -> Self {
        Self {
            client_id: None,
            acks: Acks::All,
            retries: 2_147_483_647,
            enable_idempotence: true,
            linger: TimeSpan::from_millis(5),
            batch_size: DataSize::from_bytes(1_000_000),
            max_request_size: DataSize::from_bytes(1_000_000),
            compression_type: Compression::None,
            delivery_timeout: TimeSpan::from_secs(120),
            request_timeout: TimeSpan::from_secs(30),
            max_in_flight_records: 100_000,
            max_in_flight_bytes: DataSize::from_mib(64),
            partitioner: Partitioner::Murmur2Random,
            transactional_id: None,
            close_timeout: TimeSpan::from_secs(10),
            properties: RawProperties::default(),
        }
    }
}

/// How many replicas confirm a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Acks {
    /// All that are in sync.
    #[default]
    #[serde(rename = "all")]
    All,
    /// The leader alone: a record may be lost with it.
    #[serde(rename = "1")]
    Leader,
    /// None: a record may be lost unnoticed.
    #[serde(rename = "0")]
    None,
}

impl Acks {
    /// The value librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        }
    }
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// zlib: small and slow.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4: fast.
    Lz4,
    /// Zstandard: smaller than LZ4.
    Zstd,
}

impl Compression {
    /// The name librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// How the partition follows from the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Partitioner {
    /// Java's: murmur2 of the key, a random partition without one.
    #[default]
    #[serde(rename = "murmur2-random")]
    Murmur2Random,
    /// murmur2 of the key; all records without one share a partition.
    #[serde(rename = "murmur2")]
    Murmur2,
    /// librdkafka's: CRC32 of the key, a random partition without one.
    #[serde(rename = "consistent-random")]
    ConsistentRandom,
    /// CRC32 of the key; all records without one share a partition.
    #[serde(rename = "consistent")]
    Consistent,
    /// FNV-1a of the key, a random partition without one; the choice of Sarama.
    #[serde(rename = "fnv1a-random")]
    Fnv1aRandom,
    /// A random partition, whatever the key.
    #[serde(rename = "random")]
    Random,
}

impl Partitioner {
    /// The name librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Murmur2Random => "murmur2_random",
            Self::Murmur2 => "murmur2",
            Self::ConsistentRandom => "consistent_random",
            Self::Consistent => "consistent",
            Self::Fnv1aRandom => "fnv1a_random",
            Self::Random => "random",
        }
    }
}
