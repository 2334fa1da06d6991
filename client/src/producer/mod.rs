//! The producer: bounded, never sleeping on a full queue, and losing no outcome.
//!
//! 1. Room is counted in records and bytes before librdkafka is asked, so its own queue is never full.
//! 2. Who waits for room waits in line; nobody spins and nobody sleeps for a fixed time.
//! 3. Every record accepted gets exactly one outcome, also when its future or the producer was dropped.
//! 4. Nothing here blocks an async worker.

mod driver;
mod record;
mod slot;
mod topics;
mod transaction;

use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rdkafka_sys as rdsys;
use rdsys::rd_kafka_vtype_t;
use tokio::sync::{Semaphore, TryAcquireError};

use self::driver::Driver;
pub use self::record::{Delivered, FlushError, ProducerRecord, SendError};
pub use self::slot::Delivery;
use self::slot::{Callback, Slot};
use self::topics::Topics;
use crate::config::ClientConfig;
use crate::error::{ClientError, ErrorCode, ErrorKind};
use crate::event::ClientEvent;
use crate::metadata::Metadata;
use crate::native::{ClientRef, Role, millis, offload};

/// How much a producer may hold that has no outcome yet. More waits, see [`Producer::enqueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerLimits {
    /// Records; 100,000 by default. `queue.buffering.max.messages`, if set, can only lower it.
    pub max_in_flight_records: usize,
    /// Bytes of keys, values and headers; 64 MiB by default. `queue.buffering.max.kbytes`, if set, can only lower it. A
    /// record larger than this is refused.
    pub max_in_flight_bytes: usize,
}

impl Default for ProducerLimits {
    fn default() -> Self {
        Self { max_in_flight_records: 100_000, max_in_flight_bytes: 64 * 1_024 * 1_024 }
    }
}

impl ProducerLimits {
    /// Aligns librdkafka's own limits with these, the smaller winning where both are given.
    fn align(self, config: &mut ClientConfig) -> Self {
        let configured = |key: &str| config.get(key).and_then(|value| value.parse::<usize>().ok());
        let records = configured("queue.buffering.max.messages").filter(|count| *count > 0);
        let bytes = configured("queue.buffering.max.kbytes").map(|kilobytes| kilobytes.saturating_mul(1_024));
        let ceiling = i32::MAX as usize;
        let aligned = Self {
            max_in_flight_records: records
                .map_or(self.max_in_flight_records, |n| n.min(self.max_in_flight_records))
                .clamp(1, ceiling),
            max_in_flight_bytes: bytes
                .map_or(self.max_in_flight_bytes, |n| n.min(self.max_in_flight_bytes))
                .clamp(1, ceiling),
        };
        if records.is_none() {
            config.set("queue.buffering.max.messages", aligned.max_in_flight_records.to_string());
        }
        if bytes.is_none() {
            let kilobytes = aligned.max_in_flight_bytes.div_ceil(1_024);
            config.set("queue.buffering.max.kbytes", kilobytes.to_string());
        }
        aligned
    }
}

/// How many records have no outcome yet, as two counts on cache lines of their own: the sending threads write one, the
/// reporting thread the other, and neither waits for the other's line.
#[derive(Debug, Default)]
struct InFlight {
    taken: CacheLine,
    finished: CacheLine,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheLine(AtomicUsize);

impl InFlight {
    /// Called before the record is handed over, so that `finished` never passes `taken`.
    fn take_one(&self) {
        self.taken.0.fetch_add(1, Ordering::AcqRel);
    }

    fn finish_one(&self) {
        self.finished.0.fetch_add(1, Ordering::AcqRel);
    }

