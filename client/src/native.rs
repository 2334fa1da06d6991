//! The native client, counted by hand, and what its callbacks need.
//!
//! 1. The native client lives as long as anything that points into it: the consumer or producer, and every record.
//! 2. Nobody's thread ever blocks on its destruction: the last reference hands it to a thread made for that.
//! 3. References for a batch of records are taken with one atomic operation.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::{rd_kafka_resp_err_t, rd_kafka_type_t};
use tokio::sync::oneshot;

use crate::config::{ClientConfig, MessageBuffer, NativeConfig};
use crate::error::{ClientError, ErrorCode, ErrorKind, lossy};
use crate::log::ClientLog;
use crate::partition::{TopicPartition, read_partitions};

/// What callbacks reach through librdkafka's opaque pointer. It outlives the native client.
#[derive(Debug)]
pub(crate) struct Context {
    /// `client.id`, for the log.
    name: String,
    log: ClientLog,
    /// Rebalances that wait for the poller.
    rebalances: Mutex<Vec<Rebalance>>,
    /// Positions that were given up, and that nobody has been told of.
    resets: Mutex<Vec<(TopicPartition, i64)>>,
    /// Set once nobody answers rebalances any more: the callback then gives partitions up by itself.
    abandoned: AtomicBool,
    /// Where the poller waits; null until the client is complete and for producers.
    poll_queue: AtomicPtr<rdsys::rd_kafka_queue_t>,
}

/// A rebalance as librdkafka announced it.
#[derive(Debug)]
pub(crate) enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
    Failed(ErrorCode),
}

impl Context {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            log: ClientLog::default(),
            rebalances: Mutex::default(),
            resets: Mutex::default(),
            abandoned: AtomicBool::new(false),
            poll_queue: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn log_error(&self, error: &ClientError) {
        self.log.error(&self.name, error);
    }

    /// The positions given up since the last call.
    pub(crate) fn take_resets(&self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut *self.resets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A line of librdkafka's log, which is the only place where it tells of a position that it gives up.
    fn line(&self, level: c_int, facility: &str, text: &str) {
        if let Some(reset) = parse_reset(facility, text) {
            self.resets.lock().unwrap_or_else(PoisonError::into_inner).push(reset);
        }
        self.log.line(&self.name, level, facility, text);
    }

    pub(crate) fn rebalances(&self) -> MutexGuard<'_, Vec<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on rebalances are answered at once, by giving everything up.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Registers this context and the log callback. The context must not move until the client is destroyed, which is
    /// why its owners box it.
    pub(crate) fn install(&self, config: &NativeConfig) {
        // SAFETY: the configuration is live; the context outlives the client made of it, see `NativeClient`.
        unsafe {
            rdsys::rd_kafka_conf_set_opaque(config.as_ptr(), ptr::from_ref(self).cast_mut().cast());
            rdsys::rd_kafka_conf_set_log_cb(config.as_ptr(), Some(on_log));
        }
    }

    fn yield_poll(&self) {
        let queue = self.poll_queue.load(Ordering::Acquire);
        if !queue.is_null() {
            // SAFETY: the queue is destroyed only after every callback has been disabled.
            unsafe { rdsys::rd_kafka_queue_yield(queue) };
        }
    }
}

/// A native client and its queues. Made and shared through [`ClientRef`].
#[derive(Debug)]
pub(crate) struct NativeClient {
    native: NonNull<rdsys::rd_kafka_t>,
    /// Statistics, errors, token refreshes, and the answers to commits: everything but records and rebalances.
    side_queue: *mut rdsys::rd_kafka_queue_t,
    /// Records and rebalances; null for anything but a consumer.
    consumer_queue: *mut rdsys::rd_kafka_queue_t,
    context: Box<Context>,
    references: AtomicUsize,
}

impl NativeClient {
    pub(crate) fn as_ptr(&self) -> *mut rdsys::rd_kafka_t {
        self.native.as_ptr()
    }

    pub(crate) fn side_queue(&self) -> *mut rdsys::rd_kafka_queue_t {
        self.side_queue
    }

