//! A listener's container: its consumers, their supervision, and its state.
//!
//! One task owns the container and everything in it; others send it commands and watch its state.
//!
//! # States
//! `starting` → `running` once every consumer has an assignment, be it empty. `paused`, `retrying` and `backing-off`
//! are ways of running less well, and so is `circuit-open`. `stopping` → `stopped`. `failed` is final until somebody starts it again.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_boot_client::{ClientConfig, Consumer, TopicPartition};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{Instrument, error, info, info_span, warn};

use super::consumer_state::{ConsumerShared, Control, Phase, StuckRecord};
use super::events::ListenerEventKind;
use super::gate::{Gate, OpenCircuit};
use super::hand_positions::HandPositions;
use super::lanes::LaneShared;
use super::paused::PausedPartitions;
use super::poller::{PollExit, Poller};
use super::recovery::WaitingRecord;
use super::requests::{Refusal, Reply, Request};
use super::spec::{Common, ListenerSpec, threads_max};
use super::subscription::Subscription;
use super::tuning::Tuning;
use crate::config::model::ListenerSettings;
use crate::supervise::{Restart, RestartBudget};

/// How many commands may wait for a container.
const COMMANDS_MAX: usize = 16;
/// How many consumers a listener may have, of which each reports its end once.
const EXITS_MAX: usize = 1_024;
/// What a listener is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerState {
    /// Waiting for its first assignment.
    Starting,
    /// Handling records, or ready to.
    Running,
    /// Told not to take records; still a member of its group.
    Paused,
    /// Waiting before a failed consumer is started again.
    BackingOff,
    /// Running, while at least one record waits for another attempt.
    Retrying,
    /// Its circuit is open: too many calls of its handler failed, so it is given no record until it has been probed.
    CircuitOpen,
    /// Finishing what is in hand.
    Stopping,
    /// Not running, because it was stopped or never started.
    Stopped,
    /// Not running, because it failed more often than its supervision allows.
    Failed(String),
}

impl fmt::Display for ListenerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::BackingOff => "backing-off",
            Self::Retrying => "retrying",
            Self::CircuitOpen => "circuit-open",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed(reason) => return write!(f, "failed: {reason}"),
        })
    }
}

enum Command {
    Start,
    Stop(oneshot::Sender<usize>),
    Pause,
    Resume,
    Tune(oneshot::Sender<()>),
}

/// One listener, from outside.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) spec: Arc<ListenerSpec>,
    commands: mpsc::Sender<Command>,
    pub(crate) state: watch::Receiver<ListenerState>,
    views: Arc<Views>,
    gate: Arc<Gate>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The consumers that are running, for those who look from outside.
#[derive(Default)]
struct Views {
    consumers: Mutex<Vec<Arc<ConsumerShared>>>,
    /// The partitions that somebody has paused.
    paused: Arc<PausedPartitions>,
    /// What was changed while it ran.
    tuning: Mutex<Option<Tuning>>,
}

impl Views {
    fn tuning(&self) -> Option<Tuning> {
        *self.tuning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Views")
    }
}

/// What a listener's consumers look like together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerView {
    pub(crate) assigned: Vec<Vec<TopicPartition>>,
    pub(crate) disconnected_since: Option<Instant>,
    pub(crate) commit_overdue: bool,
    pub(crate) is_without_topics: bool,
    pub(crate) stuck: Vec<StuckRecord>,
    pub(crate) open_circuit: Option<OpenCircuit>,
    pub(crate) waiting: Vec<WaitingRecord>,
}

