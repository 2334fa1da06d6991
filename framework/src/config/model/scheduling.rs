//! `scheduling`: the jobs declared with `#[scheduled]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::TimeSpan;

/// `scheduling`: the jobs declared with `#[scheduled]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SchedulingProperties {
    /// Overrides by job id.
    pub jobs: BTreeMap<String, JobProperties>,
}

/// `scheduling.jobs.<id>`: what one job does differently from its attribute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct JobProperties {
    /// Whether the job runs at all. Default `true`.
    pub enabled: Option<bool>,
    /// The pause from the end of one run to the start of the next.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub fixed_delay: Option<TimeSpan>,
    /// The time from the start of one run to the start of the next.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub fixed_rate: Option<TimeSpan>,
    /// The pause before the first run. Default: none. Not with `cron`.
    pub initial_delay: Option<TimeSpan>,
    /// The instants of the runs, as a cron expression with seconds: `0 */5 * * * *`.
    #[schemars(length(min = 1))]
    pub cron: Option<String>,
    /// The time zone of `cron`, such as `Europe/Berlin`. Default `UTC`.
    #[schemars(length(min = 1))]
    pub zone: Option<String>,
}

/// Everything about one job, resolved from its attribute and `scheduling.jobs.<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// The job's id.
    pub id: String,
    /// Whether it runs at all.
    pub enabled: bool,
    /// When it runs.
    pub trigger: Trigger,
    /// The pause before the first run; zero with a cron expression.
    pub initial_delay: TimeSpan,
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// So long after the end of the run before.
    FixedDelay(TimeSpan),
    /// So long after the start of the run before.
    FixedRate(TimeSpan),
    /// At the instants of a cron expression.
    Cron {
        /// The expression, as written.
        expression: String,
        /// The time zone's name.
        zone: String,
    },
}
