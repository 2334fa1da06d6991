//! What one consumer's poll thread shares with the container: options in, commands in, state out.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_boot_client::{ClientError, ErrorKind, TopicPartition};
use metrics::{Counter, Gauge, gauge};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::committer::CommitPlan;
use super::events::{EventSender, ListenerEventKind};
use super::hand_positions::HandPositions;
use super::handlers::Handler;
use super::lanes::LaneShared;
use super::paused::PausedPartitions;
use super::requests::{Refusal, Reply, Request, RequestBox};
use super::room::Room;
use super::settlements::Settlements;
use super::statistics::Statistics;
use crate::observe::names;

/// The parts of a listener's settings that the engine reads.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerOptions {
    pub(crate) plan: CommitPlan,
    /// Whether a partition without a committed offset starts at its end.
    pub(crate) start_at_latest: bool,
    pub(crate) max_poll_records: usize,
    /// How much may be in flight.
    pub(crate) room: Room,
    /// How long the text of an offset map may be.
    pub(crate) map_bytes_max: usize,
    /// After what time the first open record of a partition counts as stuck; zero is never.
    pub(crate) stuck_after: Duration,
    /// After what time without records a consumer is told to be idle; zero is never.
    pub(crate) idle_event_interval: Duration,
    pub(crate) poll_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) commit_timeout: Duration,
    pub(crate) close_timeout: Duration,
    /// How long a broker may owe an answer until it counts as unreachable.
    pub(crate) silent_after: Duration,
}

/// What the container asks of a poll thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Stop,
    Pause,
    Resume,
}

/// How often the same failure of commits, or of the client, is logged at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Shared by a poll thread and its container.
pub(crate) struct ConsumerShared {
    pub(crate) listener: String,
    pub(crate) group: String,
    /// Which of the listener's consumers this is, from 0.
    pub(crate) index: u16,
    pub(crate) options: ConsumerOptions,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) lanes: Arc<LaneShared>,
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) runtime: Handle,
    pub(crate) metrics: ConsumerMetrics,
    /// Told whenever the view changes.
    pub(crate) changed: Arc<Notify>,
    pub(crate) events: EventSender,
    pub(crate) requests: Arc<RequestBox>,
    /// The partitions that somebody has paused.
    pub(crate) paused: Arc<PausedPartitions>,
    /// How far those have come that are assigned by hand.
    pub(crate) positions: Arc<HandPositions>,
    pub(crate) state: ConsumerState,
}

/// The part of a [`ConsumerShared`] that changes.
#[derive(Debug, Default)]
pub(crate) struct ConsumerState {
    view: Mutex<ConsumerView>,
    control: AtomicU8,
    commit_overdue: AtomicBool,
    left_behind: AtomicUsize,
}

impl ConsumerState {
    /// A handler was still at work when the time of a stop in order was over.
    pub(crate) fn left_behind(&self) {
        self.left_behind.fetch_add(1, Ordering::Relaxed);
    }

    /// How many lanes were.
    pub(crate) fn lanes_left_behind(&self) -> usize {
        self.left_behind.load(Ordering::Relaxed)
    }
}

/// A consumer's metric handles.
pub(crate) struct ConsumerMetrics {
    pub(crate) received: Counter,
    pub(crate) unassigned: Counter,
    pub(crate) stale: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_failures: Counter,
    pub(crate) lost: Counter,
    in_flight: Gauge,
    in_flight_bytes: Gauge,
    /// Records that an earlier owner of their partition had finished.
    pub(crate) finished_before: Counter,
    listener: String,
}

/// What a consumer is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The group has not answered with an assignment yet.
    #[default]
    Joining,
    /// The group has answered, be it with no partitions.
    Working,
    /// Told to take no records.
    Paused,
    /// Finishing what is in hand.
    Draining,
}

/// What is known of a consumer from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConsumerView {
    pub(crate) phase: Phase,
    pub(crate) assigned: Vec<TopicPartition>,
    /// Since when no broker can be reached.
    pub(crate) disconnected_since: Option<Instant>,
    pub(crate) commit_overdue: bool,
    /// No topic is there that it subscribes to.
    pub(crate) is_without_topics: bool,
    /// Records that hold up their partitions for too long.
    pub(crate) stuck: Vec<StuckRecord>,
    complained_at: Option<Instant>,
    suppressed: u32,
}

