//! What one test owns: its runtime, its log, its application, and, on a shared broker, its turn.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tracing::Dispatch;
use tracing::dispatcher::{self, DefaultGuard};

use crate::app::{Clients, Ended, Parts, RunningApp, Seams};
use crate::beans::Admin;
use crate::config::Settings;
use crate::config::model::BootstrapServers;
use crate::error::{StartError, StartErrorKind};
use crate::listener::ListenerState;
use crate::observe;
use crate::test::builder::TestAppBuilder;
use crate::test::log::TestLog;
use crate::test::offsets::{self, Starts};
use crate::test::real_broker::{self, Turn};
use crate::test::settled;

const SERVERS_KEY: &str = "kafka.bootstrap-servers";
const SERVERS_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";
/// How long start and stop may take where a test's own waits are to be shorter.
const START_MIN: Duration = Duration::from_secs(10);
/// The application's own threads; a test does little at once.
const WORKERS: usize = 2;
/// How long what a handler left on the runtime may hold up the end of a test.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How long the report of a failed test may take to look up what is open.
const LOOK_UP: Duration = Duration::from_secs(2);
/// How long a test may wait for its turn on a shared broker.
const TURN_LIMIT: Duration = Duration::from_mins(10);

thread_local! {
    /// The subscriber of a runtime's thread, for as long as the thread lives.
    static SUBSCRIBER: std::cell::RefCell<Option<DefaultGuard>> = const { std::cell::RefCell::new(None) };
}

/// One test's belongings.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) builder: TestAppBuilder,
    /// What the kit sets in the configuration.
    properties: Vec<(String, String)>,
    /// The addresses of a broker that others use, too.
    shared_servers: Option<String>,
    pub(super) group_suffix: String,
    log: TestLog,
    subscriber: Dispatch,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    state: Mutex<State>,
    pub(super) starts: Mutex<Option<Arc<Starts>>>,
    failure: Arc<Mutex<Option<String>>>,
    failure_is_expected: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    running: Option<RunningApp>,
    /// Of the application that runs, or ran last.
    parts: Option<Parts>,
    turn: Option<Turn>,
    is_finished: bool,
}

