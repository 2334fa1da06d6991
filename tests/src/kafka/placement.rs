//! Which broker leads what, for faults that are to hit it.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use super::{Kafka, quiet_client};
use crate::{Error, ErrorKind, Result};

/// The topic in which groups are kept.
const GROUPS_TOPIC: &str = "__consumer_offsets";

/// How long a replica may take to catch up.
const CATCH_UP_DEADLINE: Duration = Duration::from_mins(1);

impl Kafka {
    /// The index of the broker that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<usize> {
        let metadata = self.metadata_of(topic)?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let leader = partitions
            .iter()
            .find(|one| one.id() == partition)
            .map(rdkafka::metadata::MetadataPartition::leader);
        // Node ids begin with 1.
        leader.and_then(|node| usize::try_from(node - 1).ok()).ok_or_else(|| {
            Error::new(ErrorKind::Kafka, format!("partition {partition} of `{topic}` has no leader"))
        })
    }

    /// The index of the broker that coordinates a group.
    pub fn coordinator(&self, group: &str) -> Result<usize> {
        let metadata = self.metadata_of(GROUPS_TOPIC)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let partitions = u32::try_from(partitions).unwrap_or_default();
        let partition = (java_hash(group) & 0x7FFF_FFFF).checked_rem(partitions).unwrap_or_default();
        self.leader(GROUPS_TOPIC, i32::try_from(partition).unwrap_or_default())
    }

    /// Waits until every broker has a replica of every partition of a topic, and of the groups, that is in sync.
    pub fn until_in_sync(&self, topic: &str) -> Result<()> {
        let brokers = self.broker_count();
        crate::wait::poll(CATCH_UP_DEADLINE, "all replicas to be in sync", || {
            for topic in [topic, GROUPS_TOPIC] {
                let metadata = self.metadata_of(topic).map_err(|error| error.to_string())?;
                let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
                let lagging = partitions.iter().filter(|partition| partition.isr().len() < brokers).count();
                if lagging > 0 || partitions.is_empty() {
                    return Err(format!("{lagging} partitions of `{topic}` are not"));
                }
            }
            Ok(())
        })
    }

    fn metadata_of(&self, topic: &str) -> Result<Metadata> {
        let client: BaseConsumer = quiet_client(self.bootstrap_servers()).create()?;
        Ok(client.fetch_metadata(Some(topic), Duration::from_secs(5))?)
    }
}

/// `String.hashCode` of Java, which decides the partition that a group is kept in.
fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::java_hash;

    #[test]
    fn a_text_has_the_hash_that_java_gives_it() {
        assert_eq!((java_hash(""), java_hash("a"), java_hash("group")), (0, 97, 98_629_247));
    }
}
