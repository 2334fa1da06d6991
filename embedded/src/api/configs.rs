//! `DescribeConfigs`, `AlterConfigs` and `IncrementalAlterConfigs`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Caller, group_configs, text};
use crate::log::broker_names::broker_name_of;
use crate::log::settings::{BROKER_SETTINGS, Setting, Settings, TOPIC_SETTINGS};
use crate::log::topics::Denied;
use crate::state::State;

/// Kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

/// Where a value comes from.
const SET_ON_TOPIC: i8 = 1;
const DEFAULT_OF_BROKERS: i8 = 3;
const SET_AT_START: i8 = 4;
const DEFAULT: i8 = 5;

/// The one setting that a new cluster of Kafka 4 sets for all of its brokers.
const SET_FOR_ALL_BROKERS: &str = "min.insync.replicas";

/// What is to be done to a value.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Where the value of a topic's setting comes from, as a number.
pub(super) fn source_of(settings: &Settings, setting: &Setting) -> i8 {
    match settings.is_set(setting) {
        true => SET_ON_TOPIC,
        false if setting.name == SET_FOR_ALL_BROKERS => DEFAULT_OF_BROKERS,
        false => DEFAULT,
    }
}

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let results = request.resources.into_iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe_one(state, caller, &resource, synonyms) {
            Ok(configs) => result.with_configs(configs),
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(Some(text(message)))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe_one(
    state: &State,
    caller: &Caller,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Denied> {
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let wanted = |setting: &&Setting| keys.is_none_or(|keys| keys.iter().any(|key| &**key == setting.name));
    match resource.resource_type {
        TOPIC => {
            let settings = topic_settings(state, &resource.resource_name)?;
            let describe = |setting: &Setting| described_topic_setting(&settings, setting, synonyms);
            Ok(TOPIC_SETTINGS.iter().filter(wanted).map(describe).collect())
        }
        BROKER if resource.resource_name.is_empty() => Ok(described_defaults(synonyms)),
        BROKER => {
            check_broker(caller, &resource.resource_name)?;
            let describe = |setting: &Setting| described_broker_setting(state, caller, setting);
            Ok(BROKER_SETTINGS.iter().filter(wanted).map(describe).collect())
        }
        GROUP => {
            let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| &**key == name));
            Ok(group_configs::describe(state, &resource.resource_name, wanted, synonyms))
        }
        other => Err(unknown_kind(other)),
    }
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default().with_name(text(name)).with_value(Some(text(value))).with_source(source)
}

/// What is set for all brokers together, which is not what each is set to.
fn described_defaults(synonyms: bool) -> Vec<DescribeConfigsResourceResult> {
    let common = BROKER_SETTINGS.iter().filter(|setting| setting.name == SET_FOR_ALL_BROKERS);
    let describe = |setting: &Setting| {
        let origins = synonyms.then(|| synonym(setting.name, setting.default, DEFAULT_OF_BROKERS));
        DescribeConfigsResourceResult::default()
            .with_name(text(setting.name))
            .with_value(Some(text(setting.default)))
            .with_config_source(DEFAULT_OF_BROKERS)
            .with_config_type(setting.type_number())
            .with_synonyms(origins.into_iter().collect())
    };
    common.map(describe).collect()
}

fn described_topic_setting(
    settings: &Settings,
    setting: &Setting,
    synonyms: bool,
) -> DescribeConfigsResourceResult {
    let mut origins = Vec::new();
    if synonyms {
        if settings.is_set(setting) {
            origins.push(synonym(setting.name, settings.get(setting), SET_ON_TOPIC));
        }
        if setting.name == SET_FOR_ALL_BROKERS {
            origins.push(synonym(setting.name, setting.default, DEFAULT_OF_BROKERS));
        }
        if let Some(name) = broker_name_of(setting.name) {
            origins.push(synonym(name, setting.default, DEFAULT));
        }
    }
    DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(Some(text(settings.get(setting))))
        .with_config_source(source_of(settings, setting))
        .with_config_type(setting.type_number())
        .with_synonyms(origins)
}

fn described_broker_setting(
    state: &State,
    caller: &Caller,
    setting: &Setting,
) -> DescribeConfigsResourceResult {
    let value = match setting.name {
        "auto.create.topics.enable" => state.creates_topics.to_string(),
        "num.partitions" => state.default_partitions.to_string(),
        "broker.id" | "node.id" => caller.node.0.to_string(),
        "default.replication.factor" => state.cluster.default_replication.to_string(),
        _ => setting.default.to_owned(),
    };
    DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(Some(text(value)))
        .with_read_only(true)
        .with_config_source(SET_AT_START)
        .with_config_type(setting.type_number())
}

