//! `DescribeTransactions`, `ListTransactions` and `DescribeProducers`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::list_transactions_response::TransactionState as ListedState;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId, TopicName,
    TransactionalId,
};

use super::{ANY_EPOCH, Caller, text};
use crate::cluster::Coordinated;
use crate::log::producers::ActiveProducer;
use crate::state::State;
use crate::txn::{Described, TxnState};

/// The epoch of the one coordinator there is.
pub(super) const COORDINATOR_EPOCH: i32 = 0;

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let failed = |error: ResponseError| TransactionState::default().with_error_code(error.code());
        let known = state.transactions.lock().describe(&id);
        let described = match known {
            _ if id.is_empty() => failed(ResponseError::InvalidRequest),
            _ if !state.cluster.coordinates(caller.node, Coordinated::Transaction, &id) => {
                failed(ResponseError::NotCoordinator)
            }
            None => failed(ResponseError::TransactionalIdNotFound),
            Some(known) => described(state, known),
        };
        described.with_transactional_id(id)
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

fn described(state: &State, known: Described) -> TransactionState {
    let start_ms = start_time_ms(state, &known);
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, index) in known.partitions {
        topics.entry(topic).or_default().push(index);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        TopicData::default().with_topic(TopicName(text(name))).with_partitions(partitions)
    });
    TransactionState::default()
        .with_transaction_state(text(known.state.name()))
        .with_transaction_timeout_ms(i32::try_from(known.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(start_ms)
        .with_producer_id(ProducerId(known.producer.id))
        .with_producer_epoch(known.producer.epoch)
        .with_topics(topics.collect())
}

/// By the clock on the wall; negative if no transaction has begun.
fn start_time_ms(state: &State, known: &Described) -> i64 {
    known.since_ms.map_or(-1, |since_ms| {
        let ago_ms = state.stopwatch.elapsed_ms().saturating_sub(since_ms);
        state.stopwatch.wall_ms().saturating_sub_unsigned(ago_ms)
    })
}

pub(super) fn list(
    state: &State,
    caller: &Caller,
    request: &ListTransactionsRequest,
    version: i16,
) -> ListTransactionsResponse {
    let unknown = request.state_filters.iter().filter(|name| !TxnState::NAMES.contains(&name.as_str()));
    let unknown = unknown.cloned().collect();
    let longer_than_ms = if version >= 1 { request.duration_filter } else { -1 };
    let now_ms = state.stopwatch.wall_ms();
    let is_wanted = |known: &Described| {
        let states = &request.state_filters;
        let producers = &request.producer_id_filters;
        let lasted_ms = now_ms.saturating_sub(start_time_ms(state, known));
        (states.is_empty() || states.iter().any(|name| name.as_str() == known.state.name()))
            && (producers.is_empty() || producers.contains(&ProducerId(known.producer.id)))
            && (longer_than_ms < 0 || lasted_ms > longer_than_ms)
    };
    let all = state.transactions.lock().describe_all();
    let is_here = |id: &str| state.cluster.coordinates(caller.node, Coordinated::Transaction, id);
    let listed = all.into_iter().filter(|(id, known)| is_here(id) && is_wanted(known)).map(|(id, known)| {
        ListedState::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(known.producer.id))
            .with_transaction_state(text(known.state.name()))
    });
    ListTransactionsResponse::default()
        .with_transaction_states(listed.collect())
        .with_unknown_state_filters(unknown)
}

pub(super) fn producers(
    state: &State,
    caller: &Caller,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let partitions = asked.partition_indexes.into_iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(index);
            let Some(partition) = state.topics.partition(&asked.name, index) else {
                return answer
                    .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                    .with_error_message(Some(text("there is no such topic or partition")));
            };
            if let Err(error) = partition.leadership().check(caller.node, ANY_EPOCH) {
                let message = Some(text("another broker leads the partition"));
                return answer.with_error_code(error.code()).with_error_message(message);
            }
            let active = partition.producers().into_iter().map(producer);
            answer.with_active_producers(active.collect())
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(asked.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn producer(active: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(active.producer.id))
        .with_producer_epoch(i32::from(active.producer.epoch))
        .with_last_sequence(active.last_sequence.unwrap_or(-1))
        .with_last_timestamp(active.last_timestamp)
        .with_coordinator_epoch(if active.has_ended { COORDINATOR_EPOCH } else { -1 })
        .with_current_txn_start_offset(active.open_since_offset.unwrap_or(-1))
}
