//! `KafkaTemplate::transaction`: records that are written all together or not at all.
//!
//! # Invariants
//! 1. A producer has one transaction at a time, and nobody sends in it but the one who holds it.
//! 2. A producer whose transaction did not end well is never used again. The next one with its id takes over from it, and the
//!    cluster finishes what it left open.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_boot_client::{ClientConfig, ClientError, ProducerRecord, SendError};
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tracing::{debug, warn};

use super::template::{KafkaTemplate, PendingSend, SendResult, SharedListener, TemplateOptions, json};
use crate::error::HandlerError;

/// How many transactions one template has at once; more wait.
const AT_ONCE: usize = 8;
/// How long one step of a transaction waits before it is tried again.
const STEP: Duration = Duration::from_secs(10);
/// How long all tries of a step take at most.
const PATIENCE: Duration = Duration::from_mins(1);
const TRANSACTIONAL_ID: &str = "transactional.id";
const DELIVERY_TIMEOUT: &str = "message.timeout.ms";
const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";

/// Why a transaction was not committed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactionError {
    /// The cluster has no `producer.transactional-id`.
    NotConfigured {
        /// The cluster.
        cluster: String,
    },
    /// What was to be done in it failed, and it was aborted: nobody who reads committed records sees any of it.
    Aborted(HandlerError),
    /// It could not be begun, or its records could not be written, and it was aborted.
    Failed(ClientError),
    /// Nobody knows whether it was committed: the cluster did not answer in time.
    Unknown(ClientError),
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured { cluster } => write!(
                f,
                "there are no transactions on cluster `{cluster}`: set `transactional-id` of its producer, to a name that no other instance has"
            ),
            Self::Aborted(error) => write!(f, "the transaction was aborted: {error}"),
            Self::Failed(error) => write!(f, "the transaction was not committed: {error}"),
            Self::Unknown(error) => {
                write!(f, "it is not known whether the transaction was committed: {error}")
            }
        }
    }
}

impl std::error::Error for TransactionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotConfigured { .. } => None,
            Self::Aborted(error) => Some(error.source()),
            Self::Failed(error) | Self::Unknown(error) => Some(error),
        }
    }
}

/// A transaction that is open: what is sent with it is written together, or not at all.
///
/// [`KafkaTemplate::transaction`] gives one to its closure. It is also an argument of a listener with
/// `commit = "transaction"`: then the offset of the record that is handled is part of the transaction, so that the record is
/// consumed, and what is sent for it written, exactly once. There it ends with the attempt: what is sent with it later is refused.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing", commit = "transaction")]
/// async fn bill(order: Record<String>, tx: Transaction) -> Result<()> {
///     let invoice = format!("invoice for {}", order.value());
///     tx.send_keyed("invoices", order.key_str().unwrap_or_default().to_owned(), invoice).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Transaction {
    template: Arc<KafkaTemplate>,
    scope: Arc<Scope>,
}

/// How long somebody may send in a transaction.
#[derive(Debug, Default)]
struct Scope {
    is_closed: AtomicBool,
    /// How many sends are on their way to the producer.
    entering: AtomicUsize,
    /// How many have been.
    entered: AtomicUsize,
    left: Notify,
}

impl Scope {
    /// Lets a send in, for as long as what it returns lives.
    fn enter(&self) -> Option<Entered<'_>> {
        // Counted before it is looked whether it may, so that who closes sees one of the two.
        self.entering.fetch_add(1, Ordering::SeqCst);
        let entered = Entered(self);
        if self.is_closed.load(Ordering::SeqCst) {
            return None;
        }
        self.entered.fetch_add(1, Ordering::Relaxed);
        Some(entered)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    async fn until_left(&self) {
        loop {
            let left = self.left.notified();
            if self.entering.load(Ordering::SeqCst) == 0 {
                return;
            }
            left.await;
        }
    }
}

struct Entered<'a>(&'a Scope);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.0.entering.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

/// One attempt's part of its lane's transaction.
#[derive(Debug, Clone)]
pub(crate) struct AttemptScope {
    template: Arc<KafkaTemplate>,
    scope: Arc<Scope>,
}