    fn count(&self) -> usize {
        // In this order the difference is never negative; both counts wrap alike.
        let finished = self.finished.0.load(Ordering::Acquire);
        self.taken.0.load(Ordering::Acquire).wrapping_sub(finished)
    }
}

/// A Kafka producer. Cheap to clone, and shared by all its clones; usable with any async runtime.
///
/// When the last clone is dropped a thread of its own waits until every record has its outcome, at most
/// `message.timeout.ms`. A program that ends sooner loses what is left: call [`Producer::flush`] first.
///
/// ```no_run
/// use std::time::Duration;
/// use kafka_boot_client::{ClientConfig, Producer, ProducerLimits, ProducerRecord};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::from_iter([("bootstrap.servers", "localhost:9092")]);
/// let producer = Producer::new(&config, ProducerLimits::default())?;
/// let first = producer.enqueue(ProducerRecord::new("orders").payload("one")).await?;
/// let second = producer.enqueue(ProducerRecord::new("orders").payload("two")).await?;
/// println!("{:?} {:?}", first.await?, second.await?);
/// producer.flush(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// Dropped with the last clone.
struct Handle {
    shared: Arc<Shared>,
}

/// What the clones and the thread share. Field order matters: topics go before their client.
struct Shared {
    topics: Topics,
    client: ClientRef,
    limits: ProducerLimits,
    records: Semaphore,
    bytes: Semaphore,
    in_flight: InFlight,
    closing: AtomicBool,
}

impl Shared {
    fn in_flight(&self) -> usize {
        self.in_flight.count()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // SAFETY: the queue is live as long as the client, which `shared` holds.
        unsafe { rdsys::rd_kafka_queue_yield(self.shared.client.side_queue()) };
    }
}

impl Producer {
    /// Makes a producer and its thread. Connects in the background; nothing here waits.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] or [`ErrorKind::FeatureMissing`].
    pub fn new(config: &ClientConfig, limits: ProducerLimits) -> Result<Self, ClientError> {
        Self::with_events(config, limits, drop)
    }

    /// As [`Self::new`]; `on_event` hears of errors (which are logged in any case), statistics and wanted tokens, on the
    /// producer's thread, and must return soon.
    pub fn with_events(
        config: &ClientConfig,
        limits: ProducerLimits,
        on_event: impl FnMut(ClientEvent) + Send + 'static,
    ) -> Result<Self, ClientError> {
        Self::observed(config, limits, on_event, drop)
    }