impl Container {
    /// Makes the container and its task; nothing runs before `start`.
    pub(crate) fn new(spec: ListenerSpec, escalate: mpsc::Sender<String>) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (state, watched) = watch::channel(ListenerState::Stopped);
        let spec = Arc::new(spec);
        let views = Arc::new(Views::default());
        let gate = Gate::new(&spec.settings.id, &spec.settings.consumer, spec.events.clone());
        let (exits, exited) = mpsc::channel(EXITS_MAX);
        let worker = Worker {
            spec: Arc::clone(&spec),
            inbox,
            state,
            views: Arc::clone(&views),
            changed: Arc::new(Notify::new()),
            retrying: Vec::new(),
            threads: Vec::new(),
            exits,
            exited,
            budget: RestartBudget::new(&spec.settings.supervision),
            restarts: Vec::new(),
            paused: false,
            gate: Arc::clone(&gate),
            tuning: Tuning::of(&spec.settings.consumer),
            positions: Arc::default(),
            escalate,
        };
        let span = info_span!("listener", id = %spec.settings.id);
        let task = spec.runtime.spawn(worker.run().instrument(span));
        Self { spec, commands, state: watched, views, gate, task: Mutex::new(Some(task)) }
    }

    pub(crate) async fn start(&self) {
        self.send(Command::Start).await;
    }

    pub(crate) async fn pause(&self) {
        self.send(Command::Pause).await;
    }

    pub(crate) async fn resume(&self) {
        self.send(Command::Resume).await;
    }

    /// Drains, commits, leaves the group; returns when that is done, and how many partitions had a handler that did not return
    /// in time.
    pub(crate) async fn stop(&self) -> usize {
        let (done, wait) = oneshot::channel();
        self.send(Command::Stop(done)).await;
        // An error means that the container's task is gone, which is stopped as well.
        wait.await.unwrap_or_default()
    }

    /// What holds now of what can be changed while it runs.
    pub(crate) fn tuning(&self) -> Tuning {
        self.views.tuning().unwrap_or_else(|| Tuning::of(&self.spec.settings.consumer))
    }

    /// Changes that, from now on and until the program ends. Returns when the consumers that are then too many have left.
    pub(crate) async fn tune(&self, change: impl FnOnce(&mut Tuning)) -> Result<(), String> {
        {
            let mut changed = self.views.tuning.lock().unwrap_or_else(PoisonError::into_inner);
            let mut tuning = changed.unwrap_or_else(|| Tuning::of(&self.spec.settings.consumer));
            let before = tuning.concurrency;
            change(&mut tuning);
            if before != tuning.concurrency && !self.spec.settings.partitions.is_empty() {
                return Err("its `partitions` are assigned by hand, and shared out when it starts: change \
                            `concurrency` in the configuration"
                    .to_owned());
            }
            tuning.check(self.spec.settings.ordering, self.spec.blocking)?;
            *changed = Some(tuning);
        }
        let (done, wait) = oneshot::channel();
        self.send(Command::Tune(done)).await;
        // An error means that the container's task is gone: nothing is left to tune.
        drop(wait.await);
        Ok(())
    }

    /// Asks the consumer that has the partition.
    pub(crate) async fn ask<T>(&self, request: impl Fn(Reply<T>) -> Request) -> Result<T, Refusal> {
        let consumers = self.views.consumers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for consumer in consumers {
            match consumer.ask(&request).await {
                Err(Refusal::NotAssigned) => {}
                answer => return answer,
            }
        }
        Err(Refusal::NotAssigned)
    }

    /// The partitions that somebody has paused.
    pub(crate) fn paused(&self) -> &PausedPartitions {
        &self.views.paused
    }

    /// Ends the container's task, once it is stopped.
    pub(crate) async fn shut_down(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // It ends by the abort, which is an error to whoever waits for it.
            drop(task.await);
        }
    }

    /// Whether it listens to a pattern that no topic matches yet.
    pub(crate) fn is_unmatched(&self) -> bool {
        self.spec.settings.topic_pattern.is_some() && self.view().is_without_topics
    }

    async fn send(&self, command: Command) {
        // An error means that the container's task is gone: there is nobody to command.
        drop(self.commands.send(command).await);
    }

    pub(crate) fn view(&self) -> ContainerView {
        let consumers = self.views.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = ContainerView { open_circuit: self.gate.open_circuit(), ..ContainerView::default() };
        for consumer in consumers.iter() {
            let view = consumer.view();
            all.assigned.push(view.assigned.clone());
            all.disconnected_since = all.disconnected_since.or(view.disconnected_since);
            all.commit_overdue |= view.commit_overdue;
            all.is_without_topics |= view.is_without_topics;
            all.stuck.extend(view.stuck.iter().cloned());
            all.waiting.extend(consumer.lanes.recovery.waiting());
        }
        all
    }
}

/// The task that owns a container.
struct Worker {
    spec: Arc<ListenerSpec>,
    inbox: mpsc::Receiver<Command>,
    state: watch::Sender<ListenerState>,
    views: Arc<Views>,
    changed: Arc<Notify>,
    retrying: Vec<Arc<LaneShared>>,
    threads: Vec<Option<PollThread>>,
    exits: mpsc::Sender<(u16, PollExit)>,
    exited: mpsc::Receiver<(u16, PollExit)>,
    budget: RestartBudget,
    /// Consumers that wait to be started again, and until when.
    restarts: Vec<(u16, Instant)>,
    paused: bool,
    gate: Arc<Gate>,
    tuning: Tuning,
    /// Made anew with each start of the listener.
    positions: Arc<HandPositions>,
    escalate: mpsc::Sender<String>,
}

