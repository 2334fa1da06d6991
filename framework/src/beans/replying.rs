//! `ReplyingTemplate`: sends requests and waits for their replies.
//!
//! # Invariants
//! 1. A request is sent only after the reader knows where each partition of the reply topic ends: no reply comes too early.
//! 2. A reply wakes the request of its correlation id, or nobody.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_boot_client::{ClientConfig, Consumer, PartitionOffset, ProducerRecord, SendError, TopicPartition};
use tokio::sync::{oneshot, watch};
use tracing::{debug, info, warn};

use crate::beans::KafkaTemplate;
use crate::error::BoxError;
use crate::handler::{CORRELATION_ID, REPLY_TOPIC};
use crate::reader::{owned, refusal};
use crate::record::{FromPayload, PayloadError, Record};

/// How long one poll for replies waits.
const POLL: Duration = Duration::from_millis(100);
const POLL_RECORDS_MAX: usize = 500;
/// How long a question to the cluster may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How often it is looked whether the reply topic has more partitions.
const PARTITIONS_AGE: Duration = Duration::from_secs(30);
/// How long the reader waits before it begins again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const CLOSE: Duration = Duration::from_secs(1);

type Reply = Record<Option<Bytes>>;
type CorrelationId = [u8; 16];

/// Why a request has no reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent.
    Send(SendError),
    /// There was no reply in time. The request was sent, and somebody may have handled it.
    TimedOut {
        /// The topic that the request went to.
        topic: String,
        /// The topic that the reply was awaited in.
        reply_topic: String,
        /// For how long.
        waited: Duration,
    },
    /// Replies cannot be read, so the request was not sent.
    NotReading {
        /// The topic that replies are to be read from.
        reply_topic: String,
        /// Why not, as far as is known.
        reason: String,
    },
    /// The reply is not what was asked for.
    Payload(PayloadError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(error) => write!(f, "the request was not sent: {error}"),
            Self::TimedOut { topic, reply_topic, waited } => {
                write!(f, "no reply to a request in `{topic}` came into `{reply_topic}` within {waited:?}")
            }
            Self::NotReading { reply_topic, reason } => {
                write!(f, "replies cannot be read from `{reply_topic}`: {reason}")
            }
            Self::Payload(error) => write!(f, "the reply cannot be read: {error}"),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Send(error) => Some(error),
            Self::Payload(error) => Some(error),
            Self::TimedOut { .. } | Self::NotReading { .. } => None,
        }
    }
}

/// Sends requests and waits for their replies: a bean of the default cluster, where `kafka.replies.topic` names the topic that
/// replies come into.
///
/// A request carries `kafka_correlationId` and `kafka_replyTopic` as Spring's does, so that Spring's `@SendTo` listeners can
/// answer, and `#[send_to]` answers Spring's `ReplyingKafkaTemplate`. Every instance of a program reads the whole reply topic from where it
/// ended at start, in no group, and takes what it has asked for.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::ReplyingTemplate;
///
/// #[scheduled(fixed_delay = "10s")]
/// async fn ask(requests: Bean<ReplyingTemplate>) -> Result<()> {
///     let request = ProducerRecord::new("orders").key("7").payload("one umbrella");
///     let price: String = requests.request_as(request).await?;
///     info!(price, "priced");
///     Ok(())
/// }
/// ```
pub struct ReplyingTemplate {
    template: Arc<KafkaTemplate>,
    shared: Arc<Shared>,
    timeout: Duration,
    is_reading: watch::Receiver<Result<(), String>>,
    /// Makes ids: those of two templates differ in the first half, those of one in the second.
    seed: u64,
    count: AtomicU64,
}

impl fmt::Debug for ReplyingTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyingTemplate").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}

/// What the template and its reader share.
struct Shared {
    topic: Arc<str>,
    waiting: Mutex<HashMap<CorrelationId, oneshot::Sender<Reply>>>,
    is_over: AtomicBool,
}

