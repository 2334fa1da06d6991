//! `WriteTxnMarkers`: the end of a transaction in some partitions, as an administrator decrees it for one that hangs.
//!
//! The coordinator is not asked, and not told: what it has open stays open there, and its own end of it comes later.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::describe_transactions::COORDINATOR_EPOCH;
use super::{ANY_EPOCH, Caller, code_of};
use crate::log::producers::ActiveProducer;
use crate::state::State;
use crate::txn::ProducerIdentity;

/// What a marker says, wherever it is written.
#[derive(Debug, Clone, Copy)]
struct Marker {
    producer: ProducerIdentity,
    committed: bool,
    coordinator_epoch: i32,
}

pub(super) fn write(
    state: &State,
    caller: &Caller,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let markers = request.markers.into_iter().map(|asked| {
        let marker = Marker::of(&asked);
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                let written = marker.write(state, caller, &topic.name, *index);
                WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(*index)
                    .with_error_code(code_of(&written))
            });
            let partitions = partitions.collect();
            WritableTxnMarkerTopicResult::default().with_name(topic.name).with_partitions(partitions)
        });
        let topics = topics.collect();
        WritableTxnMarkerResult::default().with_producer_id(asked.producer_id).with_topics(topics)
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}

impl Marker {
    fn of(asked: &WritableTxnMarker) -> Self {
        Self {
            producer: ProducerIdentity { id: asked.producer_id.0, epoch: asked.producer_epoch },
            committed: asked.transaction_result,
            coordinator_epoch: asked.coordinator_epoch,
        }
    }

    fn write(self, state: &State, caller: &Caller, topic: &str, index: i32) -> Result<(), ResponseError> {
        let partition = state.topics.partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        // First of all locks, so that no batch of the transaction comes between the check and the marker.
        let _ledger = state.transactions.lock();
        let leadership = partition.leadership();
        if !leadership.replicas().contains(&caller.node) {
            // A broker looks only for what it has itself.
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        leadership.check(caller.node, ANY_EPOCH)?;
        let known = partition.producer(self.producer.id);
        self.check(known)?;
        // Markers are stored beyond the limit: only one that lets others go on is worth it.
        let ends_something = known.is_some_and(|known| known.open_since_offset.is_some());
        if !ends_something && state.topics.are_full() {
            return Err(ResponseError::PolicyViolation);
        }
        partition.end_transaction(state.stopwatch.wall_ms(), self.producer, self.committed);
        Ok(())
    }

    /// Whether the marker comes from the latest epoch of its producer and of the coordinator, as far as is known there.
    fn check(self, known: Option<ActiveProducer>) -> Result<(), ResponseError> {
        if self.producer.id < 0 || self.producer.epoch < 0 {
            return Err(ResponseError::InvalidRequest);
        }
        let Some(known) = known else { return Ok(()) };
        if self.producer.epoch < known.producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if known.has_ended && self.coordinator_epoch < COORDINATOR_EPOCH {
            return Err(ResponseError::TransactionCoordinatorFenced);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "markers_tests.rs"]
mod tests;
