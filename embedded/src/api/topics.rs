//! `CreateTopics`, `DeleteTopics` and `CreatePartitions`.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use super::configs::source_of;
use super::{code_of, text};
use crate::log::settings::{Settings, TOPIC_SETTINGS};
use crate::log::topics::{Denied, Replicas, Topic};
use crate::state::State;

/// Leaves a number to the broker.
const DEFAULT: i32 = -1;

/// The first version in which a created topic is described, settings and all.
const FIRST_WITH_CONFIGS: i16 = 5;

/// The first version with messages beside the codes of deletions.
const FIRST_WITH_DELETE_MESSAGES: i16 = 5;

/// What a created topic is like.
struct Created {
    id: Uuid,
    partitions: i32,
    replication_factor: i16,
    settings: Settings,
}

pub(super) fn create(state: &State, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let mut times: HashMap<String, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.to_string()).or_default() += 1;
    }
    let topics = request.topics.into_iter().map(|topic| {
        let name = topic.name.clone();
        let outcome = if times.get(name.as_str()).is_some_and(|times| *times > 1) {
            Err((ResponseError::InvalidRequest, format!("`{}` is in the request twice", name.as_str())))
        } else {
            create_one(state, topic, request.validate_only)
        };
        match outcome {
            Ok(created) => described(&created, version).with_name(name),
            Err((error, message)) => CreatableTopicResult::default()
                .with_name(name)
                .with_error_code(error.code())
                .with_error_message(Some(text(message))),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create_one(state: &State, asked: CreatableTopic, validate_only: bool) -> Result<Created, Denied> {
    let replicas = replicas_of(state, &asked)?;
    let partitions = i32::try_from(replicas.len()).unwrap_or(i32::MAX);
    let replication_factor = i16::try_from(replicas.first().map_or(0, Vec::len)).unwrap_or(i16::MAX);
    let mut settings = Settings::default();
    for config in asked.configs {
        let value = config.value.as_deref().unwrap_or_default();
        settings.set(&config.name, value).map_err(|why| (ResponseError::InvalidConfig, why))?;
    }
    if validate_only {
        state.topics.check_new(&asked.name, partitions)?;
        return Ok(Created { id: Uuid::nil(), partitions, replication_factor, settings });
    }
    let topic = state.topics.create_placed(&asked.name, replicas, settings.clone())?;
    Ok(Created { id: topic.id, partitions, replication_factor, settings })
}

/// On which brokers the partitions are to be.
fn replicas_of(state: &State, asked: &CreatableTopic) -> Result<Vec<Replicas>, Denied> {
    if asked.assignments.is_empty() {
        let brokers = state.cluster.nodes().len();
        let replication = match asked.replication_factor {
            -1 => Some(state.cluster.default_replication),
            wanted => usize::try_from(wanted).ok().filter(|wanted| (1..=brokers).contains(wanted)),
        };
        let Some(replication) = replication else {
            let wanted = asked.replication_factor;
            let message = format!("the replication factor is {wanted}, and has to be from 1 to {brokers}");
            return Err((ResponseError::InvalidReplicationFactor, message));
        };
        let default = asked.num_partitions == DEFAULT;
        let partitions = if default { state.default_partitions } else { asked.num_partitions };
        // Checked before so many are placed.
        state.topics.check_new(&asked.name, partitions)?;
        return Ok(state.topics.placed(partitions, replication));
    }
    let mut assigned: Vec<(i32, Replicas)> =
        asked.assignments.iter().map(|one| (one.partition_index, one.broker_ids.clone())).collect();
    assigned.sort_unstable_by_key(|(index, _)| *index);
    if !assigned.iter().map(|(index, _)| *index).eq((0..).take(assigned.len())) {
        let message = "assigned partitions are numbered from 0, without a gap".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let replicas: Vec<Replicas> = assigned.into_iter().map(|(_, replicas)| replicas).collect();
    check_brokers(state, &replicas, replicas.first().map_or(0, Vec::len))?;
    Ok(replicas)
}

/// Whether each partition is assigned to so many brokers, all known, and none of them twice.
fn check_brokers(state: &State, replicas: &[Replicas], replication: usize) -> Result<(), Denied> {
    let fits = |replicas: &Replicas| {
        let known = replicas.iter().all(|id| state.cluster.node(*id).is_some());
        let once = replicas.iter().enumerate().all(|(at, id)| !replicas[..at].contains(id));
        known && once && !replicas.is_empty() && replicas.len() == replication
    };
    if replicas.iter().all(fits) {
        return Ok(());
    }
    let known: Vec<String> = state.cluster.nodes().iter().map(|node| node.id.0.to_string()).collect();
    let message = format!(
        "each partition is to be assigned to the same number of brokers, each of them once, of `{}`",
        known.join("`, `")
    );
    Err((ResponseError::InvalidReplicaAssignment, message))
}

fn described(created: &Created, version: i16) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_topic_id(created.id);
    if version < FIRST_WITH_CONFIGS {
        return result;
    }
    let configs = TOPIC_SETTINGS.iter().map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(Some(text(created.settings.get(setting))))
            .with_config_source(source_of(&created.settings, setting))
    });
    result
        .with_num_partitions(created.partitions)
        .with_replication_factor(created.replication_factor)
        .with_configs(Some(configs.collect()))
}

pub(super) fn delete(state: &State, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let by_name = |name| DeleteTopicState::default().with_name(Some(name));
    let names = request.topic_names.into_iter().map(by_name);
    let responses = request.topics.into_iter().chain(names).map(|asked| {
        let (found, unknown) = match &asked.name {
            Some(name) => (state.topics.by_name(name), ResponseError::UnknownTopicOrPartition),
            None => (state.topics.by_id(asked.topic_id), ResponseError::UnknownTopicId),
        };
        let Some(topic) = found else {
            let message = (version >= FIRST_WITH_DELETE_MESSAGES).then(|| text("there is no such topic"));
            return DeletableTopicResult::default()
                .with_name(asked.name)
                .with_topic_id(asked.topic_id)
                .with_error_code(unknown.code())
                .with_error_message(message);
        };
        let code = code_of(&state.delete_topic(&topic));
        DeletableTopicResult::default()
            .with_error_code(code)
            .with_name(Some(TopicName(text(&topic.name))))
            .with_topic_id(topic.id)
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

pub(super) fn create_partitions(state: &State, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|asked| {
        let name = asked.name.clone();
        let result = CreatePartitionsTopicResult::default().with_name(name);
        match grow(state, &asked, request.validate_only) {
            Ok(()) => result,
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(Some(text(message)))
            }
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn grow(state: &State, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Denied> {
    let unknown = || (ResponseError::UnknownTopicOrPartition, "there is no such topic".to_owned());
    let topic = state.topics.by_name(&asked.name).ok_or_else(unknown)?;
    let replicas = match &asked.assignments {
        None => None,
        Some(assignments) => {
            let replicas: Vec<Replicas> = assignments.iter().map(|one| one.broker_ids.clone()).collect();
            check_growth(state, &topic, asked.count, &replicas)?;
            Some(replicas)
        }
    };
    state.topics.grow(&topic, asked.count, replicas, validate_only)
}

fn check_growth(state: &State, topic: &Topic, total: i32, replicas: &[Replicas]) -> Result<(), Denied> {
    let added = i64::from(total) - i64::from(topic.partition_count());
    if i64::try_from(replicas.len()) != Ok(added) {
        let message = format!("{added} partitions are to be added, and {} are assigned", replicas.len());
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let replication = topic.partition(0).map_or(0, |first| first.leadership().replicas().len());
    check_brokers(state, replicas, replication)
}
