//! librdkafka made fit for a framework: batch polling, owned zero-copy records, a bounded producer, a full admin
//! client.
//!
//! This crate knows Kafka, and nothing of the framework above it. It is the only one that holds `unsafe`.
//!
//! - [`Consumer`] polls batches of [`RawRecord`]s from one thread, and hands rebalances out as events.
//! - [`Producer`] sends from any task, waits for room in line, and gives every record an outcome.
//! - [`Admin`] looks after topics, settings, groups and offsets.
//! - [`MockCluster`] is a cluster in the same process, for tests.
//!
//! # Cargo features
//! - `tls`, `tls-vendored`: TLS, SASL/SCRAM and SASL/OAUTHBEARER (librdkafka builds these only together).
//! - `kerberos`: SASL/GSSAPI.
//! - `oidc`: tokens fetched by librdkafka.

mod admin;
mod config;
mod consumer;
mod error;
mod event;
mod log;
mod metadata;
mod mock;
mod native;
mod partition;
mod producer;
mod record;

pub use admin::{
    Admin, ClusterDescription, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource,
    GroupDescription, GroupKind, GroupListing, GroupListings, GroupMember, GroupState, ItemResults,
    ListedOffset, NewPartitions, NewTopic, OffsetPlan, OffsetReset, OffsetSpec, PlannedOffset,
    ResourceResults, TopicDescription, TopicPartitionDescription,
};
pub use config::{ClientConfig, builtin_features, is_known_property, is_secret, librdkafka_version};
pub use consumer::{CommitId, Consumer, ConsumerEvent, GroupMetadata, Protocol, Waker};
pub use error::{ClientError, ErrorCode, ErrorKind};
pub use event::ClientEvent;
pub use metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
pub use mock::MockCluster;
pub use partition::{PartitionOffset, PartitionResults, TopicPartition};
pub use producer::{Delivered, Delivery, FlushError, Producer, ProducerLimits, ProducerRecord, SendError};
pub use record::{Headers, RawRecord, Timestamp};
