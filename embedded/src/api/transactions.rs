//! `InitProducerId`, `AddPartitionsToTxn`, `AddOffsetsToTxn`, `TxnOffsetCommit` and `EndTxn`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::group_offsets::check_offset;
use super::{Caller, NONE, code_of};
use crate::cluster::Coordinated;
use crate::group::{CommittedOffset, Committer};
use crate::state::State;
use crate::txn::{End, ProducerIdentity};

/// The first version of `AddPartitionsToTxn` for several transactions at once.
const FIRST_BATCHED: i16 = 4;

/// The first version of `TxnOffsetCommit` in which a producer need not add the group first.
const FIRST_COMMIT_THAT_ADDS: i16 = 5;

/// The first version of `EndTxn` with which the producer goes on to a new epoch.
const FIRST_END_OF_VERSION_2: i16 = 5;

/// The error of a fenced producer, which older clients know by another name.
fn named_for(version: i16, first_with_fenced: i16, error: ResponseError) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < first_with_fenced => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}

/// The error of what was never added to a transaction, for which newer clients know a way out: to abort it.
pub(super) fn abortable_for(version: i16, first_with_abortable: i16, error: ResponseError) -> ResponseError {
    match error {
        ResponseError::InvalidTxnState if version >= first_with_abortable => {
            ResponseError::TransactionAbortable
        }
        other => other,
    }
}

fn identity(id: ProducerId, epoch: i16) -> ProducerIdentity {
    ProducerIdentity { id: id.0, epoch }
}

pub(super) fn init_producer_id(
    state: &State,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let begun = match &request.transactional_id {
        None => Ok(ProducerIdentity { id: state.new_producer_id(), epoch: 0 }),
        Some(id) => {
            let claimed = identity(request.producer_id, request.producer_epoch);
            let claimed = (claimed.id >= 0).then_some(claimed);
            state.begin_producer(id, request.transaction_timeout_ms, claimed)
        }
    };
    match begun {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(named_for(version, 4, error).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

/// Adds the partitions of one transaction, or, from version 4 on, of several.
pub(super) fn add_partitions(
    state: &State,
    caller: &Caller,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    if version < FIRST_BATCHED {
        let asked = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = add_to_one(state, &asked, version);
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results);
    }
    let results = request.transactions.into_iter().map(|asked| {
        let id = &asked.transactional_id;
        let here = state.cluster.coordinates(caller.node, Coordinated::Transaction, id);
        let results = if here {
            add_to_one(state, &asked, version)
        } else {
            answered(&asked.topics, |_, _| ResponseError::NotCoordinator.code())
        };
        AddPartitionsToTxnResult::default()
            .with_transactional_id(asked.transactional_id)
            .with_topic_results(results)
    });
    AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect())
}

/// Adds all partitions, or, when one of them is unknown, none.
fn add_to_one(
    state: &State,
    asked: &AddPartitionsToTxnTransaction,
    version: i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = &asked.topics;
    let is_known = |topic: &str, index| state.topics.partition(topic, index).is_some();
    let all_known =
        topics.iter().all(|topic| topic.partitions.iter().all(|index| is_known(&topic.name, *index)));
    let producer = identity(asked.producer_id, asked.producer_epoch);
    let partitions =
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)));
    let now_ms = state.stopwatch.elapsed_ms();
    let id = &asked.transactional_id;
    let mut ledger = state.transactions.lock();
    // Markers are stored beyond the limit, so nothing that ends with one may begin there.
    let outcome = if asked.verify_only || !all_known {
        ledger.check(id, producer)
    } else if state.topics.are_full() {
        Err(ResponseError::PolicyViolation)
    } else {
        ledger.add_partitions(now_ms, id, producer, partitions)
    };
    let code_for = |topic: &str, index| match outcome {
        Err(error) => named_for(version, 2, error).code(),
        Ok(()) if all_known && asked.verify_only => {
            let added = ledger.check_partition(id, producer, topic, index);
            code_of(&added.map_err(|error| abortable_for(version, FIRST_BATCHED + 1, error)))
        }
        Ok(()) if all_known => NONE,
        Ok(()) if is_known(topic, index) => ResponseError::OperationNotAttempted.code(),
        Ok(()) => ResponseError::UnknownTopicOrPartition.code(),
    };
    answered(topics, code_for)
}