impl AttemptScope {
    pub(crate) fn new(template: Arc<KafkaTemplate>) -> Self {
        Self { template, scope: Arc::default() }
    }

    /// What the handler is given.
    pub(crate) fn transaction(&self) -> Transaction {
        Transaction { template: Arc::clone(&self.template), scope: Arc::clone(&self.scope) }
    }

    /// Ends it for all who send, and waits for those who are at it. Tells whether anything was sent.
    pub(crate) async fn close(&self) -> bool {
        self.scope.close();
        self.scope.until_left().await;
        self.scope.entered.load(Ordering::SeqCst) > 0
    }
}

impl Transaction {
    /// As [`KafkaTemplate::send`], in the transaction.
    ///
    /// # Errors
    /// As there, and after the transaction has ended.
    pub async fn send(&self, topic: &str, value: impl Into<Bytes>) -> Result<SendResult, SendError> {
        self.send_record(ProducerRecord::new(topic).payload(value)).await
    }

    /// As [`KafkaTemplate::send_keyed`], in the transaction.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_keyed(
        &self,
        topic: &str,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<SendResult, SendError> {
        self.send_record(ProducerRecord::new(topic).key(key).payload(value)).await
    }

    /// As [`KafkaTemplate::send_json`], in the transaction.
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

    /// As [`KafkaTemplate::send_record`], in the transaction.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_record(&self, record: ProducerRecord) -> Result<SendResult, SendError> {
        self.enqueue(record).await?.await
    }

    /// As [`KafkaTemplate::enqueue`], in the transaction. Its commit waits for all outcomes, whether anybody awaits them or not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<PendingSend, SendError> {
        match self.scope.enter() {
            Some(_entered) => self.template.enqueue(record).await,
            None => Err(SendError::refused(ClientError::out_of_transaction(), record)),
        }
    }
}

/// The transactional producers of one template.
pub(crate) struct Transactions {
    config: ClientConfig,
    options: TemplateOptions,
    prefix: String,
    /// The numbers that are free, with their producers once they have one; the lowest last.
    free: Mutex<Vec<Place>>,
    permits: Semaphore,
    listener: OnceLock<SharedListener>,
}

struct Place {
    number: usize,
    template: Option<Arc<KafkaTemplate>>,
}

/// A place in use, which is given back whatever happens. Its producer is kept only if its transaction ended well.
struct Lease<'a> {
    transactions: &'a Transactions,
    number: usize,
    kept: Option<Arc<KafkaTemplate>>,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.transactions.put_back(Place { number: self.number, template: self.kept.take() });
    }
}

impl Transactions {
    /// `None` where the configuration names no transactional id. That is taken out of it: what is sent outside of transactions has
    /// none.
    pub(crate) fn of(config: &mut ClientConfig, options: &TemplateOptions) -> Option<Self> {
        let prefix = config.get(TRANSACTIONAL_ID)?.to_owned();
        let own = transactional(config);
        config.remove(TRANSACTIONAL_ID);
        let free = (0..AT_ONCE).rev().map(|number| Place { number, template: None }).collect();
        Some(Self {
            config: own,
            options: options.clone(),
            prefix,
            free: Mutex::new(free),
            permits: Semaphore::new(AT_ONCE),
            listener: OnceLock::new(),
        })
    }

    /// Hears of what is sent in transactions, too.
    pub(super) fn set_listener(&self, listener: SharedListener) {
        let first = self.listener.set(listener).is_ok();
        debug_assert!(first, "transactions: the listener is set once, at start");
    }

    fn put_back(&self, place: Place) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(place);
        free.sort_unstable_by_key(|place| std::cmp::Reverse(place.number));
    }

    /// A place, and the producer whose it is.
    async fn lease(&self) -> Result<(Lease<'_>, Arc<KafkaTemplate>), ClientError> {
        let Ok(permit) = self.permits.acquire().await else { unreachable!("the semaphore is never closed") };
        let place = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(Place { number, template }) = place else { unreachable!("there is a place a permit") };
        // Before anything is waited for: who is cancelled there has the place no more.
        let lease = Lease { transactions: self, number, kept: None, _permit: permit };
        let template = match template {
            Some(template) => template,
            None => self.producer(number).await?,
        };
        Ok((lease, template))
    }

    async fn producer(&self, number: usize) -> Result<Arc<KafkaTemplate>, ClientError> {
        let mut config = self.config.clone();
        config.set(TRANSACTIONAL_ID, format!("{}-{number}", self.prefix));
        let template = Arc::new(KafkaTemplate::new(&config, self.options.clone())?);
        if let Some(listener) = self.listener.get() {
            template.be_heard_by(Arc::clone(listener));
        }
        tried(|| template.producer().init_transactions(STEP)).await?;
        Ok(template)
    }
}

