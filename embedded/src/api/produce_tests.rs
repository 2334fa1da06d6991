//! `Produce` by version: what is part of a transaction, and topics by their ids.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::{TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::*;
use crate::log::batch::tests::{sequenced, transactional};
use crate::txn::End;

const ID: StrBytes = StrBytes::from_static_str("teller");

fn started() -> (State, ProducerIdentity) {
    let state = State::with_topics(&[("orders", 1)]);
    let producer = state.begin_producer(&ID, 1_000, None).unwrap();
    (state, producer)
}

/// The error of one transactional batch.
fn send(state: &State, producer: ProducerIdentity, sequence: i32, version: i16, topic_id: Uuid) -> i16 {
    let records = transactional(sequenced(producer.id, producer.epoch, sequence, 1)).freeze();
    let part = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default().with_partition_data(vec![part]);
    let topic = if version >= FIRST_WITH_IDS {
        topic.with_topic_id(topic_id)
    } else {
        topic.with_name(TopicName(StrBytes::from_static_str("orders")))
    };
    let request = ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(ID)))
        .with_acks(-1)
        .with_topic_data(vec![topic]);
    let response = produce(state, &Caller::local(), request, version).unwrap();
    assert_eq!(
        response.responses[0].topic_id,
        if version >= FIRST_WITH_IDS { topic_id } else { Uuid::nil() }
    );
    response.responses[0].partition_responses[0].error_code
}

#[test]
fn a_partition_has_to_be_added_first_until_batches_do_it_themselves() {
    let (state, producer) = started();
    let send = |producer, sequence, version| send(&state, producer, sequence, version, Uuid::nil());
    for version in 3..=10 {
        assert_eq!(send(producer, 0, version), ResponseError::InvalidTxnState.code());
    }
    assert_eq!(send(producer, 0, 11), ResponseError::TransactionAbortable.code());
    assert_eq!(send(producer, 0, 12), 0);
    assert_eq!(send(producer, 1, 11), 0, "it is part of the transaction now");
    let partition = state.topics.partition("orders", 0).unwrap();
    assert_eq!(partition.stable_end(), 0);
    let end = End { committed: true, version2: true };
    let next = state.end_transaction(&ID, producer, end).unwrap();
    assert_eq!(partition.stable_end(), 3, "two records and the marker");
    assert_eq!(send(producer, 2, 12), ResponseError::InvalidProducerEpoch.code(), "it is late");
    assert_eq!(send(next, 0, 12), 0);
}

#[test]
fn topics_are_found_by_their_ids() {
    let (state, producer) = started();
    let id = state.topics.by_name("orders").unwrap().id;
    assert_eq!(send(&state, producer, 0, 13, id), 0);
    assert_eq!(send(&state, producer, 1, 13, Uuid::new_v4()), ResponseError::UnknownTopicId.code());
}

#[test]
fn nothing_that_needs_a_marker_begins_where_there_is_no_room() {
    let (state, mut producer) = started();
    let end = End { committed: false, version2: true };
    let mut rounds = 0;
    while send(&state, producer, 0, 12, Uuid::nil()) == 0 {
        producer = state.end_transaction(&ID, producer, end).unwrap();
        rounds += 1;
        assert!(rounds < 100_000, "what is stored is not counted");
    }
    assert_eq!(send(&state, producer, 0, 12, Uuid::nil()), ResponseError::PolicyViolation.code());
}