    /// As [`Self::with_events`]; `on_in_flight` is told on the same thread how many records have no outcome yet, whenever
    /// deliveries were reported and once a second otherwise, if it has changed.
    pub fn observed(
        config: &ClientConfig,
        limits: ProducerLimits,
        on_event: impl FnMut(ClientEvent) + Send + 'static,
        on_in_flight: impl FnMut(usize) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let mut config = config.clone();
        let limits = limits.align(&mut config);
        let client = ClientRef::create(Role::Producer, &config)?;
        let timeout_millis = config.effective("message.timeout.ms").and_then(|value| value.parse().ok());
        // Zero stands for "never"; the default is as long as anybody should wait.
        let delivery_timeout =
            timeout_millis.filter(|millis| *millis > 0).map_or(Duration::from_mins(5), Duration::from_millis);
        let shared = Arc::new(Shared {
            topics: Topics::default(),
            client,
            records: Semaphore::new(limits.max_in_flight_records),
            bytes: Semaphore::new(limits.max_in_flight_bytes),
            limits,
            in_flight: InFlight::default(),
            closing: AtomicBool::new(false),
        });
        let driver = Driver {
            shared: Arc::clone(&shared),
            on_event: Box::new(on_event),
            on_in_flight: Box::new(on_in_flight),
            told_in_flight: 0,
            delivery_timeout,
        };
        thread::Builder::new().name("kafka-producer".to_owned()).spawn(move || driver.run()).map_err(
            |error| ClientError::of_kind(ErrorKind::Other, format!("no thread for a producer: {error}")),
        )?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Waits for room, in line, and hands the record to librdkafka. The future it returns resolves to the outcome.
    ///
    /// Cancelling this before it returns sends nothing. Dropping the [`Delivery`] does not take the record back.
    ///
    /// # Errors
    /// With the record: it is too large, its topic or partition cannot be, or the producer has failed for good.
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<Delivery, SendError> {
        // A record is large to move, so it stays where it is until it is submitted.
        match self.admit(&record).await {
            Ok(charged_bytes) => self.submit(record, charged_bytes, None).map(Delivery::new),
            Err(error) => Err(SendError::new(error, record)),
        }
    }

    /// As [`Self::enqueue`], but calls `on_outcome` on the producer's thread, where it must return soon.
    pub async fn enqueue_with(
        &self,
        record: ProducerRecord,
        on_outcome: impl FnOnce(Result<Delivered, SendError>) + Send + 'static,
    ) -> Result<(), SendError> {
        match self.admit(&record).await {
            Ok(charged_bytes) => self.submit(record, charged_bytes, Some(Box::new(on_outcome))).map(drop),
            Err(error) => Err(SendError::new(error, record)),
        }
    }

    /// As [`Self::enqueue`], but fails with [`ErrorKind::QueueFull`] instead of waiting for room.
    pub fn try_enqueue(&self, record: ProducerRecord) -> Result<Delivery, SendError> {
        let charged_bytes = match self.measure(&record) {
            Ok(charged_bytes) => charged_bytes,
            Err(error) => return Err(SendError::new(error, record)),
        };
        if !self.try_reserve(charged_bytes) {
            let limits = self.handle.shared.limits;
            let message = format!(
                "the producer holds as much as it may, {} records or {} bytes",
                limits.max_in_flight_records, limits.max_in_flight_bytes
            );
            return Err(SendError::new(ClientError::of_kind(ErrorKind::QueueFull, message), record));
        }
        self.submit(record, charged_bytes, None).map(Delivery::new)
    }

    /// How many records have no outcome yet.
    pub fn in_flight(&self) -> usize {
        self.handle.shared.in_flight()
    }

    /// Waits until every record enqueued before has its outcome, without lingering for more to batch with.
    ///
    /// # Errors
    /// After `deadline`, with the number of records that remain. Records enqueued meanwhile count, too.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        if self.in_flight() == 0 {
            return Ok(());
        }
        let client = self.handle.shared.client.clone();
        // The outcome shows in `in_flight`, also when there is no thread to flush on.
        let _ = offload("kafka-flush", move || {
            // SAFETY: the client is live; the call only waits for the producer's thread to serve the reports.
            unsafe { rdsys::rd_kafka_flush(client.as_ptr(), millis(deadline)) };
            Ok(())
        })
        .await;
        match self.in_flight() {
            0 => Ok(()),
            remaining => Err(FlushError { remaining }),
        }
    }

    /// Asks the cluster about `topic`, or about all topics, for at most `timeout`.
    pub async fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Metadata, ClientError> {
        let client = self.handle.shared.client.clone();
        let topic = topic.map(str::to_owned);
        offload("kafka-metadata", move || Metadata::fetch(&client, topic.as_deref(), timeout)).await
    }

    /// How many partitions `topic` has, asking for at most `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTopic`] when there is no such topic.
    pub async fn partitions_of(&self, topic: &str, timeout: Duration) -> Result<usize, ClientError> {
        let metadata = self.metadata(Some(topic), timeout).await?;
        let unknown = || ClientError::from_code("read metadata", ErrorCode::UNKNOWN_TOPIC);
        let found = metadata.topics.into_iter().find(|found| found.name == topic).ok_or_else(unknown)?;
        match found.error {
            Some(error) => Err(error),
            None => Ok(found.partitions.len()),
        }
    }

    /// The error that ended this producer for good, if one did.
    pub fn fatal_error(&self) -> Option<ClientError> {
        self.handle.shared.client.fatal_error()
    }

    /// Answers [`ClientEvent::TokenRefresh`] with a token valid until `expires_at_millis` after the Unix epoch.
    pub fn set_oauth_token(
        &self,
        token: &str,
        expires_at_millis: i64,
        principal: &str,
    ) -> Result<(), ClientError> {
        self.handle.shared.client.set_oauth_token(token, expires_at_millis, principal)
    }

