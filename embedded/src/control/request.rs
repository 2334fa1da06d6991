//! Requests as a test sees them.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

/// A request that a broker received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The place in the order of arrival, from 1.
    pub number: u64,
    /// What was asked for.
    pub api: ApiKey,
    /// The version of the API.
    pub version: i16,
    /// The client's `client.id`.
    pub client_id: String,
    /// The id of the broker that was asked.
    pub broker: i32,
    /// What it is about: topics and partitions of `Produce`, `Fetch`, `ListOffsets`, `OffsetForLeaderEpoch`,
    /// `DeleteRecords`, `OffsetCommit`, `TxnOffsetCommit` and `AddPartitionsToTxn`; topics of `Metadata`,
    /// `CreateTopics` and `DeleteTopics`. Empty for all others.
    pub topics: Vec<RequestedTopic>,
    /// The consumer group, of a request that is about one.
    pub group: Option<String>,
    /// The transactional id, of a request that is about one.
    pub transactional_id: Option<String>,
    /// When it arrived, in milliseconds since 1970 by the broker's clock.
    pub arrived_ms: i64,
    /// How it went.
    pub outcome: RequestOutcome,
}

/// A topic in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestedTopic {
    /// Its name; empty if it was asked for by an id that no topic has.
    pub name: String,
    /// The partitions, where the request names them.
    pub partitions: Vec<i32>,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// It is being held back, worked on, or waits for records or for members.
    Pending,
    /// It was answered, with the first error that the answer holds, if any.
    Answered(Option<ResponseError>),
    /// It was carried out, and wants no answer.
    Unanswered,
    /// It was carried out, with the first error that the answer held, and the connection was cut instead of answering.
    AnswerLost(Option<ResponseError>),
    /// The connection ended before it was answered.
    Cut,
}

impl ReceivedRequest {
    /// Whether it is about a topic.
    pub fn is_about(&self, topic: &str) -> bool {
        self.topics.iter().any(|asked| asked.name == topic)
    }

    /// Whether it is about a partition.
    pub fn is_about_partition(&self, topic: &str, partition: i32) -> bool {
        self.topics.iter().any(|asked| asked.name == topic && asked.partitions.contains(&partition))
    }

    /// Whether it was carried out and answered without an error.
    pub fn succeeded(&self) -> bool {
        self.outcome == RequestOutcome::Answered(None)
    }

    /// The error that it was answered with.
    pub fn error(&self) -> Option<ResponseError> {
        match self.outcome {
            RequestOutcome::Answered(error) | RequestOutcome::AnswerLost(error) => error,
            _ => None,
        }
    }
}

impl RequestedTopic {
    pub(super) fn new(name: impl Into<String>, partitions: Vec<i32>) -> Self {
        Self { name: name.into(), partitions }
    }
}
