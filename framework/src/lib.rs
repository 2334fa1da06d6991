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
mod error;
mod handler;
mod listener;
mod manage;
pub mod observe;
mod policy;
pub mod prelude;
mod record;
mod schedule;
#[cfg(feature = "seeded-bugs")]
mod seeded;
mod supervise;
mod test;

pub use app::{App, Ended, IntoApp, RunningApp};
pub use beans::{
    Admin, Bean, Beans, Config, ConfigProperties, KafkaTemplate, PendingSend, Primary, ProducerListener,
    Qualifier, SendResult,
};
pub use error::{BoxError, ExtractError, HandlerError, Result, StartError, StartErrorKind};
pub use handler::{
    Ack, Batch, BatchArg, BatchError, BeanArg, Header, HeaderValue, IntoBean, IntoOutcome, ListenerArg,
    Location, NotInBatch, Outcome, PlanContext,
};
pub use kafka_boot_client::{ClientError, ErrorKind, FlushError, ProducerRecord, SendError};
pub use kafka_boot_macros::{ConfigProperties, bean, kafka_listener, main, scheduled, test};
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use listener::simulation as __simulation;
pub use listener::{
    ListenerControlError, ListenerControlErrorKind, ListenerEvent, ListenerEventKind, ListenerEvents,
    ListenerInfo, ListenerRegistry, ListenerState, MissedEvents, OffsetMap, OffsetMapError, SeekTo,
    StuckRecord, UnknownListener,
};
pub use manage::{Health, HealthReport, HealthStatus, ListenerHealth};
pub use policy::Backoff;
pub use record::{
    BatchView, FromPayload, Headers, Json, Key, Payload, PayloadError, Record, RecordMeta, RecordView,
    Timestamp, escaped,
};
pub use schedule::{JobInfo, Scheduler, UnknownJob};
pub use test::{TestApp, TestAppBuilder, TestOutcome, Unsettled, UnsettledPartition};

/// What the calls of [`Admin`] take and return.
pub mod admin {
    pub use kafka_boot_client::{
        BrokerMetadata, ClusterDescription, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource,
        ConfigSource, GroupDescription, GroupKind, GroupListing, GroupListings, GroupMember, GroupState,
        ItemResults, ListedOffset, NewPartitions, NewTopic, OffsetSpec, PartitionMetadata, PartitionOffset,
        PartitionResults, TopicDescription, TopicMetadata, TopicPartition, TopicPartitionDescription,
    };
}

/// What the attributes' expansions name. Not for use by hand, and free to change.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::app::run_main;
    pub use crate::beans::{AnyBean, BeanKey, Beans};
    pub use crate::handler::{
        Attribute, AttributeValue, BeanArg, BeanDescriptor, BeanFuture, HandlerKind, IntoBean, IntoOutcome,
        JobDescriptor, ListenerDescriptor, Location, RegisteredBean, RegisteredJob, RegisteredListener,
        RegisteredSection, batch_extractor, bean_argument, dependency, extractor, job_argument, pass,
    };
    pub use crate::listener::{Handler, batch_handler, record_handler};
    pub use crate::schedule::{Job, job_handler};
    pub use crate::test::run_test;
}