/// A request's entry, for as long as it waits.
struct Waiting<'a> {
    shared: &'a Shared,
    id: CorrelationId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.id);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<CorrelationId, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, reply: Reply) {
        let id = reply.header(CORRELATION_ID).and_then(|id| CorrelationId::try_from(id).ok());
        // Replies to other instances come here as well.
        if let Some(request) = id.and_then(|id| self.waiting().remove(&id)) {
            drop(request.send(reply));
        } else {
            debug!(reply = %reply, "a reply that nobody here waits for");
        }
    }
}

impl ReplyingTemplate {
    /// Starts to read the reply topic; `config` is that of a consumer.
    pub(crate) fn start(
        template: Arc<KafkaTemplate>,
        mut config: ClientConfig,
        topic: &str,
        timeout: Duration,
    ) -> Self {
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "latest"),
            ("isolation.level", "read_committed"),
            ("fetch.wait.max.ms", "100"),
        ] {
            config.set(name, value);
        }
        let shared = Arc::new(Shared {
            topic: topic.into(),
            waiting: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let (state, is_reading) = watch::channel(Err("it has not been found yet".to_owned()));
        let reader = Reader { config, shared: Arc::clone(&shared), state };
        let spawned =
            std::thread::Builder::new().name("kafka-boot-replies".to_owned()).spawn(move || reader.run());
        if let Err(error) = spawned {
            // The state says for ever that nothing is read.
            warn!(%error, "no thread for replies");
        }
        let seed = RandomState::new().hash_one(topic);
        Self { template, shared, timeout, is_reading, seed, count: AtomicU64::new(0) }
    }

    /// The topic that replies come into.
    pub fn reply_topic(&self) -> &str {
        &self.shared.topic
    }

    /// Sends a request and waits for its reply, for as long as `kafka.replies.timeout` says.
    ///
    /// # Errors
    /// The request was not sent, or there was no reply in time.
    pub async fn request(&self, record: ProducerRecord) -> Result<Record<Option<Bytes>>, RequestError> {
        self.request_within(record, self.timeout).await
    }

    /// The same, and decodes the reply's value.
    ///
    /// # Errors
    /// As [`request`](Self::request), and if the reply is not what was asked for.
    pub async fn request_as<T: FromPayload>(&self, record: ProducerRecord) -> Result<T, RequestError> {
        self.request(record).await?.decode().map_err(RequestError::Payload)
    }

    /// As [`request`](Self::request), with a time limit of its own.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn request_within(
        &self,
        record: ProducerRecord,
        timeout: Duration,
    ) -> Result<Record<Option<Bytes>>, RequestError> {
        let begun = Instant::now();
        let mut is_reading = self.is_reading.clone();
        let reads = async { is_reading.wait_for(Result::is_ok).await.is_ok() };
        if !tokio::time::timeout(timeout, reads).await.unwrap_or(false) {
            let reason = self.is_reading.borrow().as_ref().err().cloned().unwrap_or_default();
            return Err(RequestError::NotReading { reply_topic: self.reply_topic().to_owned(), reason });
        }
        let id = self.next_id();
        let (sender, reply) = oneshot::channel();
        self.shared.waiting().insert(id, sender);
        let waiting = Waiting { shared: &self.shared, id };
        let topic = Arc::clone(&record.topic);
        let request = record
            .header(CORRELATION_ID, Bytes::copy_from_slice(&id))
            .header(REPLY_TOPIC, Bytes::copy_from_slice(self.shared.topic.as_bytes()));
        let exchange = async {
            self.template.send_record(request).await.map_err(RequestError::Send)?;
            // The sender is dropped with the entry alone, which `waiting` keeps.
            reply.await.map_err(|_| self.timed_out(&topic, begun))
        };
        let left = timeout.saturating_sub(begun.elapsed());
        let outcome =
            tokio::time::timeout(left, exchange).await.unwrap_or_else(|_| Err(self.timed_out(&topic, begun)));
        drop(waiting);
        outcome
    }

    fn timed_out(&self, topic: &str, begun: Instant) -> RequestError {
        RequestError::TimedOut {
            topic: topic.to_owned(),
            reply_topic: self.reply_topic().to_owned(),
            waited: begun.elapsed(),
        }
    }

    /// As a UUID of version 4 looks.
    fn next_id(&self) -> CorrelationId {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.seed.to_be_bytes());
        id[8..].copy_from_slice(&number.to_be_bytes());
        id[6] = 0x40 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        id
    }
}

