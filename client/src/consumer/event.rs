//! What a consumer tells its owner beside records.

use crate::error::ClientError;
use crate::partition::{PartitionResults, TopicPartition};

/// Tells the answers to commits apart; unique per consumer, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub(super) usize);

impl CommitId {
    /// The id with this number, for a stand-in of a [`Consumer`](crate::Consumer) in a test.
    pub const fn from_number(number: usize) -> Self {
        Self(number)
    }
}

/// Something that happened during a poll.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsumerEvent {
    /// Partitions are to be assigned. The group waits for an answer: [`Consumer::assign`](crate::Consumer::assign), or
    /// [`Consumer::incremental_assign`](crate::Consumer::incremental_assign) when the protocol is cooperative.
    Assign {
        /// The whole new assignment; with the cooperative protocol what comes in addition.
        partitions: Vec<TopicPartition>,
    },
    /// Partitions are to be given up. The group waits for an answer:
    /// [`Consumer::unassign_all`](crate::Consumer::unassign_all), or
    /// [`Consumer::incremental_unassign`](crate::Consumer::incremental_unassign) when the protocol is cooperative.
    Revoke {
        /// The whole old assignment; with the cooperative protocol what goes.
        partitions: Vec<TopicPartition>,
        /// The partitions are somebody else's already: a commit would fail.
        lost: bool,
    },
    /// A commit was answered.
    Committed {
        /// What [`Consumer::commit`](crate::Consumer::commit) returned.
        id: CommitId,
        /// The outcome of each partition, or why the request failed as a whole.
        result: Result<PartitionResults, ClientError>,
    },
    /// Something went wrong that librdkafka survives; it goes on by itself, unless the kind says otherwise.
    Error(ClientError),
    /// librdkafka's statistics as JSON, every `statistics.interval.ms`.
    Statistics(String),
    /// A new token is wanted: answer with [`Consumer::set_oauth_token`](crate::Consumer::set_oauth_token) or
    /// [`Consumer::set_oauth_failure`](crate::Consumer::set_oauth_failure).
    TokenRefresh,
}

/// How partitions move between the members of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The consumer has not joined a group yet.
    None,
    /// Everything is given up and assigned anew.
    Eager,
    /// Only what moves is given up.
    Cooperative,
}

/// Who this consumer is in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `group.id`.
    pub group_id: String,
    /// The generation of the group, or the member's epoch (KIP-848); -1 before the first join.
    pub generation_id: i32,
    /// The id the coordinator gave; empty before the first join.
    pub member_id: String,
    /// `group.instance.id`, if set.
    pub group_instance_id: Option<String>,
}

impl GroupMetadata {
    /// Whether it is that of a member. A broker does not fence who gives neither a generation nor a member id: it takes
    /// offsets of a transaction from anybody who says nothing of itself, as older clients do.
    ///
    /// ```
    /// use kafka_boot_client::GroupMetadata;
    ///
    /// let member = |generation_id, member_id: &str| GroupMetadata {
    ///     group_id: "billing".to_owned(),
    ///     generation_id,
    ///     member_id: member_id.to_owned(),
    ///     group_instance_id: None,
    /// };
    /// assert!(member(3, "consumer-1").is_member());
    /// assert!(!member(-1, "consumer-1").is_member());
    /// assert!(!member(3, "").is_member());
    /// ```
    pub fn is_member(&self) -> bool {
        self.generation_id >= 0 && !self.member_id.is_empty()
    }
}
