//! `KafkaTemplate`: sending records.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use kafka_boot_client::{
    ClientConfig, ClientError, Delivered, Delivery, FlushError, Producer, ProducerLimits, ProducerRecord,
    SendError, Timestamp,
};
use metrics::{Counter, Gauge, counter, gauge};
use serde::Serialize;

use super::transaction::{self, Transaction, TransactionError, Transactions};
use crate::beans::Beans;
use crate::observe::names;
use crate::record::PayloadError;

/// How many topic names a template remembers, to share them between records.
const TOPIC_NAMES_MAX: usize = 1024;

/// Where a record was written: topic, partition, offset and timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendResult {
    delivered: Delivered,
}

impl SendResult {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.delivered.topic
    }

    /// The partition, from 0.
    pub fn partition(&self) -> i32 {
        self.delivered.partition
    }

    /// The offset; `None` when the broker does not tell, as with `acks: 0`.
    pub fn offset(&self) -> Option<i64> {
        Some(self.delivered.offset).filter(|offset| *offset >= 0)
    }

    /// The record's time, as the broker keeps it.
    pub fn timestamp(&self) -> Timestamp {
        self.delivered.timestamp
    }
}

impl fmt::Display for SendResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@", self.delivered.topic, self.delivered.partition)?;
        match self.offset() {
            Some(offset) => write!(f, "{offset}"),
            None => f.write_str("unknown"),
        }
    }
}

/// Hears of every record that a template sends. Give it as a bean of type `Box<dyn ProducerListener>`:
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{ProducerListener, ProducerRecord, SendError, SendResult};
///
/// struct Audit;
///
/// impl ProducerListener for Audit {
///     fn on_error(&self, error: &SendError) {
///         warn!(topic = %error.record().topic, %error, "not sent");
///     }
/// }
///
/// #[bean]
/// fn audit() -> Box<dyn ProducerListener> {
///     Box::new(Audit)
/// }
/// ```
///
/// Its methods are called on the producer's own thread and must return soon.
pub trait ProducerListener: Send + Sync + 'static {
    /// A record was written.
    fn on_success(&self, record: &ProducerRecord, result: &SendResult) {
        let _ = (record, result);
    }

    /// A record was not written, or nobody knows whether it was.
    fn on_error(&self, error: &SendError) {
        let _ = error;
    }
}

/// The limits of a template.
#[derive(Debug, Clone)]
pub(crate) struct TemplateOptions {
    pub(crate) cluster: String,
    pub(crate) in_flight_records_max: usize,
    pub(crate) in_flight_bytes_max: usize,
}

/// Sends records to one cluster: a bean, shared by everything that sends.
///
/// Records in flight are bounded in number and bytes (`kafka.producer.max-in-flight-records`, `-bytes`); a send that
/// finds no room waits for it. A send that returned an error gives the record back.
///
/// ```no_run
/// use kafka_boot::prelude::*;
///
/// #[scheduled(fixed_delay = 1000)]
/// async fn produce(kafka: Bean<KafkaTemplate>) -> Result<()> {
///     let sent = kafka.send("test", "hello").await?;
///     info!(%sent, "to a partition of the producer's choice");
///     kafka.send_keyed("test", "customer-7", "hello").await?;
///     kafka.send_to("test", 2, "customer-7", "hello").await?;
///     kafka.send_record(ProducerRecord::new("test").payload("hello").header("trace", "1")).await?;
///     Ok(())
/// }
/// ```
pub struct KafkaTemplate {
    producer: Producer,
    cluster: String,
    topics: RwLock<HashMap<String, Arc<str>>>,
    listener: OnceLock<SharedListener>,
    metrics: Arc<TemplateMetrics>,
    transactions: Option<Transactions>,
}

struct TemplateMetrics {
    sent: Counter,
    failed: Counter,
}

