//! The admin client: every request is asynchronous, has a deadline, and answers for each item.
//!
//! 1. One thread per client serves the answers; no request blocks its caller or needs a thread of its own.
//! 2. Every request gets an answer: librdkafka's, or its timeout.
//! 3. A request as a whole fails with an error; an item of it fails with its own.

mod configs;
mod groups;
mod native;
mod offsets;
mod reset;
mod topics;

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_admin_op_t;
use tokio::sync::oneshot;

pub use self::configs::{
    ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource, ResourceResults,
};
pub use self::groups::{GroupDescription, GroupKind, GroupListing, GroupListings, GroupMember, GroupState};
use self::native::{Arguments, Options};
pub use self::offsets::{ListedOffset, OffsetSpec};
pub use self::reset::{OffsetPlan, OffsetReset, PlannedOffset};
pub use self::topics::{
    ClusterDescription, NewPartitions, NewTopic, TopicDescription, TopicPartitionDescription,
};
use crate::config::ClientConfig;
use crate::error::{ClientError, ErrorKind};
use crate::event::{ClientEvent, EventSink, shield};
use crate::native::{ClientRef, Event, Role};

/// How long the thread sleeps when nothing happens; closing wakes it.
const IDLE: Duration = Duration::from_secs(1);

/// What became of each item of a request, by name.
pub type ItemResults<T> = Vec<(String, Result<T, ClientError>)>;

/// A Kafka admin client. Cheap to clone; usable with any async runtime.
///
/// ```no_run
/// use std::time::Duration;
/// use kafka_boot_client::{Admin, ClientConfig, NewTopic};
///
/// # async fn run() -> Result<(), kafka_boot_client::ClientError> {
/// let admin = Admin::new(&ClientConfig::from_iter([("bootstrap.servers", "localhost:9092")]))?;
/// let topic = NewTopic::new("orders").partitions(6).config("retention.ms", "86400000");
/// for (name, result) in admin.create_topics(&[topic], Duration::from_secs(5)).await? {
///     println!("{name}: {result:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Admin {
    handle: Arc<Handle>,
}

/// Dropped with the last clone.
struct Handle {
    shared: Arc<Shared>,
}

/// What the clones and the thread share.
struct Shared {
    client: ClientRef,
    /// Requests without an answer.
    outstanding: AtomicUsize,
    closing: AtomicBool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // SAFETY: the queue is live as long as the client, which `shared` holds.
        unsafe { rdsys::rd_kafka_queue_yield(self.shared.client.side_queue()) };
    }
}

impl Admin {
    /// Makes an admin client and its thread. Connects in the background; nothing here waits.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] or [`ErrorKind::FeatureMissing`].
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        Self::with_events(config, drop)
    }

    /// As [`Self::new`]; `on_event` hears of errors (which are logged in any case), statistics and wanted tokens, on the
    /// client's thread, and must return soon.
    pub fn with_events(
        config: &ClientConfig,
        on_event: impl FnMut(ClientEvent) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let shared = Arc::new(Shared {
            client: ClientRef::create(Role::Admin, config)?,
            outstanding: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let driver = Driver { shared: Arc::clone(&shared), on_event: Box::new(on_event) };
        thread::Builder::new().name("kafka-admin".to_owned()).spawn(move || driver.run()).map_err(
            |error| ClientError::of_kind(ErrorKind::Other, format!("no thread for an admin client: {error}")),
        )?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Answers [`ClientEvent::TokenRefresh`] with a token valid until `expires_at_millis` after the Unix epoch.
    pub fn set_oauth_token(
        &self,
        token: &str,
        expires_at_millis: i64,
        principal: &str,
    ) -> Result<(), ClientError> {
        self.client().set_oauth_token(token, expires_at_millis, principal)
    }

    /// Answers [`ClientEvent::TokenRefresh`] with the reason why there is no token; librdkafka asks again later.
    pub fn set_oauth_failure(&self, reason: &str) -> Result<(), ClientError> {
        self.client().set_oauth_failure(reason)
    }

    fn client(&self) -> &ClientRef {
        &self.handle.shared.client
    }

    /// Starts a request: `submit` calls librdkafka with the client, the options and the queue for the answer.
    fn start(
        &self,
        operation: rd_kafka_admin_op_t,
        doing: &'static str,
        deadline: Duration,
        submit: impl FnOnce(
            *mut rdsys::rd_kafka_t,
            *const rdsys::rd_kafka_AdminOptions_t,
            *mut rdsys::rd_kafka_queue_t,
        ),
    ) -> Result<Pending, ClientError> {
        let shared = &self.handle.shared;
        let options = Options::new(&shared.client, operation, deadline)?;
        let (sender, receiver) = oneshot::channel::<Event>();
        shared.outstanding.fetch_add(1, Ordering::AcqRel);
        // Comes back as the opaque pointer of the answer, of which there is exactly one.
        options.set_opaque(Box::into_raw(Box::new(sender)).cast::<c_void>());
        submit(shared.client.as_ptr(), options.as_ptr(), shared.client.side_queue());
        Ok(Pending { receiver, doing })
    }
}

/// A request of librdkafka that takes an array.
type ArrayRequest<T> = unsafe extern "C" fn(
    *mut rdsys::rd_kafka_t,
    *mut *mut T,
    usize,
    *const rdsys::rd_kafka_AdminOptions_t,
    *mut rdsys::rd_kafka_queue_t,
);

impl Admin {
    /// Starts a request that takes an array.
    ///
    /// # Safety
    /// `request` copies its arguments, and is the one that `operation` names.
    unsafe fn start_with<T>(
        &self,
        operation: rd_kafka_admin_op_t,
        doing: &'static str,
        deadline: Duration,
        mut arguments: Arguments<T>,
        request: ArrayRequest<T>,
    ) -> Result<Pending, ClientError> {
        self.start(operation, doing, deadline, |client, options, queue| {
            // SAFETY: all live for the call.
            unsafe { request(client, arguments.as_mut_ptr(), arguments.len(), options, queue) };
        })
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// A request that was sent.
struct Pending {
    receiver: oneshot::Receiver<Event>,
    doing: &'static str,
}

impl Pending {
    /// The answer, unless the request failed as a whole.
    async fn answer(self) -> Result<Event, ClientError> {
        let event = self.receiver.await.map_err(|_| {
            ClientError::of_kind(ErrorKind::Other, format!("{}: the client is gone", self.doing))
        })?;
        match event.error(self.doing) {
            Some(error) => Err(error),
            None => Ok(event),
        }
    }
}

/// The thread of an admin client.
struct Driver {
    shared: Arc<Shared>,
    on_event: EventSink,
}

impl Driver {
    fn run(mut self) {
        // Every request ends by its deadline, so this ends, too.
        while !self.shared.closing.load(Ordering::Acquire)
            || self.shared.outstanding.load(Ordering::Acquire) > 0
        {
            let Some(event) = self.shared.client.next_event(IDLE) else { continue };
            if let Some(told) = ClientEvent::of(&self.shared.client, &event) {
                shield(|| (self.on_event)(told));
            } else if native::is_admin_result(&event) {
                self.answer(event);
            }
        }
    }

    fn answer(&self, event: Event) {
        self.shared.outstanding.fetch_sub(1, Ordering::AcqRel);
        let sender = event.opaque().cast::<oneshot::Sender<Event>>();
        if !sender.is_null() {
            // SAFETY: the opaque pointer of an answer is the box that `start` made for its request, and there is one
            // answer per request.
            let sender = unsafe { Box::from_raw(sender) };
            // Nobody listens any more when the future was dropped.
            let _ = sender.send(event);
        }
    }
}
