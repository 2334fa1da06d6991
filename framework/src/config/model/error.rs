//! `kafka.error` and `kafka.supervision`: what happens when a record, or a whole listener, fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeadLetterProperties, RetryTopicProperties};
use crate::config::TimeSpan;

/// `kafka.error`: what happens to a record that its handler refuses.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ErrorProperties {
    /// How often a record is given to its handler, the first time included. Default 3; 1 where there are retry topics.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempts: u32,
    /// How long to wait between the attempts.
    pub backoff: RetryBackoff,
    /// The types of errors that are tried again, each by its name or the end of it: `Timeout`, `shop::Timeout`; `panic` is
    /// a panic. Default: all.
    pub retry_on: Vec<String>,
    /// The types of errors that are not tried again. Default: none. A record that cannot be read never is.
    pub retry_not_on: Vec<String>,
    /// Further deliveries, each by way of a topic in which the record waits. Default: none.
    pub retry_topics: RetryTopicProperties,
    /// What happens after the last attempt. Default `dead-letter`.
    pub then: Exhausted,
    /// Where and how `then: dead-letter` writes.
    pub dead_letter: DeadLetterProperties,
    /// Whether the number of the attempt is a header of the record as its handler sees it, `kafka_deliveryAttempt`, as
    /// Spring has it. Default `false`: the argument `Attempt` tells it anyway.
    pub delivery_attempt_header: bool,
}

impl Default for ErrorProperties {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: RetryBackoff::default(),
            retry_on: Vec::new(),
            retry_not_on: Vec::new(),
            retry_topics: RetryTopicProperties::default(),
            then: Exhausted::DeadLetter,
            dead_letter: DeadLetterProperties::default(),
            delivery_attempt_header: false,
        }
    }
}

/// `kafka.error.backoff`: the waits between the attempts of one record.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryBackoff {
    /// The wait before the second attempt. Default 100 ms.
    pub initial: TimeSpan,
    /// By how much each wait is longer than the one before. Default 2.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub multiplier: f64,
    /// The longest wait. Default 10 s.
    pub max: TimeSpan,
    /// The share of each wait that is random, so that many do not retry in step: 0 to 1. Default 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self {
            initial: TimeSpan::from_millis(100),
            multiplier: 2.0,
            max: TimeSpan::from_secs(10),
            jitter: 0.2,
        }
    }
}

/// What happens to a record after its last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Exhausted {
    /// It is written to its dead-letter topic, and committed when the broker has it.
    #[default]
    DeadLetter,
    /// The listener fails with it, and its supervision decides; the record is not committed.
    Stop,
    /// It is logged and committed.
    Skip,
}

impl Exhausted {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead-letter",
            Self::Stop => "stop",
            Self::Skip => "skip",
        }
    }
}

/// `kafka.supervision`: what happens to a listener that fails as a whole.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SupervisionProperties {
    /// How many restarts within `window` are allowed. Default 5.
    #[schemars(range(max = 1_000_000))]
    pub restarts: u32,
    /// The time over which restarts are counted. Default 5 min.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub window: TimeSpan,
    /// How long to wait before a restart.
    pub backoff: RestartBackoff,
    /// What happens when the restarts are used up. Default `exit`.
    pub escalation: Escalation,
}

impl Default for SupervisionProperties {
    fn default() -> Self {
        Self {
            restarts: 5,
            window: TimeSpan::from_secs(300),
            backoff: RestartBackoff::default(),
            escalation: Escalation::Exit,
        }
    }
}

/// `kafka.supervision.backoff`: the waits before the restarts of a listener.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RestartBackoff {
    /// The wait before the first restart. Default 500 ms.
    pub initial: TimeSpan,
    /// By how much each wait is longer than the one before. Default 2.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub multiplier: f64,
    /// The longest wait. Default 30 s.
    pub max: TimeSpan,
    /// The share of each wait that is random: 0 to 1. Default 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Default for RestartBackoff {
    fn default() -> Self {
        Self {
            initial: TimeSpan::from_millis(500),
            multiplier: 2.0,
            max: TimeSpan::from_secs(30),
            jitter: 0.2,
        }
    }
}

/// What happens when a listener's restarts are used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Escalation {
    /// The program shuts down gracefully and exits with an error.
    #[default]
    Exit,
    /// The listener stays failed, and health says so.
    StopListener,
}