    pub(crate) fn consumer_queue(&self) -> *mut rdsys::rd_kafka_queue_t {
        self.consumer_queue
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// The error that ended this client, if one did.
    pub(crate) fn fatal_error(&self) -> Option<ClientError> {
        let mut message = MessageBuffer::new();
        // SAFETY: the client is live, the buffer outlives the call.
        let code = unsafe { rdsys::rd_kafka_fatal_error(self.as_ptr(), message.as_mut_ptr(), message.len()) };
        let code = ErrorCode::from(code);
        code.is_error().then(|| ClientError::from_reason("client failed", code, &message.text()).fatal())
    }

    /// Takes the next event of the side queue, waiting at most `timeout` for one.
    pub(crate) fn next_event(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is live as long as `self`; the event is owned by the caller.
        let event = unsafe { rdsys::rd_kafka_queue_poll(self.side_queue, millis(timeout)) };
        NonNull::new(event).map(Event)
    }

    /// Gives librdkafka a token that is valid until `expires_at_millis` after the Unix epoch.
    pub(crate) fn set_oauth_token(
        &self,
        token: &str,
        expires_at_millis: i64,
        principal: &str,
    ) -> Result<(), ClientError> {
        let token = c_string("a token", token)?;
        let principal = c_string("a principal", principal)?;
        let mut message = MessageBuffer::new();
        // SAFETY: client, strings and buffer are live; there are no extensions.
        let code = unsafe {
            rdsys::rd_kafka_oauthbearer_set_token(
                self.as_ptr(),
                token.as_ptr(),
                expires_at_millis,
                principal.as_ptr(),
                ptr::null_mut(),
                0,
                message.as_mut_ptr(),
                message.len(),
            )
        };
        let code = ErrorCode::from(code);
        if code.is_error() {
            return Err(ClientError::from_reason("set token", code, &message.text()));
        }
        Ok(())
    }

    pub(crate) fn set_oauth_failure(&self, reason: &str) -> Result<(), ClientError> {
        let reason = c_string("a reason", reason)?;
        // SAFETY: client and string are live.
        let code = unsafe { rdsys::rd_kafka_oauthbearer_set_token_failure(self.as_ptr(), reason.as_ptr()) };
        ClientError::check_code("report missing token", code)
    }

    /// Destroys the native client; blocks until its threads have ended.
    fn destroy(self) {
        // SAFETY: this was the last reference. Callbacks are disabled before what they use goes away, and the
        // context is dropped after the client.
        unsafe {
            rdsys::rd_kafka_queue_cb_event_enable(self.side_queue, None, ptr::null_mut());
            self.context.poll_queue.store(ptr::null_mut(), Ordering::Release);
            if !self.consumer_queue.is_null() {
                rdsys::rd_kafka_queue_destroy(self.consumer_queue);
            }
            rdsys::rd_kafka_queue_destroy(self.side_queue);
            rdsys::rd_kafka_destroy_flags(self.as_ptr(), rdsys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// A counted reference to a native client.
#[derive(Debug)]
pub(crate) struct ClientRef(NonNull<NativeClient>);

// SAFETY: librdkafka's client and queues may be used from any thread, and the context synchronises itself.
unsafe impl Send for ClientRef {}
// SAFETY: as above.
unsafe impl Sync for ClientRef {}

/// What kind of client to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Consumer,
    Producer,
    Admin,
}

impl ClientRef {
    /// Makes the native client. Nothing here waits for a broker.
    pub(crate) fn create(role: Role, config: &ClientConfig) -> Result<Self, ClientError> {
        let context = Box::new(Context::new(config.get("client.id").unwrap_or("rdkafka")));
        let native_config = NativeConfig::create(config)?;
        context.install(&native_config);
        let common = rdsys::RD_KAFKA_EVENT_ERROR
            | rdsys::RD_KAFKA_EVENT_STATS
            | rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
        let (kind, events) = match role {
            Role::Consumer => {
                // SAFETY: the configuration is live.
                unsafe { rdsys::rd_kafka_conf_set_rebalance_cb(native_config.as_ptr(), Some(on_rebalance)) };
                (rd_kafka_type_t::RD_KAFKA_CONSUMER, common)
            }
            Role::Producer => (rd_kafka_type_t::RD_KAFKA_PRODUCER, common | rdsys::RD_KAFKA_EVENT_DR),
            Role::Admin => (rd_kafka_type_t::RD_KAFKA_PRODUCER, common),
        };
        // SAFETY: the configuration is live.
        unsafe { rdsys::rd_kafka_conf_set_events(native_config.as_ptr(), events) };
        let native = native_config.into_client(kind, config)?;
        let client = Box::new(NativeClient {
            native,
            // SAFETY: the client is live.
            side_queue: unsafe { rdsys::rd_kafka_queue_new(native.as_ptr()) },
            consumer_queue: match role {
                // SAFETY: the client is live and a consumer; without a group the queue is null.
                Role::Consumer => unsafe { rdsys::rd_kafka_queue_get_consumer(native.as_ptr()) },
                Role::Producer | Role::Admin => ptr::null_mut(),
            },
            context,
            references: AtomicUsize::new(1),
        });
        client.connect_queues();
        Ok(Self(NonNull::from(Box::leak(client))))
    }

    /// Takes `count` references at once, each to be adopted by [`Self::adopt`].
    pub(crate) fn retain_many(&self, count: usize) {
        // As with `Arc`: whoever holds a reference may add more without ordering.
        self.references.fetch_add(count, Ordering::Relaxed);
    }

    /// Turns one reference taken by [`Self::retain_many`] into a value that gives it back.
    ///
    /// # Safety
    /// Each retained reference is adopted at most once.
    pub(crate) unsafe fn adopt(&self) -> Self {
        Self(self.0)
    }
}

impl NativeClient {
    /// Gathers everything but records and rebalances in the side queue, and lets that queue wake the poller.
    fn connect_queues(&self) {
        // SAFETY: client and queues are live. The callback's opaque is the context, which outlives it: `destroy`
        // disables the callback first.
        unsafe {
            let main = rdsys::rd_kafka_queue_get_main(self.as_ptr());
            rdsys::rd_kafka_queue_forward(main, self.side_queue);
            rdsys::rd_kafka_queue_destroy(main);
            if !self.consumer_queue.is_null() {
                self.context.poll_queue.store(self.consumer_queue, Ordering::Release);
                let opaque = ptr::from_ref(&*self.context).cast_mut().cast();
                rdsys::rd_kafka_queue_cb_event_enable(self.side_queue, Some(on_side_event), opaque);
            }
        }
    }
}

impl Clone for ClientRef {
    fn clone(&self) -> Self {
        self.retain_many(1);
        Self(self.0)
    }
}

impl Deref for ClientRef {
    type Target = NativeClient;

    fn deref(&self) -> &NativeClient {
        // SAFETY: a reference keeps the client alive.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ClientRef {
    fn drop(&mut self) {
        // The same orderings as `Arc`: all uses happen before the destruction.
        if self.references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let client = Doomed(self.0);
        let spawned = thread::Builder::new().name("kafka-destroy".to_owned()).spawn(move || client.destroy());
        if let Err(error) = spawned {
            // A leak, but no hang: the native client and its context both stay.
            tracing::error!(target: "kafka_boot::client", %error, "no thread to destroy a Kafka client on");
        }
    }
}

/// A client on its way to the thread that destroys it.
struct Doomed(NonNull<NativeClient>);

// SAFETY: nobody else refers to the client any more.
unsafe impl Send for Doomed {}

impl Doomed {
    fn destroy(self) {
        // SAFETY: the count reached zero, so this is the only pointer left; it came from a `Box`.
        let client = unsafe { Box::from_raw(self.0.as_ptr()) };
        client.destroy();
    }
}

/// An owned event of the side queue.
#[derive(Debug)]
pub(crate) struct Event(NonNull<rdsys::rd_kafka_event_t>);

// SAFETY: an event is owned, and librdkafka lets any thread read and destroy it.
unsafe impl Send for Event {}

impl Event {
    pub(crate) fn as_ptr(&self) -> *mut rdsys::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// One of the `RD_KAFKA_EVENT_` constants.
    pub(crate) fn kind(&self) -> i32 {
        // SAFETY: the event is live.
        unsafe { rdsys::rd_kafka_event_type(self.as_ptr()) }
    }

    pub(crate) fn code(&self) -> ErrorCode {
        // SAFETY: the event is live.
        unsafe { ErrorCode::from(rdsys::rd_kafka_event_error(self.as_ptr())) }
    }

    /// The event's failure, if it reports one.
    pub(crate) fn error(&self, doing: &str) -> Option<ClientError> {
        let code = self.code();
        if !code.is_error() {
            return None;
        }
        // librdkafka answers whether an error is fatal for events of this one kind, and with noise for all others.
        let may_be_fatal = self.kind() == rdsys::RD_KAFKA_EVENT_ERROR;
        // SAFETY: the event is live, and its string with it.
        let (reason, fatal) = unsafe {
            (
                lossy(rdsys::rd_kafka_event_error_string(self.as_ptr())),
                may_be_fatal && rdsys::rd_kafka_event_error_is_fatal(self.as_ptr()) != 0,
            )
        };
        let error = ClientError::from_reason(doing, code, &reason);
        Some(if fatal { error.fatal() } else { error })
    }

    pub(crate) fn opaque(&self) -> *mut c_void {
        // SAFETY: the event is live.
        unsafe { rdsys::rd_kafka_event_opaque(self.as_ptr()) }
    }

    pub(crate) fn statistics(&self) -> String {
        // SAFETY: the event is live, and its string with it.
        unsafe { lossy(rdsys::rd_kafka_event_stats(self.as_ptr())) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is live and owned.
        unsafe { rdsys::rd_kafka_event_destroy(self.as_ptr()) };
    }
}

/// Runs a call that blocks on a thread made for it, so that no async worker waits.
///
/// Dropping the future does not stop the call; every such call ends by a timeout of its own.
pub(crate) async fn offload<T: Send + 'static>(
    name: &str,
    call: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody listens any more when the future was dropped.
            let _ = answer.send(call());
        })
        .map_err(|error| ClientError::of_kind(ErrorKind::Other, format!("no thread to wait on: {error}")))?;
    answered
        .await
        .unwrap_or_else(|_| Err(ClientError::of_kind(ErrorKind::Other, "the call ended in a panic")))
}

/// A string for librdkafka; `what` names it in the error.
pub(crate) fn c_string(what: &str, text: &str) -> Result<CString, ClientError> {
    CString::new(text)
        .map_err(|_| ClientError::of_kind(ErrorKind::Invalid, format!("{what} must not contain a NUL byte")))
}

/// librdkafka counts in `int` milliseconds. A fraction rounds up, so that a short wait is not a busy one.
pub(crate) fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(c_int::MAX)
}

/// Reads `orders [3]: offset reset (at offset 17 (leader epoch 0), broker 1) to offset BEGINNING …: Offset out of range`.
fn parse_reset(facility: &str, text: &str) -> Option<(TopicPartition, i64)> {
    if facility != "OFFSET" {
        return None;
    }
    let (place, rest) = text.split_once("]: offset reset (at offset ")?;
    let (topic, partition) = place.rsplit_once(" [")?;
    let end = rest.find(|character: char| !character.is_ascii_digit())?;
    Some((TopicPartition::new(topic, partition.parse().ok()?), rest[..end].parse().ok()?))
}

/// Called by any thread of librdkafka.
pub(crate) unsafe extern "C" fn on_log(
    client: *const rdsys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // A panicking log subscriber must not unwind into C.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: both strings are live for the call; the opaque is the context, which outlives the client.
        let (context, facility, text) = unsafe {
            let context = if client.is_null() {
                None
            } else {
                rdsys::rd_kafka_opaque(client).cast::<Context>().as_ref()
            };
            (context, CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(text).to_string_lossy())
        };
        match context {
            Some(context) => context.line(level, &facility, &text),
            None => ClientLog::default().line("rdkafka", level, &facility, &text),
        }
    }));
}

