//! How far partitions that are assigned by hand have come since their listener was started: where a consumer goes on that failed
//! and is started again. What the configuration says is where the listener starts, and "the end" would be another one by then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_boot_client::TopicPartition;

/// Shared by a container and its consumers. Bounded by the partitions that are assigned by hand.
#[derive(Debug, Default)]
pub(crate) struct HandPositions(Mutex<HashMap<TopicPartition, i64>>);

impl HandPositions {
    /// Where a partition goes on, once it has begun.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Option<i64> {
        self.lock().get(partition).copied()
    }

    /// Everything before this offset is done, or is not wanted.
    pub(crate) fn moved(&self, partition: &TopicPartition, offset: i64) {
        self.lock().insert(partition.clone(), offset);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
