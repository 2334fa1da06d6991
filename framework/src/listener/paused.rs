//! The partitions of a listener that somebody has paused: kept over rebalances and restarts of its consumers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_boot_client::TopicPartition;

/// Shared by a container and its consumers. Bounded by the partitions that its topics have.
#[derive(Debug, Default)]
pub(crate) struct PausedPartitions {
    partitions: Mutex<BTreeSet<TopicPartition>>,
    /// How many there are, so that poll threads need not lock where there are none.
    count: AtomicUsize,
}

impl PausedPartitions {
    /// Whether it was not there.
    pub(crate) fn insert(&self, partition: &TopicPartition) -> bool {
        let mut partitions = self.lock();
        let is_new = partitions.insert(partition.clone());
        self.count.store(partitions.len(), Ordering::Release);
        is_new
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, partition: &TopicPartition) -> bool {
        let mut partitions = self.lock();
        let was_there = partitions.remove(partition);
        self.count.store(partitions.len(), Ordering::Release);
        was_there
    }

    pub(crate) fn contains(&self, partition: &TopicPartition) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().contains(partition)
    }

    pub(crate) fn all(&self) -> Vec<TopicPartition> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