    /// Answers [`ClientEvent::TokenRefresh`] with the reason why there is no token; librdkafka asks again later.
    pub fn set_oauth_failure(&self, reason: &str) -> Result<(), ClientError> {
        self.handle.shared.client.set_oauth_failure(reason)
    }

    /// What the record counts, unless it is too large for ever.
    fn measure(&self, record: &ProducerRecord) -> Result<u32, ClientError> {
        let size = record.size_bytes();
        let max = self.handle.shared.limits.max_in_flight_bytes;
        match u32::try_from(size) {
            Ok(charged) if size <= max => Ok(charged),
            _ => {
                let message = format!("the record has {size} bytes, more than the producer may hold, {max}");
                Err(ClientError::of_kind(ErrorKind::MessageTooLarge, message))
            }
        }
    }

    /// Waits for room. The room is taken, for [`Self::submit`] to use, once this returns.
    async fn admit(&self, record: &ProducerRecord) -> Result<u32, ClientError> {
        let charged_bytes = self.measure(record)?;
        if self.try_reserve(charged_bytes) {
            return Ok(charged_bytes);
        }
        let shared = &self.handle.shared;
        // The semaphores are never closed. Cancelled while waiting for the second, the first is given back.
        let one = shared.records.acquire().await;
        let size = shared.bytes.acquire_many(charged_bytes).await;
        match (one, size) {
            (Ok(one), Ok(size)) => {
                one.forget();
                size.forget();
                Ok(charged_bytes)
            }
            _ => Err(ClientError::of_kind(ErrorKind::Other, "the producer is closed")),
        }
    }

    fn try_reserve(&self, charged_bytes: u32) -> bool {
        let shared = &self.handle.shared;
        let one = shared.records.try_acquire();
        let size: Result<_, TryAcquireError> = shared.bytes.try_acquire_many(charged_bytes);
        let (Ok(one), Ok(size)) = (one, size) else { return false };
        one.forget();
        size.forget();
        true
    }