struct PollThread {
    shared: Arc<ConsumerShared>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let next_restart = self.restarts.iter().map(|(_, at)| *at).min();
            let wake_at = next_restart.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                command = self.inbox.recv() => {
                    let Some(command) = command else {
                        self.stop_all().await;
                        return;
                    };
                    self.obey(command).await;
                }
                exit = self.exited.recv() => {
                    if let Some((index, exit)) = exit {
                        self.consumer_ended(index, exit).await;
                    }
                }
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(wake_at.into()) => self.restart_due(),
                // Whether a record is being retried changes without a notice.
                () = tokio::time::sleep(Duration::from_millis(250)), if self.is_alive() => {}
            }
            self.publish();
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start => {
                if !self.is_alive() {
                    self.budget.clear();
                    self.positions = Arc::default();
                    self.enter(ListenerState::Starting);
                    for index in 0..self.tuning.concurrency {
                        self.start_consumer(index);
                    }
                }
            }
            Command::Stop(done) => {
                let left_behind = self.stop_all().await;
                // Nobody waiting any more is no reason to complain.
                let _ = done.send(left_behind);
            }
            Command::Pause => self.set_paused(true),
            Command::Resume => self.set_paused(false),
            Command::Tune(done) => {
                if let Some(tuning) = self.views.tuning() {
                    self.tune(tuning).await;
                }
                // Nobody waiting any more is no reason to complain.
                let _ = done.send(());
            }
        }
    }

    /// Works with other limits from now on: of each consumer, and of how many there are.
    async fn tune(&mut self, tuning: Tuning) {
        let before = std::mem::replace(&mut self.tuning, tuning);
        if before == tuning {
            return;
        }
        info!(concurrency = tuning.concurrency, max_in_flight = tuning.max_in_flight, rate_limit = ?tuning.rate_limit, "listener tuned");
        if before.rate_limit != tuning.rate_limit {
            self.gate.set_rate_limit(tuning.rate_limit);
        }
        self.restarts.retain(|(index, _)| *index < tuning.concurrency);
        self.stop_surplus(tuning.concurrency).await;
        for (index, thread) in (0..).zip(&self.threads) {
            let Some(thread) = thread else { continue };
            let at_work_max = tuning.at_work_max(index);
            thread.shared.lanes.permits.resize(at_work_max);
            thread.shared.lanes.threads.resize(threads_max(&self.spec, at_work_max));
            thread.shared.tell(Request::Resize(tuning.room(&self.spec.settings, index))).await;
        }
        if self.is_alive() {
            for index in before.concurrency..tuning.concurrency {
                self.start_consumer(index);
            }
        }
    }

    /// Stops the consumers from this one on, and waits until each has drained, committed and left.
    async fn stop_surplus(&mut self, first: u16) {
        let is_surplus = |index: &u16| *index >= first;
        let surplus =
            |threads: &[Option<PollThread>]| threads.iter().skip(usize::from(first)).any(Option::is_some);
        for thread in self.threads.iter().skip(usize::from(first)).flatten() {
            thread.shared.control(Control::Stop);
        }
        while surplus(&self.threads) {
            let Some((index, exit)) = self.exited.recv().await else { return };
            if is_surplus(&index) {
                self.join(index).await;
            } else {
                self.consumer_ended(index, exit).await;
            }
        }
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        let control = if paused { Control::Pause } else { Control::Resume };
        for thread in self.threads.iter().flatten() {
            thread.shared.control(control);
        }
    }

    fn is_alive(&self) -> bool {
        self.threads.iter().any(Option::is_some) || !self.restarts.is_empty()
    }

    fn start_consumer(&mut self, index: u16) {
        let common = Common {
            changed: Arc::clone(&self.changed),
            paused: Arc::clone(&self.views.paused),
            gate: Arc::clone(&self.gate),
            tuning: self.tuning,
            positions: Arc::clone(&self.positions),
        };
        let shared = Arc::new(self.spec.consumer_shared(index, common));
        let mut client = self.spec.client.clone();
        client.set("client.id", client_id(&self.spec.settings, client.get("client.id"), index));
        if let Some(instance) = self.instance_id(index) {
            client.set("group.instance.id", instance);
        }
        let subscription = Subscription::of(&self.spec.settings, index, self.tuning.concurrency);
        let exits = self.exits.clone();
        let of_thread = Arc::clone(&shared);
        let log = self.spec.log.clone();
        let spawned =
            std::thread::Builder::new().name(format!("{}-poll-{index}", shared.listener)).spawn(move || {
                let _log = log.as_ref().map(tracing::dispatcher::set_default);
                let exit = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    poll(of_thread, &client, subscription)
                }));
                let exit = exit.unwrap_or_else(|payload| {
                    PollExit::Broken(format!(
                        "the poll thread panicked: {}",
                        crate::error::panic_text(payload.as_ref())
                    ))
                });
                // The channel holds one exit for each consumer, so this fails only if the container is gone.
                drop(exits.try_send((index, exit)));
            });
        match spawned {
            Ok(thread) => {
                if self.paused {
                    shared.control(Control::Pause);
                }
                let place = usize::from(index);
                if self.threads.len() <= place {
                    self.threads.resize_with(place + 1, || None);
                }
                self.retrying.retain(|lanes| Arc::strong_count(lanes) > 1);
                self.retrying.push(Arc::clone(&shared.lanes));
                self.threads[place] = Some(PollThread { shared, thread });
                self.publish_views();
            }
            Err(error) => {
                error!(%error, "could not start a poll thread");
                self.restarts.push((index, Instant::now() + Duration::from_secs(1)));
            }
        }
    }
}

