//! A Spring-Boot-like application framework for Kafka consumer and producer services.
//!
//! Write handler functions and a YAML file; the framework does the rest: configuration, beans, polling, ordering,
//! commits, retries, schedules, supervision, health, metrics.
//!
//! ```no_run
//! use kafka_boot::prelude::*;
//!
//! #[kafka_listener(topic = "test", group = "default", commit = "sync")]
//! async fn consume(record: Record<String>) -> Result<()> {
//!     info!(%record, "consumed");
//!     Ok(())
//! }
//!
//! #[scheduled(fixed_delay = 1000)]
//! async fn produce(kafka: Bean<KafkaTemplate>) -> Result<()> {
//!     let sent = kafka.send("test", "hello").await?;
//!     info!(%sent);
//!     Ok(())
//! }
//!
//! #[kafka_boot::main]
//! async fn main(app: App) -> App {
//!     app
//! }
//! ```
//!
//! Delivery is at least once: an offset is committed only after its record was handled, or skipped by a policy that
//! says so, and never past a record that was not. Order is kept in each partition.
//!
//! # Cargo features
//! - `tls`, `tls-vendored`: TLS, SASL/SCRAM and SASL/OAUTHBEARER, with the system's OpenSSL or one built from source.
//! - `kerberos`: SASL/GSSAPI.
//! - `oidc`: OAUTHBEARER tokens fetched by the client.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may unwrap what it expects"))]

// The attributes name this crate by its own name, also in its own documentation's examples and tests.
extern crate self as kafka_boot;

mod app;
mod beans;
pub mod config;
mod dead_letters;
mod error;
mod handler;
mod listener;
mod manage;
pub mod observe;
mod policy;
pub mod prelude;
mod reader;
mod record;
mod schedule;
#[cfg(feature = "seeded-bugs")]
mod seeded;
mod supervise;
mod test;

pub use app::{App, Ended, IntoApp, RunningApp};
pub use beans::{
    Admin, Bean, Beans, Config, ConfigProperties, KafkaTemplate, PendingSend, Primary, ProducerListener,
    Qualifier, ReplyingTemplate, RequestError, SendResult, Transaction, TransactionError,
};
pub use dead_letters::{
    DeadLetter, DeadLetterError, DeadLetterFilter, DeadLetters, LetterFailure, Origin, Replay, ReplayReport,
};
pub use error::{BoxError, ExtractError, HandlerError, Result, StartError, StartErrorKind};
pub use handler::{
    Ack, Attempt, Batch, BatchArg, BatchError, BeanArg, HandlerResult, Header, HeaderValue, IntoBean,
    IntoJobResult, IntoOutcome, IntoReplies, ListenerArg, Location, NotInBatch, OnFailure, Outcome,
    PlanContext, RecordInterceptor, Reply, Retryable,
};
pub use kafka_boot_client::{ClientError, ErrorKind, FlushError, ProducerRecord, SendError};
pub use kafka_boot_macros::{
    ConfigProperties, FromPayload, bean, dead_letter_listener, kafka_listener, main, scheduled, send_to, test,
};
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use listener::simulation as __simulation;
pub use listener::{
    ListenerControlError, ListenerControlErrorKind, ListenerEvent, ListenerEventKind, ListenerEvents,
    ListenerInfo, ListenerRegistry, ListenerState, MissedEvents, OffsetMap, OffsetMapError, OpenCircuit,
    SeekTo, StuckRecord, UnknownListener, WaitingRecord,
};
pub use manage::{Health, HealthReport, HealthStatus, ListenerHealth};
pub use policy::Backoff;
pub use record::{
    BatchView, FromPayload, Headers, Json, Key, Payload, PayloadError, Raw, Record, RecordMeta, RecordView,
    Text, Timestamp, escaped,
};
pub use schedule::{JobInfo, Scheduler, UnknownJob};
pub use test::{TestApp, TestAppBuilder, TestOutcome, Unsettled, UnsettledPartition};

/// What the calls of [`Admin`] take and return.
pub mod admin {
    pub use kafka_boot_client::{
        BrokerMetadata, ClusterDescription, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource,
        ConfigSource, GroupDescription, GroupKind, GroupListing, GroupListings, GroupMember, GroupState,
        ItemResults, ListedOffset, NewPartitions, NewTopic, OffsetPlan, OffsetReset, OffsetSpec,
        PartitionMetadata, PartitionOffset, PartitionResults, PlannedOffset, ResourceResults,
        TopicDescription, TopicMetadata, TopicPartition, TopicPartitionDescription,
    };
}

/// Lanes alone, for the benchmark that counts what a record costs. Not for use by hand, and free to change.
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use listener::bench;

/// What the attributes' expansions name. Not for use by hand, and free to change.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::app::run_main;
    pub use crate::beans::{AnyBean, BeanKey, Beans};
    pub use crate::handler::{
        AnyReturned, AskedError, Attribute, AttributeValue, BeanArg, BeanDescriptor, BeanFuture, HandlerKind,
        IntoBean, IntoJobResult, IntoOutcome, IntoReplies, JobDescriptor, ListenerDescriptor, Location,
        RegisteredBean, RegisteredJob, RegisteredListener, RegisteredSection, Returned, answer,
        batch_extractor, bean_argument, dependency, directed, extractor, job_argument, pass, replies,
    };
    pub use crate::listener::{Handler, batch_handler, filtered_batch_handler, record_handler};
    pub use crate::policy::ErrorType;
    pub use crate::record::unknown_variant;
    pub use crate::schedule::{Job, job_handler};
    pub use crate::test::run_test;
}