/// A record that has been the first open one of its partition for longer than `stuck-after`: nothing behind it can be
/// committed.
///
/// Its `Display` names it: `record orders-0@42 (key `k`) is open for 75 s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckRecord {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key as text that is safe to log; `None` if the record has none.
    pub key: Option<String>,
    /// For how long everything in front of it has been done, and it has not.
    pub age: Duration,
}

impl fmt::Display for StuckRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}-{}@{}", self.topic, self.partition, self.offset)?;
        if let Some(key) = &self.key {
            write!(f, " (key `{key}`)")?;
        }
        write!(f, " is open for {} s", self.age.as_secs())
    }
}

impl ConsumerShared {
    /// Asks something of the poll thread. A stop is never overwritten.
    pub(crate) fn control(&self, control: Control) {
        let code = match control {
            Control::Pause => 1,
            Control::Resume => 2,
            Control::Stop => 3,
        };
        let update = |current: u8| if current == 3 { None } else { Some(code) };
        // An error only says that a stop is there already.
        let _ = self.state.control.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        self.settlements.wake();
    }

    /// Tells the poll thread something that has no answer.
    pub(crate) async fn tell(&self, request: Request) {
        // An error means that the thread has ended, and takes no records any more.
        drop(self.requests.put(request).await);
        self.settlements.wake();
    }

    /// Asks something of the poll thread, and waits for its answer.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.requests.put(request(reply)).await?;
        self.settlements.wake();
        // A reply that is dropped is that of a poll thread that has ended.
        answer.await.unwrap_or(Err(Refusal::NotAssigned))
    }

    pub(crate) fn take_control(&self) -> Option<Control> {
        if self.state.control.load(Ordering::Relaxed) == 0 {
            return None;
        }
        match self.state.control.swap(0, Ordering::AcqRel) {
            1 => Some(Control::Pause),
            2 => Some(Control::Resume),
            3 => Some(Control::Stop),
            _ => None,
        }
    }

    /// Whether something waits for the poll thread, so that it must not go to sleep.
    pub(crate) fn has_news(&self) -> bool {
        self.state.control.load(Ordering::Acquire) != 0
            || !self.settlements.is_empty()
            || !self.requests.is_empty()
    }

    pub(crate) fn view(&self) -> MutexGuard<'_, ConsumerView> {
        self.state.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut ConsumerView)) {
        change(&mut self.view());
        self.changed.notify_one();
    }

    /// The group answered. A consumer that was told to pause before that is paused from its first assignment on.
    pub(crate) fn set_assigned(&self, partitions: Vec<TopicPartition>, paused: bool) {
        self.update(|view| {
            if view.phase == Phase::Joining {
                view.phase = if paused { Phase::Paused } else { Phase::Working };
            }
            view.disconnected_since = None;
            view.is_without_topics = false;
            view.assigned = partitions;
        });
    }

    pub(crate) fn set_revoked(&self, left: Vec<TopicPartition>) {
        self.update(|view| view.assigned = left);
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.update(|view| {
            view.phase = match (view.phase, paused) {
                (Phase::Working, true) => Phase::Paused,
                (Phase::Paused, false) => Phase::Working,
                (other, _) => other,
            };
        });
    }

    pub(crate) fn set_draining(&self) {
        self.update(|view| view.phase = Phase::Draining);
    }

    pub(crate) fn set_commit_overdue(&self, overdue: bool) {
        if self.state.commit_overdue.swap(overdue, Ordering::Relaxed) != overdue {
            self.update(|view| view.commit_overdue = overdue);
        }
    }

    /// Notes which records are stuck now.
    pub(crate) fn set_stuck(&self, stuck: Vec<StuckRecord>) {
        let mut view = self.view();
        if !(stuck.is_empty() && view.stuck.is_empty()) {
            view.stuck = stuck;
            drop(view);
            self.changed.notify_one();
        }
    }

    /// Records were polled: a broker answers.
    pub(crate) fn records_arrived(&self) {
        let reconnected = self.view().disconnected_since.is_some();
        if reconnected {
            self.connected();
        }
    }

    fn connected(&self) {
        info!(listener = %self.listener, "a broker answers again");
        self.events.send(|| ListenerEventKind::Reconnected { consumer: self.index });
        self.update(|view| view.disconnected_since = None);
    }

    /// Takes in a report of the client's statistics.
    pub(crate) fn observe(&self, statistics: &Statistics) {
        for figures in statistics.partitions() {
            let labels = [
                (names::LABEL_LISTENER, self.listener.clone()),
                (names::LABEL_TOPIC, figures.topic.to_owned()),
                (names::LABEL_PARTITION, figures.partition.to_string()),
            ];
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a double; offsets beyond 2^53 do not occur"
            )]
            if let Some(lag) = figures.lag {
                gauge!(names::LISTENER_LAG, &labels).set(lag as f64);
            }
            #[expect(clippy::cast_precision_loss, reason = "a count of prefetched records is small")]
            gauge!(names::LISTENER_PREFETCHED, &labels).set(figures.prefetched as f64);
        }
        let was_disconnected = self.view().disconnected_since.is_some();
        match (was_disconnected, statistics.is_connected(self.options.silent_after)) {
            (true, true) => self.connected(),
            (false, false) if self.view().phase != Phase::Joining => self.disconnected(),
            _ => {}
        }
    }

    fn disconnected(&self) {
        warn!(listener = %self.listener, "no broker can be reached; trying on");
        self.events.send(|| ListenerEventKind::Disconnected { consumer: self.index });
        self.update(|view| view.disconnected_since = Some(Instant::now()));
    }

    /// An error that the client recovers from by itself.
    pub(crate) fn client_error(&self, error: &ClientError) {
        if error.kind() == &ErrorKind::AllBrokersDown {
            let known = self.view().disconnected_since.is_some();
            if !known {
                self.disconnected();
            }
            return;
        }
        if error.kind() == &ErrorKind::UnknownTopic && self.view().phase == Phase::Joining {
            self.update(|view| view.is_without_topics = true);
        }
        // The client's own connection errors are logged, rate limited, where they arise.
        if error.kind() != &ErrorKind::Transport {
            self.complain(|suppressed| warn!(listener = %self.listener, %error, suppressed, "the client reports an error"));
        }
    }

    pub(crate) fn commit_failed(&self, error: &str, retried: bool) {
        self.complain(|suppressed| {
            warn!(listener = %self.listener, group = %self.group, error, retried, suppressed, "a commit failed");
        });
    }

    /// Logs at most once in [`COMPLAINT_INTERVAL`], with how many were left out.
    fn complain(&self, log: impl FnOnce(u32)) {
        let mut view = self.view();
        if view.complained_at.is_some_and(|at| at.elapsed() < COMPLAINT_INTERVAL) {
            view.suppressed += 1;
            return;
        }
        view.complained_at = Some(Instant::now());
        let suppressed = std::mem::take(&mut view.suppressed);
        drop(view);
        log(suppressed);
    }
}

