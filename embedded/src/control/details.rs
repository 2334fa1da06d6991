//! What a request is about. Asked only while somebody looks at requests.

use kafka_protocol::messages as of;
use kafka_protocol::messages::ApiKey;
use uuid::Uuid;

use super::request::{ReceivedRequest, RequestOutcome, RequestedTopic};
use crate::api::Caller;
use crate::api::coordination::subject;
use crate::cluster::Coordinated;
use crate::state::State;
use crate::wire::{Malformed, Request};

/// Every topic in a list of the request, with the partitions in a list of each.
macro_rules! topics_of {
    ($request:ident, $asked:ident.$list:ident, $name:ident, $partitions:ident $(.$index:ident)?) => {{
        let asked: of::$asked = $request.decode()?;
        let topics = asked.$list.iter().map(|topic| {
            let partitions = topic.$partitions.iter().map(|one| topics_of!(@index one $(, $index)?));
            RequestedTopic::new(topic.$name.to_string(), partitions.collect())
        });
        topics.collect()
    }};
    (@index $one:ident, $index:ident) => { $one.$index };
    (@index $one:ident) => { *$one };
}

pub(super) fn describe(state: &State, caller: &Caller, request: &Request) -> ReceivedRequest {
    let about = subject(request).map(|(what, id)| (what, id.to_owned()));
    let id_of = |kind| about.as_ref().filter(|(what, _)| *what == kind).map(|(_, id)| id.clone());
    ReceivedRequest {
        number: 0,
        api: request.key,
        version: request.version,
        client_id: request.client_id.clone(),
        broker: caller.node.0,
        // One that cannot be read is closed where it is carried out.
        topics: topics(state, request).unwrap_or_default(),
        group: id_of(Coordinated::Group),
        transactional_id: id_of(Coordinated::Transaction).or_else(|| transactional_id(request)),
        arrived_ms: state.stopwatch.wall_ms(),
        outcome: RequestOutcome::Pending,
    }
}

fn transactional_id(request: &Request) -> Option<String> {
    let names_it_first = matches!(request.key, ApiKey::Produce | ApiKey::TxnOffsetCommit);
    let [first] = request.leading_texts();
    first.filter(|_| names_it_first).map(str::to_owned)
}

fn topics(state: &State, request: &Request) -> Result<Vec<RequestedTopic>, Malformed> {
    let named = |id: Uuid| state.topics.by_id(id).map(|topic| topic.name.clone()).unwrap_or_default();
    Ok(match request.key {
        ApiKey::Produce => topics_of!(request, ProduceRequest.topic_data, name, partition_data.index),
        ApiKey::Fetch => {
            let asked: of::FetchRequest = request.decode()?;
            let topics = asked.topics.iter().map(|topic| {
                let by_id = topic.topic.is_empty();
                let name = if by_id { named(topic.topic_id) } else { topic.topic.to_string() };
                RequestedTopic::new(name, topic.partitions.iter().map(|one| one.partition).collect())
            });
            topics.collect()
        }
        ApiKey::ListOffsets => {
            topics_of!(request, ListOffsetsRequest.topics, name, partitions.partition_index)
        }
        ApiKey::OffsetForLeaderEpoch => {
            topics_of!(request, OffsetForLeaderEpochRequest.topics, topic, partitions.partition)
        }
        ApiKey::DeleteRecords => {
            topics_of!(request, DeleteRecordsRequest.topics, name, partitions.partition_index)
        }
        ApiKey::OffsetCommit => {
            topics_of!(request, OffsetCommitRequest.topics, name, partitions.partition_index)
        }
        ApiKey::TxnOffsetCommit => {
            topics_of!(request, TxnOffsetCommitRequest.topics, name, partitions.partition_index)
        }
        ApiKey::AddPartitionsToTxn => {
            topics_of!(request, AddPartitionsToTxnRequest.v3_and_below_topics, name, partitions)
        }
        ApiKey::Metadata => {
            let asked: of::MetadataRequest = request.decode()?;
            let topics = asked.topics.unwrap_or_default().into_iter().map(|topic| {
                let name = topic.name.map(|name| name.to_string());
                RequestedTopic::new(name.unwrap_or_else(|| named(topic.topic_id)), Vec::new())
            });
            topics.collect()
        }
        ApiKey::CreateTopics => {
            let asked: of::CreateTopicsRequest = request.decode()?;
            asked.topics.iter().map(|topic| RequestedTopic::new(topic.name.to_string(), Vec::new())).collect()
        }
        ApiKey::DeleteTopics => {
            let asked: of::DeleteTopicsRequest = request.decode()?;
            let older = asked.topic_names.iter().map(|name| name.to_string());
            let newer = asked.topics.iter().map(|topic| match &topic.name {
                Some(name) => name.to_string(),
                None => named(topic.topic_id),
            });
            older.chain(newer).map(|name| RequestedTopic::new(name, Vec::new())).collect()
        }
        _ => Vec::new(),
    })
}
