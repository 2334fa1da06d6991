//! The settings of single groups of the new protocol, as `DescribeConfigs` and `IncrementalAlterConfigs` have them.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

use super::text;
use crate::group::settings::{GroupConfig, GroupSettings};
use crate::log::topics::{Denied, not_written};
use crate::state::State;

/// Where a value comes from.
const SET_ON_GROUP: i8 = 8;
const DEFAULT: i8 = 5;

/// The type of a number that fits 32 bits.
const INT: i8 = 3;

/// A setting, and where its value is kept.
struct Setting {
    name: &'static str,
    value: fn(&mut GroupConfig) -> &mut Option<u64>,
    default: fn(&GroupSettings) -> u64,
}

const SETTINGS: &[Setting] = &[
    Setting {
        name: "consumer.heartbeat.interval.ms",
        value: |config| &mut config.heartbeat_interval_ms,
        default: |settings| settings.heartbeat_interval_ms,
    },
    Setting {
        name: "consumer.session.timeout.ms",
        value: |config| &mut config.session_timeout_ms,
        default: |settings| settings.session_timeout_ms,
    },
];

pub(super) fn describe(
    state: &State,
    group_id: &str,
    wanted: impl Fn(&str) -> bool,
    synonyms: bool,
) -> Vec<DescribeConfigsResourceResult> {
    let mut config = state.groups.config(group_id);
    let defaults = state.groups.settings();
    let settings = SETTINGS.iter().filter(|setting| wanted(setting.name));
    let described = settings.map(|setting| {
        let set = *(setting.value)(&mut config);
        let default = (setting.default)(&defaults);
        let synonym = |value: u64, source| {
            DescribeConfigsSynonym::default()
                .with_name(text(setting.name))
                .with_value(Some(text(value.to_string())))
                .with_source(source)
        };
        let origins = set.map(|value| synonym(value, SET_ON_GROUP)).into_iter();
        let origins = origins.chain([synonym(default, DEFAULT)]).filter(|_| synonyms);
        DescribeConfigsResourceResult::default()
            .with_name(text(setting.name))
            .with_value(Some(text(set.unwrap_or(default).to_string())))
            .with_config_source(if set.is_some() { SET_ON_GROUP } else { DEFAULT })
            .with_config_type(INT)
            .with_synonyms(origins.collect())
    });
    described.collect()
}

/// Sets what is named to a value, or back to its default. A group need not exist for that.
pub(super) fn alter<'a>(
    state: &State,
    group_id: &str,
    changes: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    validate_only: bool,
) -> Result<(), Denied> {
    if group_id.is_empty() {
        return Err((
            ResponseError::InvalidRequest,
            "a group's settings need the id of the group".to_owned(),
        ));
    }
    let mut config = state.groups.config(group_id);
    for (name, value) in changes {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
            let known: Vec<_> = SETTINGS.iter().map(|setting| format!("`{}`", setting.name)).collect();
            invalid(format!("a group has no setting `{name}` here; it has {}", known.join(" and ")))
        })?;
        *(setting.value)(&mut config) = value.map(|value| parsed(name, value)).transpose()?;
    }
    state.groups.settings().with(config).check().map_err(invalid)?;
    if validate_only {
        return Ok(());
    }
    state.groups.set_config(group_id, config, &state.storage).map_err(|error| match error {
        ResponseError::PolicyViolation => (error, "the broker keeps settings for too many groups".to_owned()),
        other => not_written(other),
    })
}

fn parsed(name: &str, value: &str) -> Result<u64, Denied> {
    let number =
        value.trim().parse::<u32>().ok().filter(|number| (1..=i32::MAX.unsigned_abs()).contains(number));
    let expected =
        || invalid(format!("`{name}` is `{value}`, and has to be a number from 1 to {}", i32::MAX));
    number.map(u64::from).ok_or_else(expected)
}

fn invalid(why: String) -> Denied {
    (ResponseError::InvalidConfig, why)
}
