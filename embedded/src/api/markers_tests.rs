//! `WriteTxnMarkers` against what a partition knows of a producer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarkerTopic;
use kafka_protocol::messages::{BrokerId, ProducerId, TopicName};

use super::*;
use crate::api::text;
use crate::log::batch::tests::{sequenced, transactional};
use crate::log::partition::{Partition, ReadFrom};
use crate::txn::End;

const ID: &str = "teller";

/// A producer with one record in an open transaction.
fn hanging() -> (State, ProducerIdentity, Arc<Partition>) {
    let state = State::with_topics(&[("orders", 1)]);
    let producer = state.begin_producer(ID, 1_000, None).unwrap();
    state.transactions.lock().add_partitions(0, ID, producer, [("orders".to_owned(), 0)]).unwrap();
    let partition = state.topics.partition("orders", 0).unwrap();
    append(&state, &partition, producer, 0);
    (state, producer, partition)
}

fn append(state: &State, partition: &Partition, producer: ProducerIdentity, sequence: i32) {
    let records: Bytes = transactional(sequenced(producer.id, producer.epoch, sequence, 1)).freeze();
    let topic = state.topics.by_name("orders").unwrap();
    partition.append(records, topic.behaviour(), 0, |_| Ok(())).unwrap();
}

fn marker(producer: ProducerIdentity, index: i32, coordinator_epoch: i32) -> WriteTxnMarkersRequest {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partition_indexes(vec![index]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_coordinator_epoch(coordinator_epoch)
        .with_topics(vec![topic]);
    WriteTxnMarkersRequest::default().with_markers(vec![marker])
}

fn ask(state: &State, caller: &Caller, request: WriteTxnMarkersRequest) -> Option<ResponseError> {
    let response = write(state, caller, request);
    ResponseError::try_from_code(response.markers[0].topics[0].partitions[0].error_code)
}

fn abort(state: &State, producer: ProducerIdentity, coordinator_epoch: i32) -> Option<ResponseError> {
    ask(state, &Caller::local(), marker(producer, 0, coordinator_epoch))
}

fn aborted(partition: &Partition) -> usize {
    let all = ReadFrom { offset: 0, max_bytes: 1_000_000, oversized: true, committed_only: true };
    partition.read(all).unwrap().aborted.len()
}

#[test]
fn an_open_transaction_is_aborted_in_the_partition() {
    let (state, producer, partition) = hanging();
    assert_eq!(partition.stable_end(), 0);
    assert_eq!(abort(&state, producer, 0), None);
    assert_eq!((partition.stable_end(), aborted(&partition)), (2, 1));
    // The coordinator has it open still, and ends it in its own time.
    append(&state, &partition, producer, 1);
    assert_eq!(partition.stable_end(), 2);
    state.end_transaction(ID, producer, End { committed: true, version2: false }).unwrap();
    assert_eq!((partition.stable_end(), aborted(&partition)), (4, 1));
}

#[test]
fn a_marker_may_commit_too() {
    let (state, producer, partition) = hanging();
    let mut request = marker(producer, 0, 0);
    request.markers[0].transaction_result = true;
    assert_eq!(ask(&state, &Caller::local(), request), None);
    assert_eq!((partition.stable_end(), aborted(&partition)), (2, 0));
}

#[test]
fn markers_of_older_epochs_are_refused() {
    let (state, producer, partition) = hanging();
    let next = ProducerIdentity { epoch: producer.epoch + 1, ..producer };
    assert_eq!(abort(&state, next, -1), None, "no coordinator has ended anything here yet");
    assert_eq!(abort(&state, producer, 0), Some(ResponseError::InvalidProducerEpoch));
    assert_eq!(abort(&state, next, -1), Some(ResponseError::TransactionCoordinatorFenced));
    assert_eq!(partition.span().end, 2, "what is refused is not stored");
    let nobody = ProducerIdentity { id: -1, epoch: -1 };
    assert_eq!(abort(&state, nobody, 0), Some(ResponseError::InvalidRequest));
}

#[test]
fn a_marker_is_for_a_partition_that_the_broker_has() {
    let (state, producer, _) = hanging();
    let unknown = Some(ResponseError::UnknownTopicOrPartition);
    assert_eq!(ask(&state, &Caller::local(), marker(producer, 7, 0)), unknown);
    let elsewhere = Caller { node: BrokerId(2), ..Caller::local() };
    assert_eq!(ask(&state, &elsewhere, marker(producer, 0, 0)), unknown);
}

#[test]
fn markers_that_end_nothing_do_not_grow_without_end() {
    let (state, producer, partition) = hanging();
    let stranger = ProducerIdentity { id: 4_711, epoch: 0 };
    let mut rounds = 0;
    while abort(&state, stranger, 0).is_none() {
        rounds += 1;
        assert!(rounds < 100_000, "the markers are not counted");
    }
    assert_eq!(abort(&state, stranger, 0), Some(ResponseError::PolicyViolation));
    assert_eq!(abort(&state, producer, 0), None, "what lets others go on is always stored");
    assert_eq!(partition.stable_end(), partition.span().end);
}