impl ConsumerMetrics {
    pub(crate) fn of(listener: &str, index: u16) -> Self {
        let counter =
            |name: &'static str| metrics::counter!(name, names::LABEL_LISTENER => listener.to_owned());
        let gauge = |name: &'static str| {
            gauge!(
                name,
                names::LABEL_LISTENER => listener.to_owned(),
                names::LABEL_CONSUMER => index.to_string(),
            )
        };
        Self {
            received: counter(names::LISTENER_RECORDS_RECEIVED),
            unassigned: counter(names::LISTENER_RECORDS_UNASSIGNED),
            stale: counter(names::LISTENER_RESULTS_STALE),
            commits: counter(names::LISTENER_COMMITS),
            commit_failures: counter(names::LISTENER_COMMIT_FAILURES),
            lost: counter(names::LISTENER_PARTITIONS_LOST),
            in_flight: gauge(names::LISTENER_IN_FLIGHT),
            in_flight_bytes: gauge(names::LISTENER_IN_FLIGHT_BYTES),
            finished_before: counter(names::LISTENER_RECORDS_FINISHED_BEFORE),
            listener: listener.to_owned(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and bytes in flight are small")]
    pub(crate) fn set_in_flight(&self, records: usize, bytes: u64) {
        self.in_flight.set(records as f64);
        self.in_flight_bytes.set(bytes as f64);
    }

    /// How long the text of a partition's offset map is.
    pub(crate) fn map_bytes(&self, partition: &TopicPartition, bytes: usize) {
        let labels = [
            (names::LABEL_LISTENER, self.listener.clone()),
            (names::LABEL_TOPIC, partition.topic.to_string()),
            (names::LABEL_PARTITION, partition.partition.to_string()),
        ];
        #[expect(clippy::cast_precision_loss, reason = "a text of some kilobytes")]
        gauge!(names::LISTENER_OFFSET_MAP_BYTES, &labels).set(bytes as f64);
    }
}