    /// Hands the record, for which there is room, to librdkafka.
    fn submit(
        &self,
        record: ProducerRecord,
        charged_bytes: u32,
        callback: Option<Callback>,
    ) -> Result<Arc<Slot>, SendError> {
        let shared = &self.handle.shared;
        let slot = Slot::new(record, charged_bytes, callback);
        // Counted first: the report may be served before `produce` returns.
        shared.in_flight.take_one();
        let Err(error) = slot.with_record(|record| produce(shared, record, &slot)) else { return Ok(slot) };
        shared.in_flight.finish_one();
        shared.records.add_permits(1);
        shared.bytes.add_permits(charged_bytes as usize);
        match slot.reclaim() {
            Some(record) => Err(SendError::new(error, record)),
            None => unreachable!("a record that was refused is still in its slot"),
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("limits", &self.handle.shared.limits)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// Gives librdkafka pointers into `record`, which lives in `slot`, and one reference to the slot.
fn produce(shared: &Shared, record: &ProducerRecord, slot: &Arc<Slot>) -> Result<(), ClientError> {
    let topic = shared.topics.get(&shared.client, &record.topic)?;
    let opaque = Arc::into_raw(Arc::clone(slot)).cast_mut().cast::<c_void>();
    let result = if record.headers.is_empty() && record.timestamp.is_none() {
        produce_plain(topic, record, opaque)
    } else {
        produce_whole(shared, topic, record, opaque)
    };
    if result.is_err() {
        // SAFETY: librdkafka refused the message, so there will be no report to give the reference back.
        drop(unsafe { Arc::from_raw(opaque.cast::<Slot>().cast_const()) });
    }
    result
}

/// The shorter way, for a record that has neither headers nor a time of its own.
fn produce_plain(
    topic: NonNull<rdsys::rd_kafka_topic_t>,
    record: &ProducerRecord,
    opaque: *mut c_void,
) -> Result<(), ClientError> {
    let (payload, payload_len) = parts(record.payload.as_ref());
    let (key, key_len) = parts(record.key.as_ref());
    let partition = record.partition.unwrap_or(ANY_PARTITION);
    // SAFETY: the topic is live. The key is copied; without flags the payload is only pointed to, and stays in the slot until
    // the report gives its reference back.
    let refused = unsafe {
        rdsys::rd_kafka_produce(topic.as_ptr(), partition, 0, payload, payload_len, key, key_len, opaque) != 0
    };
    if refused {
        // SAFETY: reads the calling thread's last error, which is that of the call above.
        let code = ErrorCode::from(unsafe { rdsys::rd_kafka_last_error() });
        return Err(ClientError::from_code("enqueue record", code));
    }
    Ok(())
}

fn produce_whole(
    shared: &Shared,
    topic: NonNull<rdsys::rd_kafka_topic_t>,
    record: &ProducerRecord,
    opaque: *mut c_void,
) -> Result<(), ClientError> {
    let headers = NativeHeaders::new(&record.headers)?;
    let (payload, payload_len) = parts(record.payload.as_ref());
    let (key, key_len) = parts(record.key.as_ref());
    let bytes = |ptr, size| rdsys::rd_kafka_vu_s__bindgen_ty_1 {
        mem: rdsys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size },
    };
    let argument = |vtype, u| rdsys::rd_kafka_vu_t { vtype, u };
    let arguments = [
        argument(
            rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
            rdsys::rd_kafka_vu_s__bindgen_ty_1 { rkt: topic.as_ptr() },
        ),
        argument(
            rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
            rdsys::rd_kafka_vu_s__bindgen_ty_1 { i32_: record.partition.unwrap_or(ANY_PARTITION) },
        ),
        argument(rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, bytes(payload, payload_len)),
        argument(rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, bytes(key, key_len)),
        argument(rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, rdsys::rd_kafka_vu_s__bindgen_ty_1 { ptr: opaque }),
        argument(
            rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
            rdsys::rd_kafka_vu_s__bindgen_ty_1 { i64_: record.timestamp.unwrap_or(0) },
        ),
        argument(
            rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            rdsys::rd_kafka_vu_s__bindgen_ty_1 { headers: headers.0 },
        ),
    ];
    // SAFETY: client and topic are live. Key and headers are copied or taken over; the payload is only pointed to, and
    // stays in the slot until the report gives its reference back. The error, if any, is taken over.
    let result = unsafe {
        let error = rdsys::rd_kafka_produceva(shared.client.as_ptr(), arguments.as_ptr(), arguments.len());
        ClientError::check("enqueue record", error)
    };
    if result.is_ok() {
        headers.release();
    }
    result
}

/// librdkafka's `RD_KAFKA_PARTITION_UA`: leaves the choice to the partitioner.
const ANY_PARTITION: i32 = -1;

/// Start and length; null stands for "none", which differs from empty.
fn parts(bytes: Option<&Bytes>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

/// Headers on their way to librdkafka; null when there are none.
struct NativeHeaders(*mut rdsys::rd_kafka_headers_t);

impl NativeHeaders {
    fn new(headers: &[(String, Option<Bytes>)]) -> Result<Self, ClientError> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: no preconditions.
        let native = Self(unsafe { rdsys::rd_kafka_headers_new(headers.len()) });
        for (name, value) in headers {
            let (value, size) = parts(value.as_ref());
            // SAFETY: the headers are live; name and value are copied. No slice is longer than `isize::MAX`.
            let code = unsafe {
                rdsys::rd_kafka_header_add(
                    native.0,
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value,
                    size.cast_signed(),
                )
            };
            ClientError::check_code("add header", code)?;
        }
        Ok(native)
    }

    /// librdkafka has taken them over.
    fn release(mut self) {
        self.0 = ptr::null_mut();
    }
}

impl Drop for NativeHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: live and still owned: `release` clears the pointer.
            unsafe { rdsys::rd_kafka_headers_destroy(self.0) };
        }
    }
}
