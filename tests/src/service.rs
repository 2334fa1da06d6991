//! Applications of the framework inside the test process, and the gate that holds their handlers.
//!
//! The handlers themselves stand in the tests: they take a [`Gate`] as a bean, and each application has its own.

use std::fmt::Debug;
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use tokio::sync::watch;

use crate::kafka::Kafka;

/// How long a test waits for what its handlers do. Far beyond what any of them needs on a busy machine: it is there so
/// that a record that never comes fails one test by name instead of stopping the whole run.
const PATIENCE: Duration = Duration::from_mins(2);

/// What an application in a test reads: the cluster, short waits, and `arguments`, each `key=value` without dashes.
///
/// Nothing of the process's own environment or directory is read. Keys below `test` are the test's own, for
/// placeholders in its attributes.
pub fn options<'a>(kafka: &Kafka, arguments: impl IntoIterator<Item = &'a str>) -> LoadOptions {
    let servers = format!("--kafka.bootstrap-servers={}", kafka.bootstrap_servers());
    let common = [
        "kafka.consumer.fetch-max-wait=50ms",
        "kafka.consumer.session-timeout=6s",
        "kafka.consumer.heartbeat-interval=1s",
        "kafka.consumer.drain-timeout=4s",
    ];
    let others = common.into_iter().chain(arguments).map(|argument| format!("--{argument}"));
    LoadOptions {
        arguments: std::iter::once(servers).chain(others).collect(),
        own_sections: vec!["test".to_owned()],
        ..LoadOptions::default()
    }
}

/// Texts that handlers leave for the test, in their order.
///
/// ```
/// use kafka_boot_tests::service::Notes;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let notes = Notes::default();
/// notes.add("hello");
/// assert_eq!(notes.first(1).await, ["hello"]);
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Notes {
    texts: watch::Sender<Vec<String>>,
}

impl Notes {
    /// Leaves a text.
    pub fn add(&self, text: impl Into<String>) {
        self.texts.send_modify(|texts| texts.push(text.into()));
    }

    /// Waits until there are this many texts, and returns all there are.
    ///
    /// # Panics
    ///
    /// When they have not come after two minutes.
    pub async fn first(&self, count: usize) -> Vec<String> {
        reached(&self.texts, "notes", |texts| texts.len() >= count).await;
        self.all()
    }

    /// All texts so far.
    pub fn all(&self) -> Vec<String> {
        self.texts.borrow().clone()
    }
}

/// Holds handlers at an offset, lets them fail at another, and tells how far they came. One partition a gate, unless
/// it only counts.
///
/// ```
/// use kafka_boot_tests::service::Gate;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let gate = Gate::closed_at(1);
/// gate.pass(0).await.unwrap();
/// assert_eq!(gate.handled(), 1);
/// gate.open_to(2);
/// gate.pass(1).await.unwrap();
/// gate.until_reached(1).await;
/// # });
/// ```
#[derive(Debug)]
pub struct Gate {
    /// Records from this offset on wait.
    closed_at: watch::Sender<i64>,
    /// The highest offset that has come to the gate.
    reached: watch::Sender<i64>,
    /// How many records have passed.
    handled: watch::Sender<u64>,
    failing_at: Option<i64>,
}

impl Gate {
    /// A gate that holds nothing.
    pub fn open() -> Self {
        Self::closed_at(i64::MAX)
    }

    /// A gate at which records from `offset` on wait.
    pub fn closed_at(offset: i64) -> Self {
        Self {
            closed_at: watch::Sender::new(offset),
            reached: watch::Sender::new(-1),
            handled: watch::Sender::new(0),
            failing_at: None,
        }
    }

    /// An open gate at which the record of this offset fails, each time.
    pub fn failing_at(offset: i64) -> Self {
        Self { failing_at: Some(offset), ..Self::open() }
    }

    /// The same gate, at which the record of this offset fails, each time.
    #[must_use]
    pub fn and_failing_at(self, offset: i64) -> Self {
        Self { failing_at: Some(offset), ..self }
    }

    /// What a handler calls for each record.
    ///
    /// Fails for the record that shall fail.
    pub async fn pass(&self, offset: i64) -> kafka_boot::Result<()> {
        self.come(offset);
        // The sender is in `self`, so it cannot be gone.
        drop(self.closed_at.subscribe().wait_for(|closed_at| offset < *closed_at).await);
        self.leave(offset)
    }

    /// What a handler on a thread of its own calls for each record.
    ///
    /// Fails for the record that shall fail.
    pub fn pass_blocking(&self, offset: i64) -> kafka_boot::Result<()> {
        self.come(offset);
        while offset >= *self.closed_at.borrow() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.leave(offset)
    }

    /// Lets records before `offset` pass.
    pub fn open_to(&self, offset: i64) {
        self.closed_at.send_replace(offset);
    }

    /// Waits until the record of this offset, or one behind it, has come to the gate.
    ///
    /// # Panics
    ///
    /// When it has not come after two minutes.
    pub async fn until_reached(&self, offset: i64) {
        reached(&self.reached, "the highest offset at the gate", |reached| *reached >= offset).await;
    }

    /// Waits until this many records have passed.
    ///
    /// # Panics
    ///
    /// When they have not passed after two minutes.
    pub async fn until_handled(&self, count: u64) {
        reached(&self.handled, "the number of records handled", |handled| *handled >= count).await;
    }

    /// The highest offset that has come to the gate; -1 before the first.
    pub fn reached(&self) -> i64 {
        *self.reached.borrow()
    }

    /// How many records have passed.
    pub fn handled(&self) -> u64 {
        *self.handled.borrow()
    }

    fn come(&self, offset: i64) {
        self.reached.send_if_modified(|reached| {
            let further = offset > *reached;
            *reached = offset.max(*reached);
            further
        });
    }

    fn leave(&self, offset: i64) -> kafka_boot::Result<()> {
        if self.failing_at == Some(offset) {
            return Err(kafka_boot::HandlerError::msg(format!("offset {offset} fails, as the test wants")));
        }
        self.handled.send_modify(|handled| *handled += 1);
        Ok(())
    }
}

async fn reached<T: Debug>(value: &watch::Sender<T>, what: &str, wanted: impl FnMut(&T) -> bool) {
    let mut receiver = value.subscribe();
    // The sender is borrowed, so it cannot be gone.
    let outcome = tokio::time::timeout(PATIENCE, receiver.wait_for(wanted)).await.map(drop);
    assert!(outcome.is_ok(), "not reached within {PATIENCE:?}; {what}: {:?}", *value.borrow());
}
