//! `Produce`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};

use super::transactions::abortable_for;
use super::{ANY_EPOCH, Caller, NOBODY, text};
use crate::cluster::Node;
use crate::cluster::leadership::Leadership;
use crate::log::batch::Batch;
use crate::log::partition::{Partition, Refused};
use crate::log::topics::Topic;
use crate::state::State;
use crate::txn::{Ledger, ProducerIdentity};

/// The first version with messages beside the codes of errors.
const FIRST_WITH_MESSAGES: i16 = 8;

/// The first version that tells who leads instead.
const FIRST_WITH_LEADERS: i16 = 10;

/// The first version whose batches add their partition to the transaction by themselves.
const FIRST_THAT_ADDS: i16 = 12;

/// The first version that names topics by their ids.
const FIRST_WITH_IDS: i16 = 13;

/// Acknowledged by all replicas that are in sync.
const ALL: i16 = -1;

/// A transaction's batch, and how its producer speaks.
struct Transaction<'a> {
    id: &'a str,
    ledger: &'a mut Ledger,
    state: &'a State,
    version: i16,
}

/// Stores what it can, and says for each partition how that went; to a producer that wants to hear it.
pub(super) fn produce(
    state: &State,
    caller: &Caller,
    request: ProduceRequest,
    version: i16,
) -> Option<ProduceResponse> {
    let acks = request.acks;
    let known_acks = (-1..=1).contains(&acks);
    let now_ms = state.stopwatch.wall_ms();
    // Held while a transaction's batches are stored, so that it cannot end in between.
    let transactional_id = request.transactional_id;
    let mut transaction = transactional_id.as_ref().map(|id| (id.as_str(), state.transactions.lock()));
    let writer = Writer { state, caller, now_ms, acks };
    let mut response = ProduceResponse::default();
    let mut leaders = Vec::new();
    for wanted in request.topic_data {
        let by_id = version >= FIRST_WITH_IDS;
        let topic =
            if by_id { state.topics.by_id(wanted.topic_id) } else { state.topics.by_name(&wanted.name) };
        let mut answered =
            TopicProduceResponse::default().with_name(wanted.name).with_topic_id(wanted.topic_id);
        for part in wanted.partition_data {
            let index = part.index;
            let outcome = if known_acks {
                let transaction =
                    transaction.as_mut().map(|(id, ledger)| Transaction { id, ledger, state, version });
                match &topic {
                    None if by_id => {
                        Err(Refused::new(ResponseError::UnknownTopicId, "there is no topic of that id"))
                    }
                    topic => writer.append(topic.as_deref(), part, transaction),
                }
            } else {
                Err(Refused {
                    error: ResponseError::InvalidRequiredAcks,
                    message: "`acks` has to be 0, 1 or -1".to_owned(),
                })
            };
            answered.partition_responses.push(match outcome {
                Ok(stored) => stored.with_index(index),
                Err(refused) => {
                    let elsewhere = refused.error == ResponseError::NotLeaderOrFollower;
                    let told = elsewhere && version >= FIRST_WITH_LEADERS;
                    let partition = topic.as_ref().filter(|_| told).and_then(|topic| topic.partition(index));
                    let refusal = refusal(refused, version).with_index(index);
                    match partition {
                        Some(partition) => refusal.with_current_leader(leader_of(&partition, &mut leaders)),
                        None => refusal,
                    }
                }
            });
        }
        response.responses.push(answered);
    }
    let endpoint = |node: &Node| {
        NodeEndpoint::default()
            .with_node_id(node.id)
            .with_host(text(&node.host))
            .with_port(i32::from(node.port))
    };
    let named = state.cluster.nodes().iter().filter(|node| leaders.contains(&node.id));
    response.node_endpoints = named.map(endpoint).collect();
    (acks != 0).then_some(response)
}

/// Where a producer has to go instead.
fn leader_of(partition: &Partition, leaders: &mut Vec<BrokerId>) -> LeaderIdAndEpoch {
    let leadership = partition.leadership();
    let leader = leadership.leader().unwrap_or(NOBODY);
    leaders.push(leader);
    LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(leadership.epoch())
}

