//! Where records leave by that could not be handled: one a cluster.
//!
//! It has a producer of its own, made with its first record: confirmed by all replicas whatever `kafka.producer` says, in no
//! transaction, and never behind the records of the application.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_boot_client::{
    ClientConfig, ClientError, ErrorCode, ErrorKind, NewTopic, Producer, ProducerLimits, ProducerRecord,
    SendError, TopicDescription,
};
use tracing::info;

use crate::beans::Admin;
use crate::config::model::AdminProperties;

/// How long what is known of a topic is taken for true. Partitions only ever grow.
const KNOWN_FOR: Duration = Duration::from_mins(5);
/// How many topics are remembered.
const KNOWN_MAX: usize = 4096;
/// What the client lets pass, so that the broker decides: it had the record before.
const MESSAGE_BYTES_MAX: &str = "1000000000";

/// A topic's setting.
const LARGEST_RECORD: &str = "max.message.bytes";
/// By how much a letter may be larger than its record: `max-failure-bytes` at its largest, and the names of the headers.
const FAILURE_BYTES: u32 = 576 * 1024;

/// What the application's own records may be sent with, and these are not.
const UNWANTED: [&str; 7] = [
    "request.required.acks",
    "transactional.id",
    "transaction.timeout.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
];

/// One cluster's outbox.
pub(crate) struct Outbox {
    config: ClientConfig,
    admin: Arc<Admin>,
    producer: Mutex<Option<Producer>>,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    partitions: usize,
    at: Instant,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An outbox that sends as the cluster's template does, but for what must not be left to chance.
    pub(crate) fn new(template: &ClientConfig, admin: Arc<Admin>) -> Self {
        let mut config = template.clone();
        for name in UNWANTED {
            config.remove(name);
        }
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        config.set("message.max.bytes", MESSAGE_BYTES_MAX);
        if let Some(id) = template.get("client.id") {
            config.set("client.id", format!("{id}-recovery"));
        }
        Self { config, admin, producer: Mutex::default(), known: Mutex::default() }
    }

    /// An outbox of one who has no admin bean.
    pub(crate) fn alone(template: &ClientConfig, admin: &ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::new(template, Arc::new(Admin::new(admin, &AdminProperties::default())?)))
    }

    /// How many partitions a topic has. One that is missing is created like `model`, if that is wanted.
    pub(crate) async fn partitions(
        &self,
        topic: &Arc<str>,
        model: Option<&str>,
    ) -> Result<usize, ClientError> {
        if let Some(known) = lock(&self.known).get(topic).filter(|known| known.at.elapsed() < KNOWN_FOR) {
            return Ok(known.partitions);
        }
        let partitions = match (self.admin.describe_topic(topic).await, model) {
            (Ok(description), _) => description.partitions.len(),
            (Err(error), Some(model)) if error.kind() == &ErrorKind::UnknownTopic => {
                self.create(topic, model).await?
            }
            (Err(error), _) => return Err(error),
        };
        let mut known = lock(&self.known);
        if known.len() < KNOWN_MAX {
            known.insert(Arc::clone(topic), Known { partitions, at: Instant::now() });
        }
        Ok(partitions)
    }

    /// Creates a topic with the partitions and the copies of another, and room for its largest record with what is said of a
    /// failure.
    async fn create(&self, topic: &str, model: &str) -> Result<usize, ClientError> {
        let model = self.admin.describe_topic(model).await?;
        let partitions = model.partitions.len();
        let mut new = NewTopic::new(topic)
            .partitions(i32::try_from(partitions).unwrap_or(i32::MAX))
            .replication_factor(i32::try_from(copies(&model)).unwrap_or(1));
        if let Some(largest) = self.largest_record(&model.name).await {
            new = new.config(LARGEST_RECORD, largest.saturating_add(FAILURE_BYTES).to_string());
        }
        match self.admin.create_topic(new).await {
            Ok(()) => info!(topic, partitions, like = %model.name, "topic created"),
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                return Ok(self.admin.describe_topic(topic).await?.partitions.len());
            }
            Err(error) => return Err(error),
        }
        Ok(partitions)
    }

    /// How large a batch of the topic may be; `None` where that may not be asked.
    async fn largest_record(&self, topic: &str) -> Option<u32> {
        let entries = self.admin.describe_topic_configs(topic).await.ok()?;
        entries.into_iter().find(|entry| entry.name == LARGEST_RECORD)?.value?.parse().ok()
    }

    /// Sends a record, and waits until the broker has it.
    pub(crate) async fn send(&self, record: ProducerRecord) -> Result<(i32, i64), SendError> {
        match self.producer() {
            Ok(producer) => self.send_via(&producer, record).await,
            Err(error) => Err(SendError::refused(error, record)),
        }
    }

    /// The same with somebody else's producer.
    pub(crate) async fn send_via(
        &self,
        producer: &Producer,
        record: ProducerRecord,
    ) -> Result<(i32, i64), SendError> {
        let topic = Arc::clone(&record.topic);
        let sent = match producer.enqueue(record).await {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(delivered) => Ok((delivered.partition, delivered.offset)),
            Err(error) => {
                // It may have been deleted, or have lost partitions with that.
                lock(&self.known).remove(&topic);
                if error.error().is_fatal() {
                    // A producer that failed for good is made anew with the next record.
                    *lock(&self.producer) = None;
                }
                Err(error)
            }
        }
    }

    fn producer(&self) -> Result<Producer, ClientError> {
        let mut made = lock(&self.producer);
        if let Some(producer) = made.as_ref() {
            return Ok(producer.clone());
        }
        let producer = Producer::new(&self.config, ProducerLimits::default())?;
        *made = Some(producer.clone());
        Ok(producer)
    }
}

/// How many copies a topic has.
fn copies(topic: &TopicDescription) -> usize {
    topic.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