/// Replaces all that was set.
pub(super) fn alter(state: &State, caller: &Caller, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let outcome =
            check_topic_kind(caller, resource.resource_type, &resource.resource_name).and_then(|()| {
                topic_settings(state, &resource.resource_name)?;
                let mut settings = Settings::default();
                for config in &resource.configs {
                    let value = config.value.as_deref().unwrap_or_default();
                    settings.set(&config.name, value).map_err(invalid)?;
                }
                store(state, &resource.resource_name, settings, request.validate_only)
            });
        let (code, message) = told(outcome);
        AlterConfigsResourceResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// Changes only what is named; all of a resource's changes, or none.
pub(super) fn alter_incrementally(
    state: &State,
    caller: &Caller,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let outcome = if resource.resource_type == GROUP {
            alter_group(state, &resource, request.validate_only)
        } else {
            alter_topic(state, caller, &resource, request.validate_only)
        };
        let (code, message) = told(outcome);
        Altered::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn alter_topic(
    state: &State,
    caller: &Caller,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Denied> {
    check_topic_kind(caller, resource.resource_type, &resource.resource_name)?;
    let mut settings = topic_settings(state, &resource.resource_name)?;
    for config in &resource.configs {
        change(&mut settings, config.config_operation, &config.name, config.value.as_ref())?;
    }
    store(state, &resource.resource_name, settings, validate_only)
}

fn alter_group(state: &State, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Denied> {
    let mut changes = Vec::new();
    for config in &resource.configs {
        let name = config.name.as_str();
        let value = match (config.config_operation, config.value.as_deref()) {
            (SET, Some(value)) => Some(value),
            (DELETE, _) => None,
            (SET, None) => return Err(invalid(format!("`{name}` has no value"))),
            (APPEND | SUBTRACT, _) => return Err(invalid(format!("`{name}` is no list"))),
            (other, _) => return Err(unknown_operation(other, name)),
        };
        changes.push((name, value));
    }
    group_configs::alter(state, &resource.resource_name, changes.into_iter(), validate_only)
}

fn change(
    settings: &mut Settings,
    operation: i8,
    name: &str,
    value: Option<&StrBytes>,
) -> Result<(), Denied> {
    let needed = || value.map(|value| &**value).ok_or_else(|| invalid(format!("`{name}` has no value")));
    match operation {
        SET => settings.set(name, needed()?).map_err(invalid),
        DELETE => settings.unset(name).map_err(invalid),
        APPEND | SUBTRACT => settings.change_list(name, needed()?, operation == APPEND).map_err(invalid),
        other => Err(unknown_operation(other, name)),
    }
}

fn unknown_operation(operation: i8, name: &str) -> Denied {
    (ResponseError::InvalidRequest, format!("unknown operation {operation} on `{name}`"))
}

fn store(state: &State, topic: &str, settings: Settings, validate_only: bool) -> Result<(), Denied> {
    match state.topics.by_name(topic) {
        Some(topic) if !validate_only => state.topics.set_settings(&topic, settings),
        _ => Ok(()),
    }
}

fn told(outcome: Result<(), Denied>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(()) => (super::NONE, None),
        Err((error, message)) => (error.code(), Some(text(message))),
    }
}

fn topic_settings(state: &State, name: &str) -> Result<Settings, Denied> {
    let unknown = || (ResponseError::UnknownTopicOrPartition, format!("there is no topic `{name}`"));
    state.topics.by_name(name).map(|topic| topic.settings()).ok_or_else(unknown)
}

fn check_topic_kind(caller: &Caller, kind: i8, name: &str) -> Result<(), Denied> {
    match kind {
        TOPIC => Ok(()),
        BROKER => {
            check_broker(caller, name)?;
            Err(invalid("the settings of the embedded broker cannot be changed".to_owned()))
        }
        other => Err(unknown_kind(other)),
    }
}

fn check_broker(caller: &Caller, name: &str) -> Result<(), Denied> {
    // No name stands for the defaults of all brokers.
    if name.is_empty() || name == caller.node.0.to_string() {
        return Ok(());
    }
    let message = format!("this is broker `{}`; ask broker `{name}` for its own settings", caller.node.0);
    Err((ResponseError::InvalidRequest, message))
}

fn unknown_kind(kind: i8) -> Denied {
    (ResponseError::InvalidRequest, format!("resources of kind {kind} have no settings here"))
}

fn invalid(why: String) -> Denied {
    (ResponseError::InvalidConfig, why)
}