/// The settings of a producer whose records cannot wait longer than their transaction: librdkafka refuses others.
pub(crate) fn transactional(config: &ClientConfig) -> ClientConfig {
    let mut own = config.clone();
    let millis = |name: &str| own.effective(name).and_then(|value| value.parse::<u64>().ok());
    let (delivery, transaction) = (millis(DELIVERY_TIMEOUT), millis(TRANSACTION_TIMEOUT));
    if let (Some(delivery), Some(transaction)) = (delivery, transaction)
        && (delivery == 0 || delivery > transaction)
    {
        own.set(DELIVERY_TIMEOUT, transaction.to_string());
    }
    own
}

/// Tries a step again for as long as that can help.
async fn tried<Fut>(step: impl Fn() -> Fut) -> Result<(), ClientError>
where
    Fut: Future<Output = Result<(), ClientError>>,
{
    let begun = Instant::now();
    loop {
        match step().await {
            Err(error) if error.is_retriable() && begun.elapsed() < PATIENCE => {
                debug!(%error, "a step of a transaction is tried again");
            }
            outcome => return outcome,
        }
    }
}

/// Runs `work` in a transaction.
pub(super) async fn run<T, Fut>(
    transactions: &Transactions,
    work: impl FnOnce(Transaction) -> Fut,
) -> Result<T, TransactionError>
where
    Fut: Future<Output = crate::Result<T>>,
{
    let (mut lease, template) = transactions.lease().await.map_err(TransactionError::Failed)?;
    let producer = template.producer();
    producer.begin_transaction().map_err(TransactionError::Failed)?;
    let end = End(AttemptScope::new(Arc::clone(&template)));
    let worked = work(end.0.transaction()).await;
    end.0.close().await;
    let (outcome, is_to_abort) = match worked {
        Ok(value) => match tried(|| producer.commit_transaction(STEP)).await {
            Ok(()) => {
                lease.kept = Some(Arc::clone(&template));
                return Ok(value);
            }
            Err(error) if error.requires_abort() => (TransactionError::Failed(error), true),
            Err(error) if error.is_fatal() => (TransactionError::Failed(error), false),
            Err(error) => (TransactionError::Unknown(error), false),
        },
        Err(error) => (TransactionError::Aborted(error), true),
    };
    if is_to_abort {
        match tried(|| producer.abort_transaction(STEP)).await {
            Ok(()) => lease.kept = Some(Arc::clone(&template)),
            // The next producer of this id finishes it, or else its time limit does.
            Err(error) => warn!(%error, "a transaction was left to be aborted by the cluster"),
        }
    }
    Err(outcome)
}

/// Ends a transaction for those who send, also when it is cancelled.
struct End(AttemptScope);

impl Drop for End {
    fn drop(&mut self) {
        self.0.scope.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_whose_taker_is_cancelled_is_free_again() {
        let settings = [("bootstrap.servers", "127.0.0.1:1"), (TRANSACTIONAL_ID, "t")];
        let options = TemplateOptions {
            cluster: "primary".to_owned(),
            in_flight_records_max: 1,
            in_flight_bytes_max: 1024,
        };
        let mut config = ClientConfig::from_iter(settings);
        let transactions = Transactions::of(&mut config, &options).expect("the id is there");
        for _ in 0..=AT_ONCE {
            let lease = tokio::time::timeout(Duration::from_millis(1), transactions.lease()).await;
            assert!(lease.is_err(), "no broker is there to begin with");
        }
        let numbers: Vec<usize> =
            transactions.free.lock().unwrap().iter().map(|place| place.number).collect();
        assert_eq!(numbers, (0..AT_ONCE).rev().collect::<Vec<_>>());
    }
}
