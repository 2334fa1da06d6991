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
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use super::configs::source_of;
use super::{code_of, text};
use crate::log::settings::{Settings, TOPIC_SETTINGS};
use crate::log::topics::{Denied, Topic};
use crate::state::{NODE_ID, State};

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
    let partitions = partitions_of(state, &asked)?;
    let mut settings = Settings::default();
    for config in asked.configs {
        let value = config.value.as_deref().unwrap_or_default();
        settings.set(&config.name, value).map_err(|why| (ResponseError::InvalidConfig, why))?;
    }
    if validate_only {
        state.topics.check_new(&asked.name, partitions)?;
        return Ok(Created { id: Uuid::nil(), partitions, settings });
    }
    let topic = state.create_topic(&asked.name, partitions, settings.clone())?;
    Ok(Created { id: topic.id, partitions, settings })
}

fn partitions_of(state: &State, asked: &CreatableTopic) -> Result<i32, Denied> {
    if asked.assignments.is_empty() {
        if !matches!(asked.replication_factor, -1 | 1) {
            let message =
                format!("the replication factor is {}, and there is one broker", asked.replication_factor);
            return Err((ResponseError::InvalidReplicationFactor, message));
        }
        let default = asked.num_partitions == DEFAULT;
        return Ok(if default { state.default_partitions } else { asked.num_partitions });
    }
    let mut indexes: Vec<i32> = asked.assignments.iter().map(|one| one.partition_index).collect();
    indexes.sort_unstable();
    let consecutive = indexes.iter().copied().eq((0..).take(indexes.len()));
    let on_this_node = asked.assignments.iter().all(|one| is_this_node(&one.broker_ids));
    if !consecutive || !on_this_node {
        let message = format!("partitions are numbered from 0, and each is on broker {}", NODE_ID.0);
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    Ok(i32::try_from(indexes.len()).unwrap_or(i32::MAX))
}

fn is_this_node(brokers: &[BrokerId]) -> bool {
    brokers == [NODE_ID]
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
        .with_replication_factor(1)
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
    if let Some(assignments) = &asked.assignments {
        check_assignments(&topic, asked.count, assignments.iter().map(|one| one.broker_ids.as_slice()))?;
    }
    state.topics.grow(&topic, asked.count, validate_only)
}

fn check_assignments<'a>(
    topic: &Topic,
    total: i32,
    assignments: impl ExactSizeIterator<Item = &'a [BrokerId]>,
) -> Result<(), Denied> {
    let added = i64::from(total) - i64::from(topic.partition_count());
    let fits = i64::try_from(assignments.len()).is_ok_and(|count| count == added);
    let mut assignments = assignments;
    if fits && assignments.all(is_this_node) {
        return Ok(());
    }
    let message = format!("each new partition is to be assigned once, to broker {}", NODE_ID.0);
    Err((ResponseError::InvalidReplicaAssignment, message))
}