impl fmt::Debug for KafkaTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTemplate")
            .field("cluster", &self.cluster)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl KafkaTemplate {
    pub(crate) fn new(config: &ClientConfig, options: TemplateOptions) -> Result<Self, ClientError> {
        let limits = ProducerLimits {
            max_in_flight_records: options.in_flight_records_max,
            max_in_flight_bytes: options.in_flight_bytes_max,
        };
        let label = |name: &'static str| counter!(name, names::LABEL_CLUSTER => options.cluster.clone());
        let metrics = TemplateMetrics {
            sent: label(names::TEMPLATE_RECORDS_SENT),
            failed: label(names::TEMPLATE_RECORDS_FAILED),
        };
        let gauge = gauge!(names::TEMPLATE_IN_FLIGHT, names::LABEL_CLUSTER => options.cluster.clone());
        let producer = Producer::observed(config, limits, drop, adding_to(gauge))?;
        Ok(Self {
            transactions: None,
            producer,
            cluster: options.cluster,
            topics: RwLock::default(),
            listener: OnceLock::new(),
            metrics: Arc::new(metrics),
        })
    }

    /// The same, with transactions where the configuration names a transactional id.
    pub(crate) fn with_transactions(
        mut config: ClientConfig,
        options: TemplateOptions,
    ) -> Result<Self, ClientError> {
        let transactions = Transactions::of(&mut config, &options);
        Ok(Self { transactions, ..Self::new(&config, options)? })
    }

    pub(crate) fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Takes the `ProducerListener` bean, if there is one.
    pub(crate) fn set_listener(&self, beans: &Beans) {
        if let Ok(listener) = beans.named::<Box<dyn ProducerListener>>("") {
            if let Some(transactions) = &self.transactions {
                transactions.set_listener(Arc::clone(&listener));
            }
            self.be_heard_by(listener);
        }
    }

    pub(super) fn be_heard_by(&self, listener: SharedListener) {
        let first = self.listener.set(listener).is_ok();
        debug_assert!(first, "template: the listener is set once, at start");
    }

    /// Sends a value without a key; such values are spread over the partitions. Returns when the broker has it.
    ///
    /// # Errors
    /// With the record: it was refused, or not confirmed within `kafka.producer.delivery-timeout`.
    pub async fn send(&self, topic: &str, value: impl Into<Bytes>) -> Result<SendResult, SendError> {
        self.send_record(ProducerRecord::new(self.topic(topic)).payload(value)).await
    }

    /// Sends a value with a key: values of one key go to one partition, the same that Java's producer picks.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_keyed(
        &self,
        topic: &str,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<SendResult, SendError> {
        self.send_record(ProducerRecord::new(self.topic(topic)).key(key).payload(value)).await
    }

    /// Sends a value with a key to a partition of the caller's choice.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_to(
        &self,
        topic: &str,
        partition: i32,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<SendResult, SendError> {
        self.send_record(ProducerRecord::new(self.topic(topic)).partition(partition).key(key).payload(value))
            .await
    }

    /// Sends a value as JSON, with a key.
    ///
    /// # Errors
    /// As [`send`](Self::send), and if the value cannot be written as JSON.
    pub async fn send_json<T: Serialize + Sync>(
        &self,
        topic: &str,
        key: impl Into<Bytes>,
        value: &T,
    ) -> crate::Result<SendResult> {
        Ok(self.send_keyed(topic, key, json(value)?).await?)
    }

    /// Runs `work` in a transaction: what it sends with the [`Transaction`] that it is given is written together, or, where it returns an error or is
    /// dropped, not at all. Those who read committed records never see a part of it.
    ///
    /// `producer.transactional-id` of the cluster names the transactions; no other instance may have the same name. What is sent with the template itself
    /// is no part of any. At most eight transactions of a template are open at once; more wait.
    ///
    /// ```no_run
    /// use kafka_boot::prelude::*;
    ///
    /// #[scheduled(fixed_delay = "10s")]
    /// async fn transfer(kafka: Bean<KafkaTemplate>) -> Result<()> {
    ///     kafka
    ///         .transaction(|tx| async move {
    ///             tx.send_keyed("accounts", "alice", "-10").await?;
    ///             tx.send_keyed("accounts", "bob", "+10").await?;
    ///             Ok(())
    ///         })
    ///         .await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// `work` failed, the transaction could not be committed, or, rarely, nobody knows whether it was.
    pub async fn transaction<T, Fut>(
        &self,
        work: impl FnOnce(Transaction) -> Fut,
    ) -> Result<T, TransactionError>
    where
        Fut: Future<Output = crate::Result<T>>,
    {
        match &self.transactions {
            Some(transactions) => transaction::run(transactions, work).await,
            None => Err(TransactionError::NotConfigured { cluster: self.cluster.clone() }),
        }
    }

    /// Sends a record with everything it may have: partition, key, headers, timestamp.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_record(&self, record: ProducerRecord) -> Result<SendResult, SendError> {
        self.enqueue(record).await?.await
    }

    /// Waits for room and hands the record over; the value that it returns resolves to the outcome. Dropping that value
    /// does not take the record back. To have many records under way:
    ///
    /// ```no_run
    /// use kafka_boot::prelude::*;
    ///
    /// async fn send_all(kafka: &KafkaTemplate, lines: Vec<String>) -> Result<()> {
    ///     let mut pending = Vec::new();
    ///     for line in lines {
    ///         pending.push(kafka.enqueue(ProducerRecord::new("lines").payload(line)).await?);
    ///     }
    ///     for sent in pending {
    ///         sent.await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// With the record, if it cannot be sent at all.
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<PendingSend, SendError> {
        let observed = self.listener.get().map(|listener| Box::new((Arc::clone(listener), record.clone())));
        let delivery = match self.producer.enqueue(record).await {
            Ok(delivery) => delivery,
            Err(error) => return Err(self.refused(error)),
        };
        self.metrics.sent.increment(1);
        Ok(PendingSend { delivery, observed, metrics: Arc::clone(&self.metrics) })
    }

    /// Waits for room, hands the record over and calls `callback` with the outcome, on the producer's own thread, where
    /// it must return soon.
    ///
    /// ```no_run
    /// use kafka_boot::prelude::*;
    ///
    /// async fn fire(kafka: &KafkaTemplate) -> Result<()> {
    ///     let record = ProducerRecord::new("test").payload("hello");
    ///     kafka
    ///         .send_with(record, |outcome| match outcome {
    ///             Ok(sent) => info!(%sent, "sent"),
    ///             Err(error) => error!(%error, "not sent"),
    ///         })
    ///         .await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// With the record, if it cannot be sent at all; the callback is not called then.
    pub async fn send_with(
        &self,
        record: ProducerRecord,
        callback: impl FnOnce(Result<SendResult, SendError>) + Send + 'static,
    ) -> Result<(), SendError> {
        let observed = self.listener.get().map(|listener| Box::new((Arc::clone(listener), record.clone())));
        let metrics = Arc::clone(&self.metrics);
        let on_outcome = move |outcome: Result<Delivered, SendError>| {
            callback(conclude(outcome, observed.as_deref(), &metrics));
        };
        self.metrics.sent.increment(1);
        self.producer.enqueue_with(record, on_outcome).await.map_err(|error| self.refused(error))
    }

    /// Waits until every record sent before has its outcome.
    ///
    /// # Errors
    /// After `deadline`, with the number of records that have none.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        self.producer.flush(deadline).await
    }

    /// How many records have no outcome yet.
    pub fn in_flight(&self) -> usize {
        self.producer.in_flight()
    }

    /// The number of partitions of a topic.
    ///
    /// # Errors
    /// The topic is unknown, or no broker answers within `timeout`.
    pub async fn partitions_of(&self, topic: &str, timeout: Duration) -> Result<usize, ClientError> {
        self.producer.partitions_of(topic, timeout).await
    }

    fn refused(&self, error: SendError) -> SendError {
        self.metrics.failed.increment(1);
        if let Some(listener) = self.listener.get() {
            listener.on_error(&error);
        }
        error
    }

    /// A topic's name, shared by all records that go there.
    fn topic(&self, name: &str) -> Arc<str> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let topic: Arc<str> = name.into();
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.len() < TOPIC_NAMES_MAX {
            topics.insert(name.to_owned(), Arc::clone(&topic));
        }
        topic
    }
}

