//! `kafka.error.retry-topics`: topics in which records wait for a later attempt.

use schemars::JsonSchema;
use serde::Deserialize;

use super::RetryBackoff;
use crate::config::TimeSpan;

/// `kafka.error.retry-topics`: further deliveries by way of topics of their own, as Spring's `@RetryableTopic` has them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryTopicProperties {
    /// How often a record is delivered, the first time from its own topic included. Default 1: there are no retry topics.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// How long a record waits in the retry topics, the first, the second and so on. The jitter only ever lengthens a wait.
    /// Default: 1 s in each.
    pub backoff: RetryTopicBackoff,
    /// What is added to a topic's name to get those of its retry topics. Default `-retry`.
    #[schemars(length(min = 1, max = 100), extend("format" = "topic-name"))]
    pub suffix: String,
    /// What comes behind the suffix, where there are several. Default `delay`.
    pub naming: RetryTopicNaming,
    /// Whether the last deliveries share one topic, if they wait equally long. Default `single`.
    pub same_interval: SameInterval,
    /// After what time from the record's first delivery it is not delivered again. Default 0 s: never.
    pub timeout: TimeSpan,
    /// Whether the topics are created where they are missing, with the partitions and copies of the record's own. Default
    /// `true`.
    pub create_topics: bool,
    /// How many consumers each of the topics gets. Default: as many as the listener has.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: Option<u16>,
}

impl Default for RetryTopicProperties {
    fn default() -> Self {
        Self {
            attempts: 1,
            backoff: RetryTopicBackoff::default(),
            suffix: "-retry".into(),
            naming: RetryTopicNaming::Delay,
            same_interval: SameInterval::Single,
            timeout: TimeSpan::default(),
            create_topics: true,
            concurrency: None,
        }
    }
}

impl RetryTopicProperties {
    /// Whether there are any.
    pub fn is_any(&self) -> bool {
        self.attempts > 1
    }
}

/// `kafka.error.retry-topics.backoff`: the waits in the retry topics.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryTopicBackoff {
    /// The wait in the first one. Default 1 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub initial: TimeSpan,
    /// By how much each wait is longer than the one before. Default 1.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub multiplier: f64,
    /// The longest wait. Default 30 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub max: TimeSpan,
    /// The share of each wait by which it may be longer, so that many do not come back in step: 0 to 1. Default 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Default for RetryTopicBackoff {
    fn default() -> Self {
        Self { initial: TimeSpan::from_secs(1), multiplier: 1.0, max: TimeSpan::from_secs(30), jitter: 0.0 }
    }
}

impl From<&RetryTopicBackoff> for RetryBackoff {
    fn from(backoff: &RetryTopicBackoff) -> Self {
        let RetryTopicBackoff { initial, multiplier, max, jitter } = *backoff;
        Self { initial, multiplier, max, jitter }
    }
}

/// What comes behind the suffix of a retry topic's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RetryTopicNaming {
    /// The wait in milliseconds, `orders-retry-1000`, or, where all are equal, a number from 0.
    #[default]
    Delay,
    /// A number from 0, `orders-retry-0`.
    Index,
}

/// Whether deliveries after equal waits share a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SameInterval {
    /// The last ones do.
    #[default]
    Single,
    /// Each has its own.
    Multiple,
}