/// What is the same for all partitions of a request.
struct Writer<'a> {
    state: &'a State,
    caller: &'a Caller,
    now_ms: i64,
    acks: i16,
}

impl Writer<'_> {
    fn append(
        &self,
        topic: Option<&Topic>,
        part: PartitionProduceData,
        transaction: Option<Transaction<'_>>,
    ) -> Result<PartitionProduceResponse, Refused> {
        let found = topic.and_then(|topic| Some((topic, topic.partition(part.index)?)));
        let Some((topic, partition)) = found else {
            return Err(Refused {
                error: ResponseError::UnknownTopicOrPartition,
                message: "there is no such topic or partition".to_owned(),
            });
        };
        // Held while the batch is stored, so that it is stored in the epoch of this leader.
        let leadership = partition.leadership();
        self.check_leader(&leadership, topic)?;
        let deny = |batch: &Batch| check_transaction(batch, transaction, &topic.name, part.index);
        let records = part.records.unwrap_or_default();
        let appended = partition.append(records, topic.behaviour(), self.now_ms, deny)?;
        Ok(PartitionProduceResponse::default()
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_ms)
            .with_log_start_offset(appended.start_offset))
    }

    fn check_leader(&self, leadership: &Leadership, topic: &Topic) -> Result<(), Refused> {
        if let Err(error) = leadership.check(self.caller.node, ANY_EPOCH) {
            return Err(Refused::new(error, "another broker leads the partition"));
        }
        if self.acks != ALL {
            return Ok(());
        }
        // As in Kafka, no more is asked for than the partition has.
        let replicas = leadership.replicas().len();
        let needed = usize::try_from(topic.behaviour().min_in_sync_replicas).unwrap_or(0).min(replicas);
        let in_sync = replicas - self.state.cluster.offline(leadership).len();
        if in_sync < needed {
            let message =
                format!("{in_sync} of {replicas} replicas are live, and `min.insync.replicas` is {needed}");
            return Err(Refused::new(ResponseError::NotEnoughReplicas, message));
        }
        Ok(())
    }
}

/// A transactional batch belongs to an open transaction that knows the partition.
fn check_transaction(
    batch: &Batch,
    transaction: Option<Transaction<'_>>,
    topic: &str,
    partition: i32,
) -> Result<(), Refused> {
    if !batch.is_transactional() {
        return Ok(());
    }
    let checked = match transaction {
        None => Err(ResponseError::InvalidTxnState),
        Some(transaction) => transaction.take(batch.producer(), topic, partition),
    };
    checked.map_err(|error| match error {
        // The name by which a producer knows it here.
        ResponseError::ProducerFenced => {
            Refused::new(ResponseError::InvalidProducerEpoch, "a newer epoch of the producer is at work")
        }
        other => Refused::new(other, "the partition is in no open transaction of the producer"),
    })
}

impl Transaction<'_> {
    /// Makes a partition part of the transaction, or has it be one already.
    fn take(self, producer: ProducerIdentity, topic: &str, partition: i32) -> Result<(), ResponseError> {
        let Self { id, ledger, state, version } = self;
        let added = ledger.check_partition(id, producer, topic, partition);
        if version < FIRST_THAT_ADDS || added != Err(ResponseError::InvalidTxnState) {
            return added.map_err(|error| abortable_for(version, 11, error));
        }
        // Markers are stored beyond the limit, so nothing that ends with one may begin there.
        if state.topics.are_full() {
            return Err(ResponseError::PolicyViolation);
        }
        ledger.add_partitions(state.stopwatch.elapsed_ms(), id, producer, [(topic.to_owned(), partition)])
    }
}

fn refusal(refused: Refused, version: i16) -> PartitionProduceResponse {
    let message = (version >= FIRST_WITH_MESSAGES).then(|| text(refused.message));
    PartitionProduceResponse::default()
        .with_error_code(refused.error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_error_message(message)
}

#[cfg(test)]
#[path = "produce_tests.rs"]
mod tests;
