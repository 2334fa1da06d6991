//! What a listener is made of, and what each of its consumers starts with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use kafka_boot_client::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::Dispatch;

use super::committer::CommitPlan;
use super::consumer_state::{ConsumerMetrics, ConsumerOptions, ConsumerShared, ConsumerState};
use super::events::EventSender;
use super::gate::Gate;
use super::hand_positions::HandPositions;
use super::handler_threads::HandlerThreads;
use super::handlers::Handler;
use super::lanes::{LaneMetrics, LaneShared};
use super::paused::PausedPartitions;
use super::permits::Permits;
use super::recovery::Recovery;
use super::requests::RequestBox;
use super::settlements::Settlements;
use super::transactions::{LaneTransactions, TransactionSpec};
use super::tuning::Tuning;
use crate::config::model::{AckMode, AutoOffsetReset, CommitMode, ListenerSettings, Ordering as RecordOrder};
use crate::handler::{Interception, Location};
use crate::observe::names;
use crate::policy::{ErrorPolicy, Recover};

/// How long a consumer may take to leave its group and close, beyond draining and committing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a broker may owe an answer, beyond what a fetch may wait, until it counts as unreachable.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// Everything a container needs to run its listener.
pub(crate) struct ListenerSpec {
    pub(crate) settings: ListenerSettings,
    pub(crate) at: Location,
    pub(crate) blocking: bool,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) policy: ErrorPolicy,
    /// Where records go that could not be handled.
    pub(crate) recover: Option<Arc<dyn Recover>>,
    pub(crate) client: ClientConfig,
    pub(crate) runtime: Handle,
    /// Where the poll threads log, if not where everybody does.
    pub(crate) log: Option<Dispatch>,
    pub(crate) events: EventSender,
    pub(crate) interception: Interception,
    /// What its lanes send with, where they consume in transactions.
    pub(crate) transactions: Option<TransactionSpec>,
}

impl fmt::Debug for ListenerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerSpec")
            .field("settings", &self.settings)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// What all consumers of a listener share, beside what it is made of.
pub(super) struct Common {
    /// Told whenever something about one of them is to be seen.
    pub(super) changed: Arc<Notify>,
    pub(super) paused: Arc<PausedPartitions>,
    pub(super) gate: Arc<Gate>,
    pub(super) tuning: Tuning,
    pub(super) positions: Arc<HandPositions>,
}

impl ListenerSpec {
    /// What a consumer of the listener starts with.
    pub(super) fn consumer_shared(&self, index: u16, common: Common) -> ConsumerShared {
        let settings = &self.settings;
        let consumer = &settings.consumer;
        let settlements = Settlements::new();
        let unordered = settings.ordering != RecordOrder::Partition;
        let at_work_max = common.tuning.at_work_max(index);
        let threads = format!("{}-handler", settings.id);
        let requests = Arc::new(RequestBox::new());
        let transactions = self.transactions.clone();
        let transactions =
            transactions.map(|spec| LaneTransactions::new(spec, settings.group_id(), Arc::clone(&requests)));
        let lanes = LaneShared {
            listener: settings.id.clone(),
            settlements: Arc::clone(&settlements),
            policy: self.policy.clone(),
            recovery: Recovery::new(&settings.id, self.recover.clone()),
            ordering: settings.ordering,
            ack: consumer.ack_mode,
            wait_for_commit: consumer.ack_mode == AckMode::Record && consumer.commit == CommitMode::Sync,
            blocking: self.blocking,
            gate: common.gate,
            handler_timeout: Some(consumer.handler_timeout.get()).filter(|limit| !limit.is_zero()),
            permits: Permits::new(at_work_max),
            threads: HandlerThreads::new(self.runtime.clone(), threads, threads_max(self, at_work_max)),
            interception: self.interception.clone(),
            retrying: AtomicUsize::new(0),
            metrics: LaneMetrics::of(&settings.id),
            transactions,
        };
        let plan = CommitPlan {
            commit: consumer.commit,
            ack: consumer.ack_mode,
            ack_count: u64::from(consumer.ack_count),
            ack_time: consumer.ack_time.get(),
            unordered,
        };
        let map_bytes_max = consumer.offset_metadata_max_bytes.as_bytes();
        let options = ConsumerOptions {
            plan,
            start_at_latest: consumer.auto_offset_reset == AutoOffsetReset::Latest,
            max_poll_records: usize::try_from(consumer.max_poll_records).unwrap_or(usize::MAX),
            room: common.tuning.room(settings, index),
            map_bytes_max: usize::try_from(map_bytes_max).unwrap_or(usize::MAX),
            stuck_after: consumer.stuck_after.get(),
            idle_event_interval: consumer.idle_event_interval.get(),
            poll_timeout: consumer.poll_timeout.get(),
            drain_timeout: consumer.drain_timeout.get(),
            commit_timeout: consumer.commit_timeout.get(),
            close_timeout: CLOSE_TIMEOUT,
            silent_after: self.silent_after(),
        };
        ConsumerShared {
            listener: settings.id.clone(),
            group: settings.group_id().to_owned(),
            index,
            options,
            handler: Arc::clone(&self.handler),
            lanes: Arc::new(lanes),
            settlements,
            runtime: self.runtime.clone(),
            metrics: ConsumerMetrics::of(&settings.id, index),
            changed: common.changed,
            events: self.events.clone(),
            requests,
            paused: common.paused,
            positions: common.positions,
            state: ConsumerState::default(),
        }
    }
}

impl ListenerSpec {
    /// A fetch is answered after its own wait; beyond that a broker that is well answers much sooner.
    fn silent_after(&self) -> Duration {
        let wait = self.client.get("fetch.wait.max.ms").and_then(|millis| millis.parse().ok());
        SILENT_AFTER + Duration::from_millis(wait.unwrap_or_default())
    }
}

/// How many threads of handlers a consumer may have: in order, each lane has one at the most.
pub(super) fn threads_max(spec: &ListenerSpec, at_work_max: usize) -> usize {
    if spec.settings.ordering == RecordOrder::Partition { usize::MAX } else { at_work_max }
}

impl LaneMetrics {
    pub(super) fn of(listener: &str) -> Self {
        let counter =
            |name: &'static str| metrics::counter!(name, names::LABEL_LISTENER => listener.to_owned());
        Self {
            handled: counter(names::LISTENER_RECORDS_HANDLED),
            failed: counter(names::LISTENER_ATTEMPTS_FAILED),
            timed_out: counter(names::LISTENER_ATTEMPTS_TIMED_OUT),
            retried: counter(names::LISTENER_ATTEMPTS_RETRIED),
            skipped: counter(names::LISTENER_RECORDS_SKIPPED),
            filtered: counter(names::LISTENER_RECORDS_FILTERED),
            nacked: counter(names::LISTENER_NACKS),
            commits: counter(names::LISTENER_COMMITS),
            commit_failures: counter(names::LISTENER_COMMIT_FAILURES),
            seconds: metrics::histogram!(names::LISTENER_SECONDS, names::LABEL_LISTENER => listener.to_owned()),
        }
    }
}