impl Session {
    pub(super) fn new(builder: TestAppBuilder) -> Result<Self, StartError> {
        let servers = builder.own_property(SERVERS_KEY).or_else(|| builder.own_variable(SERVERS_VARIABLE));
        let shared_servers =
            servers.filter(|servers| *servers != BootstrapServers::EMBEDDED).map(str::to_owned);
        let servers = shared_servers.clone().unwrap_or_else(|| BootstrapServers::EMBEDDED.to_owned());
        let timeout = format!("{}ms", builder.timeout.max(START_MIN).as_millis());
        let mut properties = vec![
            (SERVERS_KEY.to_owned(), servers.clone()),
            // A broker of its own, whatever a developer's has.
            ("kafka.embedded.port".to_owned(), "0".to_owned()),
            ("kafka.embedded.data-directory".to_owned(), String::new()),
            ("lifecycle.startup-timeout".to_owned(), timeout.clone()),
            ("lifecycle.shutdown-timeout".to_owned(), timeout),
        ];
        let settings = Settings::load(builder.load_options(&properties))?;
        // A test reaches no cluster but its own.
        let clusters = settings.kafka().clusters.keys();
        properties.extend(
            clusters.map(|name| (format!("kafka.clusters.{name}.bootstrap-servers"), servers.clone())),
        );

        let log = TestLog::default();
        let subscriber = observe::capturing(settings.logging(), log.clone());
        let of_thread = subscriber.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .thread_name(format!("{}-app", builder.name))
            .on_thread_start(move || {
                let guard = dispatcher::set_default(&of_thread);
                SUBSCRIBER.with_borrow_mut(|subscriber| *subscriber = Some(guard));
            })
            .on_thread_stop(|| SUBSCRIBER.with_borrow_mut(|subscriber| drop(subscriber.take())))
            .build()
            .map_err(|error| {
                StartError::new(StartErrorKind::Other, "the test's runtime did not start").with_source(error)
            })?;
        let group_suffix = if shared_servers.is_some() { real_broker::group_suffix() } else { String::new() };
        Ok(Self {
            builder,
            properties,
            shared_servers,
            group_suffix,
            log,
            subscriber,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            state: Mutex::default(),
            starts: Mutex::default(),
            failure: Arc::default(),
            failure_is_expected: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the test's partitions began.
    pub(super) fn starts(&self) -> Arc<Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Waits until no other test uses the broker, if it is shared.
    pub(super) async fn take_turn(&self) -> Result<(), StartError> {
        let Some(servers) = self.shared_servers.clone() else { return Ok(()) };
        let turn = self.handle.spawn_blocking(move || real_broker::take_turn(&servers, TURN_LIMIT)).await;
        let turn =
            turn.map_err(|error| StartError::new(StartErrorKind::Other, "no turn").with_source(error))??;
        self.state().turn = Some(turn);
        Ok(())
    }

    /// Starts the application, and returns when each of its listeners is ready.
    pub(super) async fn start(self: &Arc<Self>) -> Result<Parts, StartError> {
        let session = Arc::clone(self);
        let started = self.handle.spawn(async move { session.start_here().await }).await;
        started.map_err(|error| {
            StartError::new(StartErrorKind::Other, "a panic ended the start").with_source(error)
        })?
    }

    async fn start_here(self: Arc<Self>) -> Result<Parts, StartError> {
        let kept = self.state().parts.as_ref().and_then(|parts| parts.embedded.clone());
        let session = Arc::clone(&self);
        let seams = Seams {
            log: Some(self.subscriber.clone()),
            replaced: self.builder.beans.clone(),
            group_suffix: self.group_suffix.clone(),
            idle_jobs: !self.builder.scheduling,
            is_part: true,
            embedded: kept,
            prepare: Some(Box::new(move |prepared| {
                Box::pin(async move {
                    // A second start goes on where the first one was.
                    let is_first = session.starts.lock().unwrap_or_else(PoisonError::into_inner).is_none();
                    let is_shared = session.shared_servers.is_some() && is_first;
                    let starts = {
                        let builder = &session.builder;
                        offsets::prepare(&prepared, &builder.topics, is_shared, builder.timeout).await?
                    };
                    let mut known = session.starts.lock().unwrap_or_else(PoisonError::into_inner);
                    known.get_or_insert_with(|| Arc::new(starts));
                    Ok(())
                })
            })),
        };
        let options = self.builder.load_options(&self.properties);
        let mut running = self.builder.app(options).seams(seams).start().await?;
        let mut failures = running.take_failures();
        let failure = Arc::clone(&self.failure);
        // It ends with the containers, which hold the other end.
        tokio::spawn(async move {
            while let Some(reason) = failures.recv().await {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            }
        });
        let parts = running.parts();
        {
            let mut state = self.state();
            state.parts = Some(parts.clone());
            state.running = Some(running);
        }
        self.refuse_unready(&parts)?;
        Ok(parts)
    }

    fn refuse_unready(&self, parts: &Parts) -> Result<(), StartError> {
        let listeners = parts.listeners.list().into_iter();
        let waiting: Vec<String> = listeners
            .filter(|listener| listener.state == ListenerState::Starting)
            .filter(|listener| !parts.listeners.is_unmatched(&listener.id))
            .map(|listener| format!("`{}`", listener.id))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let timeout = self.builder.timeout.max(START_MIN);
        let message = format!("no assignment within {timeout:?} for the listeners {}", waiting.join(", "));
        Err(StartError::new(StartErrorKind::Kafka, message))
    }

    /// Stops the application; its broker, its log and its groups stay.
    pub(super) async fn stop(&self) -> Option<String> {
        let running = self.state().running.take()?;
        let stopped = self.handle.spawn(running.stop()).await;
        match stopped {
            Ok(Ended::Clean) => None,
            Ok(Ended::Failed(reason)) => Some(reason),
            Err(error) => Some(error.to_string()),
        }
    }

    /// What keeps the application from going on.
    pub(super) fn failure(&self) -> Option<String> {
        let escalated = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        escalated.or_else(|| self.state().parts.as_ref().and_then(settled::failed_listener))
    }

    pub(super) fn expect_failure(&self) {
        self.failure_is_expected.store(true, Ordering::Release);
    }

    /// Runs a future on the calling thread, whose log is the test's meanwhile.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _log = dispatcher::set_default(&self.subscriber);
        self.handle.block_on(future)
    }

    /// Runs a future on the test's own runtime, so that it needs nothing of the caller's.
    pub(super) async fn spawned<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.handle.spawn(future).await.ok()
    }

    /// Runs what blocks, on a thread for that.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.handle.spawn_blocking(work).await.ok()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        let sleep = {
            let _runtime = self.handle.enter();
            tokio::time::sleep(duration)
        };
        sleep.await;
    }

    /// A future, with a limit; `None` if that came first.
    pub(super) async fn limited<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let limited = {
            let _runtime = self.handle.enter();
            tokio::time::timeout(limit, future)
        };
        limited.await.ok()
    }

    /// What a client needs that only looks.
    pub(super) fn reader_config(&self, cluster: &str) -> Option<kafka_boot_client::ClientConfig> {
        let parts = self.state().parts.clone()?;
        let clients = Clients::new(Arc::clone(&parts.settings), parts.embedded.as_deref());
        let cluster = Some(cluster).filter(|cluster| !cluster.is_empty());
        Some(clients.reader(cluster, &format!("kafka-boot-test-reader{}", self.group_suffix)))
    }

    /// Ends the test: stops everything, and shows log and state if it failed. Returns what is wrong with a test that did
    /// not fail otherwise.
    pub(super) fn finish(&self, is_failed: bool) -> Option<String> {
        {
            let mut state = self.state();
            if state.is_finished {
                return None;
            }
            state.is_finished = true;
        }
        // The caller may be inside a runtime, where nothing may block.
        let ended = std::thread::scope(|scope| scope.spawn(|| self.finish_here(is_failed)).join());
        let (unclean, shown) =
            ended.unwrap_or_else(|_| (Some("the end of the test panicked".to_owned()), String::new()));
        if !shown.is_empty() {
            // The test's thread, whose output the test runner shows when the test fails.
            eprint!("{shown}");
        }
        unclean
    }

    fn finish_here(&self, is_failed: bool) -> (Option<String>, String) {
        let _log = dispatcher::set_default(&self.subscriber);
        let failure = self.failure().filter(|_| !self.failure_is_expected.load(Ordering::Acquire));
        let state = self.state_text();
        let stopped = self.handle.block_on(self.stop());
        let unclean = failure
            .map(|reason| format!("the application failed during the test: {reason}"))
            .or_else(|| stopped.map(|reason| format!("the application did not stop cleanly: {reason}")));
        self.clean_up();
        let is_shown = is_failed || unclean.is_some() || self.builder.show_log;
        (unclean, if is_shown { self.shown(&state) } else { String::new() })
    }

    /// Leaves nothing behind: the groups of a shared broker, the embedded broker, the runtime.
    fn clean_up(&self) {
        let parts = self.state().parts.take();
        if let Some(parts) = parts.filter(|_| self.shared_servers.is_some()) {
            for listener in parts.listeners.list() {
                let cluster = listener.settings.cluster.clone().unwrap_or_default();
                let Ok(admin) = parts.beans.named::<Admin>(&cluster) else { continue };
                let group = listener.settings.group_id().to_owned();
                // What cannot be deleted expires: the broker forgets groups without members.
                drop(self.handle.block_on(admin.delete_groups(&[&group])));
            }
        }
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(LEFT_BEHIND);
        }
        self.state().turn = None;
    }

    /// Log and state, for an error.
    pub(super) fn report(&self) -> String {
        self.shown(&self.state_text())
    }

    fn shown(&self, state: &str) -> String {
        let name = &self.builder.name;
        let log = self.log.text();
        let log = if log.is_empty() { "(nothing)\n".to_owned() } else { log };
        format!(
            "---- log of the application under test `{name}` ----\n{log}---- its state at the end of the test ----\n{state}----\n"
        )
    }

    fn state_text(&self) -> String {
        let Some(parts) = self.state().parts.clone() else { return "not started\n".to_owned() };
        let mut text = format!("health: {}\n", parts.health.report());
        for listener in parts.listeners.list() {
            let assigned: Vec<String> =
                listener.assigned.iter().map(|list| format!("[{}]", list.join(", "))).collect();
            let (id, state, group) = (&listener.id, &listener.state, listener.settings.group_id());
            let topics = listener.settings.topics.iter().chain(&listener.settings.topic_pattern);
            let topics = topics.map(String::as_str).collect::<Vec<_>>().join(", ");
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "listener `{id}`: {state}; topics {topics}; group `{group}`; consumers {}",
                assigned.join(" ")
            );
        }
        for job in parts.scheduler.list() {
            let _ = writeln!(text, "job `{}`: {} runs, {} failed", job.settings.id, job.runs, job.failures);
        }
        text.push_str(&self.open_text(&parts));
        text
    }

    fn open_text(&self, parts: &Parts) -> String {
        if self.state().running.is_none() {
            return "stopped\n".to_owned();
        }
        let (parts, starts) = (parts.clone(), self.starts());
        let look_up = self
            .handle
            .spawn(async move { tokio::time::timeout(LOOK_UP, settled::open(&parts, &starts)).await });
        let on_own_thread = std::thread::scope(|scope| scope.spawn(|| self.handle.block_on(look_up)).join());
        match on_own_thread {
            Ok(Ok(Ok(Ok(open)))) if open.is_empty() => "settled: nothing is open\n".to_owned(),
            Ok(Ok(Ok(Ok(open)))) => open.iter().fold(String::new(), |mut text, partition| {
                let _ = writeln!(text, "open: {partition}");
                text
            }),
            _ => "what is open could not be looked up\n".to_owned(),
        }
    }
}
