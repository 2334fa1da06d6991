//! Keys about the program as a whole: `application`, `lifecycle`, `logging`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::TimeSpan;

/// `application`: the program itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ApplicationProperties {
    /// The program's name: in the banner, in the logs, and the client id where none is set. Default
    /// `application`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which profiles are on.
    pub profiles: ProfileProperties,
}

impl Default for ApplicationProperties {
    fn default() -> Self {
        Self { name: "application".into(), profiles: ProfileProperties::default() }
    }
}

/// `application.profiles`: which profiles are on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProfileProperties {
    /// The active profiles, the later ones win. Only `application.yml` may set them; `--profile` and
    /// `APP_PROFILES_ACTIVE` replace what it says. Default: none.
    pub active: Vec<String>,
}

/// `lifecycle`: how long starting and stopping may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LifecycleProperties {
    /// The one budget of the whole graceful shutdown: drain, commit, leave the groups, flush. Default 30 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub shutdown_timeout: TimeSpan,
    /// How long the start may take before it is given up. Default 30 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub startup_timeout: TimeSpan,
}

impl Default for LifecycleProperties {
    fn default() -> Self {
        Self { shutdown_timeout: TimeSpan::from_secs(30), startup_timeout: TimeSpan::from_secs(30) }
    }
}

/// `logging`: what is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LoggingProperties {
    /// The level of each target, a Rust path such as `my_service::orders`; `root` is that of all the others,
    /// and `info` where it is not given. Default `{ root: info }`.
    pub level: BTreeMap<String, LogLevel>,
    /// One line of text per event, or one JSON object. Default `plain`.
    pub format: LogFormat,
    /// Whether the text is coloured. Default `auto`.
    pub ansi: AnsiMode,
}

impl LoggingProperties {
    /// The level of every target that has none of its own.
    ///
    /// ```
    /// use kafka_boot::config::model::{LogLevel, LoggingProperties};
    /// assert_eq!(LoggingProperties::default().root_level(), LogLevel::Info);
    /// ```
    pub fn root_level(&self) -> LogLevel {
        self.level.get("root").copied().unwrap_or_default()
    }
}

impl Default for LoggingProperties {
    fn default() -> Self {
        Self {
            level: BTreeMap::from([("root".to_owned(), LogLevel::Info)]),
            format: LogFormat::Plain,
            ansi: AnsiMode::Auto,
        }
    }
}

/// The least severity that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Failures that need somebody.
    Error,
    /// Failures that were dealt with.
    Warn,
    /// The course of things.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level as the log filters spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The form of a logged event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Plain,
    /// One JSON object on one line.
    Json,
}

/// Whether logged text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AnsiMode {
    /// On a terminal that has not asked for none (`NO_COLOR`).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