/// Keeps one producer's share of a gauge that many may have a share of.
fn adding_to(gauge: Gauge) -> impl FnMut(usize) + Send + 'static {
    let mut share = 0;
    move |in_flight: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a count of records in flight is small")]
        gauge.increment(in_flight as f64 - share as f64);
        share = in_flight;
    }
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, PayloadError> {
    serde_json::to_vec(value)
        .map_err(|error| PayloadError::new("the value cannot be written as JSON").with_source(error))
}

/// A bean, as everybody has it.
pub(super) type SharedListener = Arc<Box<dyn ProducerListener>>;

type Observed = (SharedListener, ProducerRecord);

/// A record under way: resolves to where it was written.
#[must_use = "a send that nobody awaits hides a lost record"]
pub struct PendingSend {
    delivery: Delivery,
    observed: Option<Box<Observed>>,
    metrics: Arc<TemplateMetrics>,
}

impl fmt::Debug for PendingSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSend").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

impl Future for PendingSend {
    type Output = Result<SendResult, SendError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let this = &mut *self;
        std::pin::Pin::new(&mut this.delivery)
            .poll(context)
            .map(|outcome| conclude(outcome, this.observed.as_deref(), &this.metrics))
    }
}

/// Counts an outcome and tells the listener of it.
fn conclude(
    outcome: Result<Delivered, SendError>,
    observed: Option<&Observed>,
    metrics: &TemplateMetrics,
) -> Result<SendResult, SendError> {
    match outcome {
        Ok(delivered) => {
            let result = SendResult { delivered };
            if let Some((listener, record)) = observed {
                listener.on_success(record, &result);
            }
            Ok(result)
        }
        Err(error) => {
            metrics.failed.increment(1);
            if let Some((listener, _)) = observed {
                listener.on_error(&error);
            }
            Err(error)
        }
    }
}