/// An answer for each partition.
fn answered(
    topics: &[AddPartitionsToTxnTopic],
    mut code_for: impl FnMut(&str, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code_for(&topic.name, *index))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    results.collect()
}

pub(super) fn add_offsets(
    state: &State,
    request: &AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let producer = identity(request.producer_id, request.producer_epoch);
    let now_ms = state.stopwatch.elapsed_ms();
    let mut ledger = state.transactions.lock();
    let added = ledger.add_group(now_ms, &request.transactional_id, producer, &request.group_id);
    let added = added.map_err(|error| named_for(version, 2, error));
    AddOffsetsToTxnResponse::default().with_error_code(code_of(&added))
}

pub(super) fn commit_offsets(
    state: &State,
    request: TxnOffsetCommitRequest,
    version: i16,
) -> TxnOffsetCommitResponse {
    let producer = identity(request.producer_id, request.producer_epoch);
    let id = &request.transactional_id;
    let now_ms = state.stopwatch.elapsed_ms();
    // Held to the end, so that the transaction cannot end in between.
    let mut ledger = state.transactions.lock();
    let added = if version >= FIRST_COMMIT_THAT_ADDS {
        ledger.add_group(now_ms, id, producer, &request.group_id)
    } else {
        let checked = ledger.check_group(id, producer, &request.group_id);
        checked.map_err(|error| abortable_for(version, 4, error))
    };
    let allowed = added.and_then(|()| {
        let who = Committer {
            member_id: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        state.groups.check_transactional_commit(&request.group_id, who)
    });
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let result =
                allowed.and_then(|()| commit_one(state, &request.group_id, producer, &topic.name, asked));
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code_of(&result))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn commit_one(
    state: &State,
    group_id: &str,
    producer: ProducerIdentity,
    topic: &str,
    asked: TxnOffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let index = asked.partition_index;
    let offset = CommittedOffset {
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: asked.committed_metadata.map(|metadata| metadata.to_string()).unwrap_or_default(),
        committed_ms: state.stopwatch.wall_ms(),
        expires_ms: None,
    };
    check_offset(state, topic, index, &offset)?;
    let committed = state.groups.with(group_id, |group, _| {
        group.offsets.commit_later(&state.offsets, group_id, producer.id, (topic, index), offset)
    });
    committed.ok_or(ResponseError::GroupIdNotFound)?
}

pub(super) fn end(state: &State, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
    let producer = identity(request.producer_id, request.producer_epoch);
    let end = End { committed: request.committed, version2: version >= FIRST_END_OF_VERSION_2 };
    match state.end_transaction(&request.transactional_id, producer, end) {
        Ok(producer) if end.version2 => EndTxnResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Ok(_) => EndTxnResponse::default(),
        Err(error) => EndTxnResponse::default().with_error_code(named_for(version, 2, error).code()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
    use kafka_protocol::messages::{GroupId, TopicName, TransactionalId};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    const ID: StrBytes = StrBytes::from_static_str("teller");

    fn add(state: &State, producer: ProducerIdentity, partitions: &[i32], version: i16) -> Vec<i16> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(partitions.to_vec());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(ID))
            .with_v3_and_below_producer_id(ProducerId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let response = add_partitions(state, &Caller::local(), request, version);
        let results =
            response.results_by_topic_v3_and_below.into_iter().flat_map(|one| one.results_by_partition);
        results.map(|result| result.partition_error_code).collect()
    }

    #[test]
    fn partitions_are_added_all_or_none_and_only_by_the_producer_of_the_id() {
        let state = State::with_topics(&[("orders", 2)]);
        let producer = state.begin_producer(&ID, 1_000, None).unwrap();
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        let not_attempted = ResponseError::OperationNotAttempted.code();
        assert_eq!(add(&state, producer, &[0, 7], 3), [not_attempted, unknown]);
        assert_eq!(add(&state, producer, &[0, 1], 3), [0, 0]);
        let old = ProducerIdentity { epoch: producer.epoch - 1, ..producer };
        assert_eq!(add(&state, old, &[0], 3), [ResponseError::ProducerFenced.code()]);
        assert_eq!(add(&state, old, &[0], 1), [ResponseError::InvalidProducerEpoch.code()]);
    }

    #[test]
    fn transactions_without_records_do_not_grow_without_end() {
        let state = State::with_topics(&[("orders", 1)]);
        let producer = state.begin_producer(&ID, 1_000, None).unwrap();
        let mut rounds = 0;
        while add(&state, producer, &[0], 3) == [0] {
            state.end_transaction(&ID, producer, End { committed: false, version2: false }).unwrap();
            rounds += 1;
            assert!(rounds < 100_000, "the markers are not counted");
        }
        assert_eq!(add(&state, producer, &[0], 3), [ResponseError::PolicyViolation.code()]);
        // Room is made as by any deletion.
        state.topics.partition("orders", 0).unwrap().delete_until(rounds).unwrap();
        assert_eq!(add(&state, producer, &[0], 3), [0]);
    }

    fn added(state: &State, producer: ProducerIdentity, verify_only: bool, version: i16) -> i16 {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(vec![0]);
        let one = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(TransactionalId(ID))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_verify_only(verify_only)
            .with_topics(vec![topic]);
        let request = AddPartitionsToTxnRequest::default().with_transactions(vec![one]);
        let response = add_partitions(state, &Caller::local(), request, version);
        response.results_by_transaction[0].topic_results[0].results_by_partition[0].partition_error_code
    }

    #[test]
    fn a_batch_of_transactions_is_added_or_only_verified() {
        let state = State::with_topics(&[("orders", 1)]);
        let producer = state.begin_producer(&ID, 1_000, None).unwrap();
        assert_eq!(added(&state, producer, true, 4), ResponseError::InvalidTxnState.code());
        assert_eq!(added(&state, producer, true, 5), ResponseError::TransactionAbortable.code());
        assert_eq!(added(&state, producer, false, 5), 0);
        assert_eq!(added(&state, producer, true, 5), 0);
        let old = ProducerIdentity { epoch: producer.epoch - 1, ..producer };
        assert_eq!(added(&state, old, false, 5), ResponseError::ProducerFenced.code());
    }

    fn committed(state: &State, producer: ProducerIdentity, version: i16) -> i16 {
        let part = TxnOffsetCommitRequestPartition::default().with_committed_offset(7);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(vec![part]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(ID))
            .with_group_id(GroupId(StrBytes::from_static_str("billing")))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_topics(vec![topic]);
        commit_offsets(state, request, version).topics[0].partitions[0].error_code
    }

    fn ended(state: &State, producer: ProducerIdentity, version: i16) -> (i16, ProducerIdentity) {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(ID))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(true);
        let response = end(state, &request, version);
        (response.error_code, identity(response.producer_id, response.producer_epoch))
    }

    #[test]
    fn offsets_open_a_transaction_of_version_2_whose_end_gives_the_next_epoch() {
        let state = State::with_topics(&[("orders", 1)]);
        let producer = state.begin_producer(&ID, 1_000, None).unwrap();
        assert_eq!(committed(&state, producer, 3), ResponseError::InvalidTxnState.code());
        assert_eq!(committed(&state, producer, 4), ResponseError::TransactionAbortable.code());
        assert_eq!(committed(&state, producer, 5), 0);
        let next = ProducerIdentity { epoch: producer.epoch + 1, ..producer };
        assert_eq!(ended(&state, producer, 5), (0, next));
        assert_eq!(ended(&state, producer, 5), (0, next), "asked again");
        let offset = state.groups.with("billing", |group, _| group.offsets.get("orders", 0).cloned());
        assert_eq!(offset.flatten().unwrap().offset, 7);
        assert_eq!(committed(&state, producer, 5), ResponseError::ProducerFenced.code());
        assert_eq!(committed(&state, next, 5), 0);
        assert_eq!(ended(&state, next, 4).0, 0);
    }
}