impl Drop for ReplyingTemplate {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
    }
}

/// Reads the reply topic, on a thread of its own.
struct Reader {
    config: ClientConfig,
    shared: Arc<Shared>,
    state: watch::Sender<Result<(), String>>,
}

impl Reader {
    fn run(self) {
        while !self.is_over() {
            let Err(error) = self.read() else { return };
            let reason = error.to_string();
            // Nothing was missed where it had not begun: a topic that is missing at start is no news.
            if self.state.borrow().is_ok() {
                warn!(topic = %self.shared.topic, %error, "replies are not read; it begins again");
            }
            drop(self.state.send_replace(Err(reason)));
            std::thread::sleep(AGAIN_AFTER);
        }
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    fn read(&self) -> Result<(), BoxError> {
        let mut consumer = Consumer::new(&self.config)?;
        let read = self.read_with(&mut consumer);
        drop(consumer.close(CLOSE, |_, _| {}));
        read
    }

    fn read_with(&self, consumer: &mut Consumer) -> Result<(), BoxError> {
        let mut assigned = Vec::new();
        let mut looked = Instant::now();
        for partition in 0..self.partitions(consumer)? {
            let partition = TopicPartition::new(Arc::clone(&self.shared.topic), partition);
            let (_, end) = consumer.watermarks(&partition, REQUEST)?;
            assigned.push(PartitionOffset::new(partition, end));
        }
        consumer.incremental_assign(&assigned)?;
        info!(topic = %self.shared.topic, partitions = assigned.len(), "replies are read");
        drop(self.state.send_replace(Ok(())));
        let (mut polled, mut events) = (Vec::new(), Vec::new());
        while !self.is_over() {
            consumer.poll(POLL_RECORDS_MAX, POLL, &mut polled, &mut events)?;
            for record in polled.drain(..) {
                let partition = TopicPartition::new(Arc::clone(&self.shared.topic), record.partition());
                if let Some(reply) = owned(&partition, record) {
                    self.shared.take(reply);
                }
            }
            // The client heals itself; what it cannot heal is an error of the poll, or a refusal.
            if let Some(refusal) = events.iter().find_map(refusal) {
                return Err(refusal.clone().into());
            }
            events.clear();
            if looked.elapsed() >= PARTITIONS_AGE {
                looked = Instant::now();
                // A new partition is read from its beginning: it was made while requests were waiting.
                let count = self.partitions(consumer).unwrap_or_default();
                let known = i32::try_from(assigned.len()).unwrap_or(i32::MAX);
                let new: Vec<_> = (known..count)
                    .map(|partition| {
                        PartitionOffset::new(
                            TopicPartition::new(Arc::clone(&self.shared.topic), partition),
                            0,
                        )
                    })
                    .collect();
                if !new.is_empty() {
                    consumer.incremental_assign(&new)?;
                    assigned.extend(new);
                }
            }
        }
        Ok(())
    }

    fn partitions(&self, consumer: &Consumer) -> Result<i32, BoxError> {
        let metadata = consumer.metadata(Some(&self.shared.topic), REQUEST)?;
        let topic = metadata.topics.iter().find(|topic| topic.name == *self.shared.topic);
        let count = topic.map_or(0, |topic| topic.partitions.len());
        if count == 0 {
            return Err("there is no such topic".into());
        }
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
