//! A simulated member as the poll thread holds it.

use std::time::Duration;

use kafka_boot_client::{
    ClientError, CommitId, ConsumerEvent, GroupMetadata, PartitionOffset, PartitionResults, Protocol,
    TopicPartition,
};

use super::cluster::Cluster;
use super::ledger::place;
use super::member::HandedOut;
use super::plan::TOPIC;
use crate::listener::group_consumer::{GroupConsumer, PolledRecord};
use crate::record::{Made, Stored};

pub(super) struct SimulatedConsumer {
    cluster: Cluster,
    id: u32,
}

impl SimulatedConsumer {
    pub(super) fn new(cluster: Cluster, id: u32) -> Self {
        Self { cluster, id }
    }

    fn set_paused(&self, partitions: &[TopicPartition], is_paused: bool) {
        let mut world = self.cluster.world();
        for name in partitions {
            if let Some(fetch) = world.member(self.id).assignment.get_mut(&name.partition) {
                fetch.is_paused = is_paused;
            }
        }
    }
}

impl PolledRecord for HandedOut {
    fn topic_id(&self) -> usize {
        0
    }

    fn topic(&self) -> &str {
        TOPIC
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn into_stored(self) -> Stored {
        Stored::Made(Box::new(Made {
            key: self.key.map(|key| key.to_be_bytes().to_vec()),
            // The handler is to know which assignment its record belongs to.
            payload: Some(self.epoch.to_be_bytes().to_vec()),
            offset: self.offset,
            ..Made::default()
        }))
    }
}

impl GroupConsumer for SimulatedConsumer {
    type Record = HandedOut;

    fn poll(
        &mut self,
        max: usize,
        _: Duration,
        records: &mut Vec<HandedOut>,
        events: &mut Vec<ConsumerEvent>,
    ) -> Result<(), ClientError> {
        let mut world = self.cluster.world();
        // Records go first, as with librdkafka: an event of the same poll came after them.
        records.extend(world.hand_out(self.id, max));
        // And rebalances before answers.
        let is_rebalance = |event: &ConsumerEvent| {
            matches!(event, ConsumerEvent::Assign { .. } | ConsumerEvent::Revoke { .. })
        };
        let (rebalances, others): (Vec<_>, Vec<_>) =
            world.member(self.id).told.drain(..).partition(is_rebalance);
        events.extend(rebalances);
        events.extend(others);
        Ok(())
    }

    fn rebalance_protocol(&self) -> Protocol {
        if self.cluster.world().plan.is_cooperative { Protocol::Cooperative } else { Protocol::Eager }
    }

    fn assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        self.cluster.world().take_over(self.id, partitions)
    }

    fn incremental_assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        self.cluster.world().take_over(self.id, partitions)
    }

    fn incremental_unassign(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.cluster.world().give_up(self.id, Some(partitions))
    }

    fn unassign_all(&self) -> Result<(), ClientError> {
        self.cluster.world().give_up(self.id, None)
    }

    fn pause(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.set_paused(partitions, true);
        Ok(())
    }

    fn resume(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.set_paused(partitions, false);
        Ok(())
    }

    fn seek(&self, offsets: &[PartitionOffset], _: Duration) -> Result<(), ClientError> {
        self.cluster.world().seek(self.id, offsets)
    }

    fn commit(&self, offsets: &[PartitionOffset]) -> Result<CommitId, ClientError> {
        self.cluster.world().commit(self.id, offsets)
    }

    fn store_offsets(&self, offsets: &[PartitionOffset]) -> Result<PartitionResults, ClientError> {
        Ok(self.cluster.world().store(self.id, offsets))
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        self.cluster.world().look_up(self.id, partitions)
    }

    fn watermarks(&self, partition: &TopicPartition, _: Duration) -> Result<(i64, i64), ClientError> {
        let world = self.cluster.world();
        Ok((0, world.logs[place(partition.partition)].end))
    }

    fn offsets_for_times(
        &self,
        times: &[PartitionOffset],
        _: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        Ok(times.to_vec())
    }

    /// Nothing is simulated of transactions.
    fn group_metadata(&self) -> Option<GroupMetadata> {
        None
    }

    fn close(self, _: Duration) -> Result<(), ClientError> {
        self.cluster.world().close(self.id);
        Ok(())
    }
}