/// Called by the polling thread, from inside `rd_kafka_consume_batch_queue`.
///
/// It only records what is asked, and makes the poll return: the poller's owner answers.
unsafe extern "C" fn on_rebalance(
    client: *mut rdsys::rd_kafka_t,
    code: rd_kafka_resp_err_t,
    partitions: *mut rdsys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the context; the list is live for the call; the client is live.
    unsafe {
        let Some(context) = opaque.cast::<Context>().as_ref() else { return };
        if context.abandoned.load(Ordering::Acquire) {
            // Legal for every protocol: a null assignment ends the rebalance.
            give_up(client, code, partitions);
            return;
        }
        let rebalance = match code {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                Rebalance::Assign(read_partitions(partitions))
            }
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Rebalance::Revoke {
                partitions: read_partitions(partitions),
                lost: rdsys::rd_kafka_assignment_lost(client) != 0,
            },
            other => Rebalance::Failed(ErrorCode::from(other)),
        };
        context.rebalances().push(rebalance);
        context.yield_poll();
    }
}

/// Ends a rebalance by giving its partitions up.
///
/// # Safety
/// Client and list are live.
unsafe fn give_up(
    client: *mut rdsys::rd_kafka_t,
    code: rd_kafka_resp_err_t,
    partitions: *mut rdsys::rd_kafka_topic_partition_list_t,
) {
    // SAFETY: passed on from the caller; a returned error is destroyed, a static string is returned.
    unsafe {
        let protocol = lossy(rdsys::rd_kafka_rebalance_protocol(client));
        let revoking = code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
        if protocol == "COOPERATIVE" && revoking {
            let error = rdsys::rd_kafka_incremental_unassign(client, partitions);
            // The consumer is being abandoned: there is nobody to tell.
            let _ = ClientError::check("give partitions up", error);
        } else {
            rdsys::rd_kafka_assign(client, ptr::null());
        }
    }
}

/// Called by whichever thread puts something into the side queue, with that queue's lock held.
unsafe extern "C" fn on_side_event(_client: *mut rdsys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: the opaque is the context, which outlives the callback.
    if let Some(context) = unsafe { opaque.cast::<Context>().as_ref() } {
        context.yield_poll();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_that_is_given_up_is_read_from_the_log() {
        let at = |place: &str| {
            format!(
                "orders [3]: offset reset (at {place}, broker 1) to offset BEGINNING (leader epoch -1): fetch failed: Broker: Offset out of range"
            )
        };
        let text = at("offset 17 (leader epoch 0)");
        assert_eq!(parse_reset("OFFSET", &text), Some((TopicPartition::new("orders", 3), 17)));
        assert_eq!(parse_reset("FETCH", &text), None);
        assert_eq!(parse_reset("OFFSET", &at("offset INVALID (leader epoch -1)")), None);
        assert_eq!(parse_reset("OFFSET", "orders [3]: something else"), None);
    }
}