impl Worker {
    /// A poll thread ended: start it again within the budget, else escalate.
    async fn consumer_ended(&mut self, index: u16, exit: PollExit) {
        self.join(index).await;
        if let PollExit::Stopped = exit {
            return;
        }
        let (reason, verdict) = if exit.is_final() {
            (self.fenced(index), Restart::GiveUp)
        } else {
            (exit.to_string(), self.budget.failed(Instant::now()))
        };
        match verdict {
            Restart::After(delay) => {
                warn!(consumer = index, reason, retry_in = ?delay, "consumer failed; it will be started again");
                self.tell_failure(index, &reason, Some(delay));
                self.restarts.push((index, Instant::now() + delay));
            }
            Restart::GiveUp => {
                let why = if exit.is_final() { "consumer replaced" } else { "consumer failed too often" };
                error!(consumer = index, reason, "{why}; the listener gives up");
                self.tell_failure(index, &reason, None);
                self.stop_all().await;
                self.enter(ListenerState::Failed(reason.clone()));
                self.spec.events.send(|| ListenerEventKind::Failed { reason: reason.clone() });
                if self.spec.settings.supervision.escalation == crate::config::model::Escalation::Exit {
                    let message = format!("listener `{}` failed: {reason}", self.spec.settings.id);
                    // A full channel means that the application is stopping for another listener already.
                    drop(self.escalate.try_send(message));
                }
            }
        }
    }

    /// Why a static member ends that another one has taken the place of.
    fn fenced(&self, index: u16) -> String {
        let instance = self.instance_id(index).unwrap_or_default();
        format!(
            "another member of group `{}` has started as group-instance-id `{instance}` and taken its place; each process needs an \
             id of its own",
            self.spec.settings.group_id()
        )
    }

    /// What makes a consumer a static member, if anything does. It keeps its name whatever the concurrency becomes: under another
    /// one it would be another member, and its partitions would wait for the one of before.
    fn instance_id(&self, index: u16) -> Option<String> {
        let consumer = &self.spec.settings.consumer;
        let instance = consumer.group_instance_id.as_deref()?;
        Some(match (consumer.concurrency, index) {
            (1, 0) => instance.to_owned(),
            _ => format!("{instance}-{}", index + 1),
        })
    }

    fn tell_failure(&self, consumer: u16, reason: &str, retry_in: Option<Duration>) {
        let reason = || reason.to_owned();
        self.spec.events.send(|| ListenerEventKind::ConsumerFailed { consumer, reason: reason(), retry_in });
    }

    fn restart_due(&mut self) {
        let now = Instant::now();
        let due: Vec<u16> =
            self.restarts.iter().filter(|(_, at)| *at <= now).map(|(index, _)| *index).collect();
        self.restarts.retain(|(_, at)| *at > now);
        for index in due {
            info!(consumer = index, "consumer starts again");
            self.start_consumer(index);
        }
    }

