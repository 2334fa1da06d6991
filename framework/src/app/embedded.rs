//! The broker behind `kafka.bootstrap-servers: embedded`: librdkafka's mock cluster in this process.
//!
//! For development and tests. It keeps at most 100 000 records and 5 MB a partition, in memory, and has no admin
//! calls: declared topics are created through its own interface.

use kafka_boot_client::{ClientError, MockCluster};
use tracing::info;

use crate::config::model::{EmbeddedProperties, TopicProperties};
use crate::error::{StartError, StartErrorKind};

/// A running embedded cluster.
#[derive(Debug)]
pub(crate) struct Embedded {
    cluster: MockCluster,
    bootstrap_servers: String,
}

impl Embedded {
    pub(crate) fn start(properties: &EmbeddedProperties) -> Result<Self, StartError> {
        let failed = |error: ClientError| {
            StartError::new(StartErrorKind::Kafka, "the embedded broker did not start").with_source(error)
        };
        let cluster = MockCluster::start(properties.brokers).map_err(failed)?;
        let bootstrap_servers = cluster.bootstrap_servers();
        info!(%bootstrap_servers, brokers = properties.brokers, "embedded broker started: in memory, for development and tests");
        Ok(Self { cluster, bootstrap_servers })
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    pub(crate) fn create_topic(
        &self,
        topic: &TopicProperties,
        default_partitions: u32,
    ) -> Result<(), StartError> {
        let partitions = i32::try_from(topic.partitions.unwrap_or(default_partitions)).unwrap_or(i32::MAX);
        let factor = i32::from(topic.replication_factor.unwrap_or(1));
        self.cluster.create_topic(&topic.name, partitions, factor).map_err(|error| {
            StartError::new(StartErrorKind::Kafka, format!("topic `{}` could not be created", topic.name))
                .with_source(error)
        })
    }
}
