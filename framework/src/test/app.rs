//! `TestApp`: the application under test, as a test sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location as Caller;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_boot_client::{ClientError, ProducerRecord, TopicPartition};
use serde::Serialize;

use crate::app::Parts;
use crate::beans::{Admin, Bean, KafkaTemplate, SendResult};
use crate::error::StartError;
use crate::listener::ListenerRegistry;
use crate::manage::HealthReport;
use crate::reader::{self, ReadError, Span};
use crate::record::{FromPayload, Record};
use crate::schedule::{JobInfo, Scheduler};
use crate::test::builder::TestAppBuilder;
use crate::test::offsets;
use crate::test::session::Session;
use crate::test::settled::{self, Unsettled, UnsettledPartition};

/// The pauses between two looks at a condition: short at first, longer when it takes a while.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(25);
/// How many looks find the same before it is asked whether what is left are records at all.
const SAME_LOOKS: u32 = 10;
/// How long that question may take.
const QUESTION: Duration = Duration::from_secs(1);

/// An application under test, running, on a broker of its own.
///
/// Its calls wait on conditions, each at most for the test's timeout (10 s unless the test says otherwise), and panic
/// with what is wrong and the place of the call. When the test fails, the log of its application is shown; when it is
/// over, application and broker are stopped.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Record<String>, kafka: Bean<KafkaTemplate>) -> Result<()> {
///     kafka.send("invoices", format!("invoice for {}", order.value())).await?;
///     Ok(())
/// }
///
/// #[kafka_boot::test]
/// async fn an_order_becomes_an_invoice(app: TestApp) {
///     app.send("orders", "12 pears").await;
///     app.settled().await;
///     let invoices = app.records("invoices").await;
///     assert_eq!(invoices[0].payload_str(), Some("invoice for 12 pears"));
/// }
/// ```
#[must_use = "the application stops when this is dropped"]
pub struct TestApp {
    session: Arc<Session>,
    /// `None` before the start, and while it is stopped.
    parts: Option<Parts>,
    /// Whether its drop ends the test; else whoever made it does.
    is_owner: bool,
    /// What the test has set since.
    timeout: Option<Duration>,
}

impl TestApp {
    /// An application under test to be configured and started, for tests without the attribute.
    pub fn builder() -> TestAppBuilder {
        TestAppBuilder::new()
    }

    pub(super) fn managed(session: Arc<Session>) -> Self {
        Self { session, parts: None, is_owner: false, timeout: None }
    }

    pub(super) fn owning(session: Arc<Session>) -> Self {
        Self { session, parts: None, is_owner: true, timeout: None }
    }

    pub(super) async fn started(mut self) -> Result<Self, StartError> {
        match self.session.start().await {
            Ok(parts) => {
                self.parts = Some(parts);
                Ok(self)
            }
            Err(error) => {
                self.session.expect_failure();
                Err(error)
            }
        }
    }

    #[track_caller]
    fn parts(&self) -> &Parts {
        let Some(parts) = &self.parts else { panic!("the application under test is not running") };
        parts
    }

    fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.session.builder.timeout)
    }

    /// How long each call may wait from here on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    /// Sends a value without a key; returns when the broker has it.
    ///
    /// # Panics
    /// If it does not take it.
    #[track_caller]
    pub fn send(&self, topic: &str, value: impl Into<Bytes>) -> impl Future<Output = SendResult> + '_ {
        self.send_with(ProducerRecord::new(topic).payload(value))
    }

    /// Sends a value with a key.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_keyed(
        &self,
        topic: &str,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> impl Future<Output = SendResult> + '_ {
        self.send_with(ProducerRecord::new(topic).key(key).payload(value))
    }

    /// Sends a value as JSON.
    ///
    /// # Panics
    /// As [`send`](Self::send), and if it cannot be written as JSON.
    #[track_caller]
    pub fn send_json<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        value: &T,
    ) -> impl Future<Output = SendResult> + '_ {
        let json = match serde_json::to_vec(value) {
            Ok(json) => json,
            Err(error) => panic!("the value cannot be written as JSON: {error}"),
        };
        self.send(topic, json)
    }

    /// Sends a record with everything it may have: partition, key, headers, timestamp, or no value.
    ///
    /// ```
    /// # use kafka_boot::prelude::*;
    /// # async fn example(app: TestApp) {
    /// app.send_with(ProducerRecord::new("orders").key("k").payload("v").header("trace", "1")).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_with(&self, record: ProducerRecord) -> impl Future<Output = SendResult> + '_ {
        let at = Caller::caller();
        let kafka = self.kafka();
        async move {
            let topic = Arc::clone(&record.topic);
            match self.session.limited(self.timeout(), kafka.send_record(record)).await {
                Some(Ok(sent)) => sent,
                Some(Err(error)) => fail(at, format_args!("a record was not sent to `{topic}`: {error}")),
                None => {
                    let timeout = self.timeout();
                    fail(at, format_args!("a record was not sent to `{topic}` within {timeout:?}"))
                }
            }
        }
    }

    /// Every record of a topic since the test began, whoever wrote it, by partition and offset; none of transactions that
    /// are open or aborted. A topic that does not exist has none.
    ///
    /// # Panics
    /// If they cannot be read in time.
    #[track_caller]
    pub fn records(&self, topic: &str) -> impl Future<Output = Vec<Record<Option<Bytes>>>> + '_ {
        let at = Caller::caller();
        let topic = topic.to_owned();
        async move {
            match self.read(&topic).await {
                Ok(records) => records,
                Err(error) => fail(at, format_args!("the records of `{topic}` could not be read: {error}")),
            }
        }
    }

    /// Every value of a topic since the test began, decoded: `app.values::<Json<Order>>("orders")`.
    ///
    /// # Panics
    /// As [`records`](Self::records), and if one is no such value.
    #[track_caller]
    pub fn values<T: FromPayload>(&self, topic: &str) -> impl Future<Output = Vec<T>> + '_ {
        let at = Caller::caller();
        let records = self.records(topic);
        async move {
            let decode = |record: &Record<Option<Bytes>>| match record.decode() {
                Ok(value) => value,
                Err(error) => {
                    fail(at, format_args!("{record} is no `{}`: {error}", std::any::type_name::<T>()))
                }
            };
            records.await.iter().map(decode).collect()
        }
    }

    /// Waits until nothing is left to do: everything that was written to the topics of the running listeners is handled
    /// and committed, and so is what their handlers wrote to topics of listeners meanwhile.
    ///
    /// # Panics
    /// If that is not so in time, with what is open; at once if a listener has failed.
    #[track_caller]
    pub fn settled(&self) -> impl Future<Output = ()> + '_ {
        let at = Caller::caller();
        async move {
            if let Err(unsettled) = self.try_settled().await {
                fail(at, format_args!("{unsettled}"));
            }
        }
    }

    /// As [`settled`](Self::settled), with the failure as a value.
    ///
    /// # Errors
    /// What is open, or what has failed.
    pub async fn try_settled(&self) -> Result<(), Unsettled> {
        let deadline = Instant::now() + self.timeout();
        let mut pause = PAUSE_MIN;
        let (mut last, mut same) = (Vec::new(), 0);
        loop {
            if let Some(reason) = self.session.failure() {
                return Err(Unsettled::Failed(reason));
            }
            let (open, error) = match self.open(deadline).await {
                Ok(open) => (open, None),
                Err(error) => (last.clone(), Some(error)),
            };
            if error.is_none() && open.is_empty() {
                return Ok(());
            }
            same = if open == last { same + 1 } else { 0 };
            if error.is_none() && same == SAME_LOOKS {
                same = 0;
                if self.no_records_in(&open).await {
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                return Err(Unsettled::Late { timeout: self.timeout(), open, error });
            }
            last = open;
            self.session.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits until a condition holds.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use kafka_boot::prelude::*;
    /// # async fn example(app: TestApp) {
    /// let calls = app.bean::<AtomicUsize>();
    /// app.wait_until(|| calls.load(Ordering::Relaxed) == 3).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it does not hold in time; at once if a listener has failed.
    #[track_caller]
    pub fn wait_until<'a>(
        &'a self,
        mut condition: impl FnMut() -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        self.wait_until_async(async move || condition())
    }

    /// Waits until a condition holds that takes waiting itself.
    ///
    /// ```
    /// # use kafka_boot::prelude::*;
    /// # async fn example(app: TestApp) {
    /// app.wait_until_async(async || app.records("invoices").await.len() == 2).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`wait_until`](Self::wait_until).
    #[track_caller]
    pub fn wait_until_async<'a>(
        &'a self,
        mut condition: impl AsyncFnMut() -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let at = Caller::caller();
        async move {
            let mut pause = PAUSE_MIN;
            let waited = async {
                while !condition().await {
                    if let Some(reason) = self.session.failure() {
                        fail(at, format_args!("the condition will never hold: {reason}"));
                    }
                    self.session.sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            };
            if self.session.limited(self.timeout(), waited).await.is_none() {
                fail(at, format_args!("the condition did not hold within {:?}", self.timeout()));
            }
        }
    }

    /// What a group has committed of a topic: by partition, the offset that it would read next. The first argument is a
    /// listener's id, or else a group.
    ///
    /// # Panics
    /// If it cannot be looked up.
    #[track_caller]
    pub fn committed(
        &self,
        listener_or_group: &str,
        topic: &str,
    ) -> impl Future<Output = BTreeMap<i32, i64>> + '_ {
        let at = Caller::caller();
        let (name, topic) = (listener_or_group.to_owned(), topic.to_owned());
        let parts = self.parts();
        async move {
            let listener = parts.listeners.get(&name).ok();
            let group = match &listener {
                Some(listener) => listener.settings.group_id().to_owned(),
                None => self.own_group(parts, &name),
            };
            let cluster = listener.and_then(|listener| listener.settings.cluster).unwrap_or_default();
            let look_up = committed_of_topic(parts.clone(), cluster, group, topic);
            match self.session.spawned(look_up).await {
                Some(Ok(committed)) => committed,
                Some(Err(error)) => {
                    fail(at, format_args!("the commits of `{name}` could not be looked up: {error}"))
                }
                None => fail(at, format_args!("the commits of `{name}` could not be looked up")),
            }
        }
    }

    /// Runs a job now, and returns when it is over; by its clock it does not run, unless the test says so.
    ///
    /// # Panics
    /// If there is no such job, if it fails, or does not end in time. To test a failure, use
    /// [`scheduler`](Self::scheduler).
    #[track_caller]
    pub fn run(&self, job: &str) -> impl Future<Output = JobInfo> + '_ {
        let at = Caller::caller();
        let (scheduler, id) = (self.scheduler(), job.to_owned());
        async move {
            let job = id.clone();
            let run = self.session.spawned(async move { scheduler.trigger(&job).await });
            match self.session.limited(self.timeout(), run).await {
                Some(Some(Ok(info))) => match &info.last_error {
                    Some(error) => fail(at, format_args!("job `{id}` failed: {error}")),
                    None => info,
                },
                Some(Some(Err(error))) => fail(at, format_args!("{error}")),
                Some(None) => fail(at, format_args!("job `{id}` was cut off")),
                None => fail(at, format_args!("job `{id}` did not end within {:?}", self.timeout())),
            }
        }
    }

    /// Waits until the application has failed, as the test wants it to, and returns the reason. Without this call, a
    /// listener that fails also fails the test.
    ///
    /// # Panics
    /// If it does not fail in time.
    #[track_caller]
    pub fn failed(&self) -> impl Future<Output = String> + '_ {
        let at = Caller::caller();
        async move {
            let deadline = Instant::now() + self.timeout();
            loop {
                if let Some(reason) = self.session.failure() {
                    self.session.expect_failure();
                    return reason;
                }
                if Instant::now() >= deadline {
                    fail(at, format_args!("the application did not fail within {:?}", self.timeout()));
                }
                self.session.sleep(PAUSE_MIN).await;
            }
        }
    }

    /// Stops the application as a signal would, and starts it again on the same broker: with the same topics, groups and
    /// commits, and with new beans but for those that the test gave.
    ///
    /// # Panics
    /// If it does not stop cleanly or does not start.
    #[track_caller]
    pub fn restart(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Caller::caller();
        async move {
            self.parts = None;
            if let Some(reason) = self.session.stop().await {
                fail(at, format_args!("the application did not stop cleanly: {reason}"));
            }
            match self.session.start().await {
                Ok(parts) => self.parts = Some(parts),
                Err(error) => fail(at, format_args!("the application did not start again\n{error}")),
            }
        }
    }

    /// The health now.
    #[track_caller]
    pub fn health(&self) -> HealthReport {
        self.parts().health.report()
    }

    /// The listeners: look at them, start, stop, pause and resume them.
    #[track_caller]
    pub fn registry(&self) -> &ListenerRegistry {
        &self.parts().listeners
    }

    /// The jobs.
    #[track_caller]
    pub fn scheduler(&self) -> Arc<Scheduler> {
        Arc::clone(&self.parts().scheduler)
    }

    /// The primary bean of a type.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn bean<T: Send + Sync + 'static>(&self) -> Bean<T> {
        match self.parts().beans.bean() {
            Ok(bean) => bean,
            Err(error) => panic!("{error}"),
        }
    }

    /// The primary template, for a send that is to fail.
    #[track_caller]
    pub fn kafka(&self) -> Bean<KafkaTemplate> {
        self.bean()
    }

    /// The addresses of the test's broker, for a client of the test's own.
    #[track_caller]
    pub fn bootstrap_servers(&self) -> String {
        let parts = self.parts();
        match &parts.embedded {
            Some(embedded) => embedded.bootstrap_servers().to_owned(),
            None => parts.settings.kafka().bootstrap_servers.joined(),
        }
    }

    async fn open(&self, deadline: Instant) -> Result<Vec<UnsettledPartition>, ClientError> {
        let Some(parts) = self.parts.clone() else { return Ok(Vec::new()) };
        let starts = self.session.starts();
        let look_up = self.session.spawned(async move { settled::open(&parts, &starts).await });
        let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE_MAX);
        match self.session.limited(left, look_up).await {
            Some(Some(open)) => open,
            _ => Err(ClientError::unanswered()),
        }
    }

    /// Whether what is left are only the ends of transactions, which no handler is given.
    async fn no_records_in(&self, open: &[UnsettledPartition]) -> bool {
        for partition in open {
            let Some(config) = self.session.reader_config(&partition.cluster) else { return false };
            let span = Span {
                partition: TopicPartition::new(partition.topic.as_str(), partition.partition),
                start: partition.from,
                end: Some(partition.end),
            };
            let read =
                self.session.blocking(move || reader::read(config, &[span], Instant::now() + QUESTION));
            if !matches!(read.await, Some(Ok(records)) if records.is_empty()) {
                return false;
            }
        }
        true
    }

    async fn read(&self, topic: &str) -> Result<Vec<Record<Option<Bytes>>>, String> {
        let deadline = Instant::now() + self.timeout();
        let (parts, name) = (self.parts().clone(), topic.to_owned());
        let spans = self.session.spawned(async move {
            let admin = parts.beans.named::<Admin>("").map_err(|error| error.to_string())?;
            let known = offsets::partitions(&admin).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(known.get(&name).cloned().unwrap_or_default())
        });
        let partitions = spans.await.ok_or("the look-up was cut off")??;
        let starts = self.session.starts();
        let span =
            |partition: TopicPartition| Span { start: starts.of("", &partition), partition, end: None };
        let spans: Vec<Span> = partitions.into_iter().map(span).collect();
        let config = self.session.reader_config("").ok_or("the application was never started")?;
        let read = self.session.blocking(move || reader::read(config, &spans, deadline)).await;
        match read.ok_or("the reader was cut off")? {
            Ok(records) => Ok(records),
            Err(ReadError::Client(error)) => Err(error.to_string()),
            Err(ReadError::Late(read)) => {
                Err(format!("{read} records were read within {:?}, and more are there", self.timeout()))
            }
        }
    }

    /// The group as this test has it, if it is one of its listeners'.
    fn own_group(&self, parts: &Parts, name: &str) -> String {
        let own = format!("{name}{}", self.session.group_suffix);
        let is_own = parts.listeners.list().iter().any(|listener| listener.settings.group_id() == own);
        if is_own { own } else { name.to_owned() }
    }
}

async fn committed_of_topic(
    parts: Parts,
    cluster: String,
    group: String,
    topic: String,
) -> Result<BTreeMap<i32, i64>, String> {
    let admin = parts.beans.named::<Admin>(&cluster).map_err(|error| error.to_string())?;
    let known = offsets::partitions(&admin).await.map_err(|error| error.to_string())?;
    let partitions = known.get(&topic).cloned().unwrap_or_default();
    let committed =
        offsets::committed(&admin, &group, &partitions).await.map_err(|error| error.to_string())?;
    Ok(committed.into_iter().map(|(partition, offset)| (partition.partition, offset)).collect())
}

/// Fails the test, naming the line of the test.
fn fail(at: &Caller<'_>, message: fmt::Arguments<'_>) -> ! {
    panic!("{}:{}: {message}", at.file(), at.line())
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
        self.parts = None;
        let is_panicking = std::thread::panicking();
        if let Some(reason) = self.session.finish(is_panicking)
            && !is_panicking
        {
            panic!("{reason}");
        }
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp").field("name", &self.session.builder.name).finish_non_exhaustive()
    }
}
