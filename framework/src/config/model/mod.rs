//! The typed configuration: every key of the framework, its type, its default and its bounds.
//!
//! The [`Default`] implementations **are** the documented defaults: the JSON schema is generated from these
//! types, and tests compare the shipped `reference.yaml` with them. One file holds the keys of one concern.
//! The keys are the field names in kebab-case, and a key that is not here is an error.

mod admin;
mod application;
mod circuit_breaker;
mod consumer;
mod dead_letter;
mod error;
mod kafka;
mod listener;
mod producer;
mod properties;
mod retry_topics;
mod scheduling;
mod security;

pub use admin::{AdminProperties, TopicProperties};
pub use application::{
    AnsiMode, ApplicationProperties, LifecycleProperties, LogFormat, LogLevel, LoggingProperties,
    ProfileProperties,
};
pub use circuit_breaker::CircuitBreakerProperties;
pub use consumer::{
    AckMode, AssignmentStrategy, AutoOffsetReset, CommitMode, ConsumerProperties, GroupProtocol,
    IsolationLevel,
};
pub use dead_letter::{DeadLetterPartition, DeadLetterProperties};
pub use error::{
    ErrorProperties, Escalation, Exhausted, RestartBackoff, RetryBackoff, SupervisionProperties,
};
pub use kafka::{
    BootstrapServers, ClusterProperties, EmbeddedProperties, KafkaProperties, RepliesProperties,
};
pub use listener::{ListenerOverrides, ListenerSettings, Ordering};
pub use producer::{Acks, Compression, Partitioner, ProducerProperties};
pub use properties::RawProperties;
pub use retry_topics::{RetryTopicBackoff, RetryTopicNaming, RetryTopicProperties, SameInterval};
pub use scheduling::{JobProperties, JobSettings, SchedulingProperties, Trigger};
pub use security::{
    EndpointIdentification, KerberosProperties, OauthBearerMethod, OauthBearerProperties, SaslMechanism,
    SaslProperties, SecurityProperties, SecurityProtocol, SslProperties,
};

pub(crate) use listener::ListenerProperties;

use schemars::JsonSchema;
use serde::Deserialize;

/// The whole of the framework's configuration, as one document.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Properties {
    /// The program itself.
    pub application: ApplicationProperties,
    /// Everything about Kafka.
    pub kafka: KafkaProperties,
    /// Jobs declared with `#[scheduled]`.
    pub scheduling: SchedulingProperties,
    /// Start-up and shutdown budgets.
    pub lifecycle: LifecycleProperties,
    /// What is logged, and how.
    pub logging: LoggingProperties,
}