    /// Stops every consumer and waits until each has drained, committed and left. Returns how many partitions had a handler
    /// that did not return in time.
    async fn stop_all(&mut self) -> usize {
        self.restarts.clear();
        let mut left_behind = 0;
        if self.threads.iter().all(Option::is_none) {
            self.leave_state();
            return left_behind;
        }
        self.enter(ListenerState::Stopping);
        for thread in self.threads.iter().flatten() {
            thread.shared.control(Control::Stop);
        }
        while self.threads.iter().any(Option::is_some) {
            let Some((index, exit)) = self.exited.recv().await else { break };
            if let Some(thread) = self.threads.get(usize::from(index)).and_then(Option::as_ref) {
                left_behind += thread.shared.state.lanes_left_behind();
            }
            self.join(index).await;
            if !matches!(exit, PollExit::Stopped) {
                warn!(consumer = index, reason = %exit, "consumer failed while stopping");
            }
        }
        self.leave_state();
        left_behind
    }

    fn leave_state(&mut self) {
        if !matches!(*self.state.borrow(), ListenerState::Failed(_)) {
            self.enter(ListenerState::Stopped);
        }
    }

    /// Joins the thread of a consumer that has reported its end.
    async fn join(&mut self, index: u16) {
        let Some(thread) = self.threads.get_mut(usize::from(index)).and_then(Option::take) else { return };
        self.publish_views();
        // The thread has nothing left to do but to return; its panic, if any, came with its exit.
        drop(tokio::task::spawn_blocking(move || thread.thread.join()).await);
    }

    fn publish_views(&self) {
        let running = self.threads.iter().flatten().map(|thread| Arc::clone(&thread.shared)).collect();
        *self.views.consumers.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Derives the state from what the consumers show.
    fn publish(&self) {
        let next = if !self.restarts.is_empty() {
            ListenerState::BackingOff
        } else if self.threads.iter().all(Option::is_none) {
            return;
        } else {
            self.running_state()
        };
        self.enter(next);
    }

    /// Changes the state, and says so, if it is another one.
    fn enter(&self, next: ListenerState) {
        self.state.send_if_modified(|state| {
            if *state == next {
                return false;
            }
            info!(from = %state, to = %next, "listener state");
            let from = std::mem::replace(state, next.clone());
            self.spec.events.send(|| ListenerEventKind::StateChanged { from, to: next });
            true
        });
    }

    fn running_state(&self) -> ListenerState {
        let views: Vec<_> =
            self.threads.iter().flatten().map(|thread| thread.shared.view().clone()).collect();
        if views.iter().any(|view| view.phase == Phase::Draining) {
            return ListenerState::Stopping;
        }
        if views.iter().any(|view| view.phase == Phase::Joining) {
            return ListenerState::Starting;
        }
        if views.iter().all(|view| view.phase == Phase::Paused) {
            return ListenerState::Paused;
        }
        if self.gate.open_circuit().is_some() {
            return ListenerState::CircuitOpen;
        }
        if self.retrying.iter().any(|lanes| lanes.retrying.load(Ordering::Relaxed) > 0) {
            return ListenerState::Retrying;
        }
        ListenerState::Running
    }
}

/// Lets nobody wait for the answer of a poll thread that has ended, however it did.
struct CloseRequests(Arc<ConsumerShared>);

impl Drop for CloseRequests {
    fn drop(&mut self) {
        self.0.requests.close();
    }
}

/// The poll thread's whole life.
fn poll(shared: Arc<ConsumerShared>, client: &ClientConfig, subscription: Subscription) -> PollExit {
    let _closing = CloseRequests(Arc::clone(&shared));
    let consumer = match Consumer::new(client) {
        Ok(consumer) => consumer,
        Err(error) => return PollExit::Client(error),
    };
    let waker = consumer.waker();
    shared.settlements.set_waker(move || waker.wake());
    match subscription {
        Subscription::Group(topics) => {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            match consumer.subscribe(&topics) {
                Ok(()) => Poller::new(shared, consumer).run(),
                Err(error) => PollExit::Client(error),
            }
        }
        Subscription::ByHand(partitions) => Poller::new(shared, consumer).with_partitions(partitions).run(),
    }
}

/// `<prefix>-<n>`, as Spring names its consumers.
fn client_id(settings: &ListenerSettings, configured: Option<&str>, index: u16) -> String {
    let prefix = settings.consumer.client_id.as_deref().or(configured).unwrap_or(&settings.id);
    format!("{prefix}-{index}")
}
