//! What a consumer reads: what its group gives it, or partitions that are assigned by hand.

use kafka_boot_client::TopicPartition;

use crate::config::StartAt;
use crate::config::model::ListenerSettings;

/// What one consumer of a listener reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// Of these topics, and of those that match a pattern, what the group gives it.
    Group(Vec<String>),
    /// These partitions.
    ByHand(Vec<(TopicPartition, StartAt)>),
}

impl Subscription {
    /// The part of consumer number `index` of `consumers`.
    pub(crate) fn of(settings: &ListenerSettings, index: u16, consumers: u16) -> Self {
        if settings.partitions.is_empty() {
            return Self::Group(settings.topics.iter().chain(&settings.topic_pattern).cloned().collect());
        }
        let all = settings.partitions.iter().flat_map(|(topic, list)| {
            list.iter().map(move |(partition, start)| (TopicPartition::new(topic.as_str(), partition), start))
        });
        Self::ByHand(all.skip(usize::from(index)).step_by(usize::from(consumers.max(1))).collect())
    }
}
