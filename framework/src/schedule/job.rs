//! One job and its runs.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::{Counter, Histogram, counter, histogram};
use tracing::{debug, error};

use crate::config::model::JobSettings;
use crate::error::HandlerError;
use crate::handler::{HandlerResult, Location};
use crate::observe::{names, panics};

/// A scheduled function, as the attribute generated it.
pub trait Job: Send + Sync {
    /// Runs the function once.
    fn run(&self) -> BoxFuture<'static, HandlerResult>;
}

/// Makes the job of a function whose arguments are resolved.
#[doc(hidden)]
pub fn job_handler<F, Fut>(call: F) -> Box<dyn Job>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Box::new(FunctionJob { call })
}

struct FunctionJob<F> {
    call: F,
}

impl<F, Fut> Job for FunctionJob<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    fn run(&self) -> BoxFuture<'static, HandlerResult> {
        Box::pin((self.call)())
    }
}

/// What is known of one job at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobInfo {
    /// The job's effective settings.
    pub settings: JobSettings,
    /// Where its function stands.
    pub at: Location,
    /// How often it ran to its end, well or not.
    pub runs: u64,
    /// How many of those runs failed or panicked.
    pub failures: u64,
    /// When the last run started.
    pub last_started: Option<SystemTime>,
    /// How long the last finished run took.
    pub last_took: Option<Duration>,
    /// The error of the last finished run, if it failed.
    pub last_error: Option<String>,
}

/// Runs a job, and remembers how that went.
pub(super) struct Runner {
    pub(super) settings: JobSettings,
    pub(super) at: Location,
    job: Box<dyn Job>,
    blocking: bool,
    /// Held while the job runs, so that it never overlaps itself.
    running: tokio::sync::Mutex<()>,
    history: Mutex<History>,
    runs: Counter,
    failures: Counter,
    seconds: Histogram,
}

#[derive(Default)]
struct History {
    runs: u64,
    failures: u64,
    last_started: Option<SystemTime>,
    last_took: Option<Duration>,
    last_error: Option<String>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Runner {
    pub(super) fn new(settings: JobSettings, at: Location, job: Box<dyn Job>, blocking: bool) -> Self {
        let id = settings.id.clone();
        Self {
            at,
            job,
            blocking,
            running: tokio::sync::Mutex::new(()),
            history: Mutex::default(),
            runs: counter!(names::JOB_RUNS, names::LABEL_JOB => id.clone()),
            failures: counter!(names::JOB_FAILURES, names::LABEL_JOB => id.clone()),
            seconds: histogram!(names::JOB_SECONDS, names::LABEL_JOB => id),
            settings,
        }
    }

    /// Runs the job once, after the run in hand if there is one.
    pub(super) async fn run(&self) {
        let not_twice = self.running.lock().await;
        #[cfg(feature = "seeded-bugs")]
        let not_twice = Some(not_twice).filter(|_| !self.seeded_bug_overlaps());
        let started = Instant::now();
        self.history().last_started = Some(SystemTime::now());
        debug!(job = %self.settings.id, "run starts");
        let result = self.attempt().await;
        let took = started.elapsed();
        self.runs.increment(1);
        self.seconds.record(took);
        let mut history = self.history();
        history.runs += 1;
        history.last_took = Some(took);
        history.last_error = result.as_ref().err().map(HandlerError::chain);
        if let Err(error) = result {
            history.failures += 1;
            drop(history);
            self.failures.increment(1);
            error!(job = %self.settings.id, at = %self.at, error = %error.chain(), ?took, "run failed; the schedule goes on");
        } else {
            drop(history);
        }
        drop(not_twice);
    }

    /// Whether it may run beside itself, as the seeded bug wants.
    #[cfg(feature = "seeded-bugs")]
    fn seeded_bug_overlaps(&self) -> bool {
        crate::seeded::is(crate::seeded::Bug::JobOverlapsAfterPanic) && self.history().failures > 0
    }

    async fn attempt(&self) -> HandlerResult {
        let begun = panics::caught_blocking(|| {
            std::panic::catch_unwind(AssertUnwindSafe(|| self.job.run()))
                .map_err(|payload| HandlerError::from_panic(payload.as_ref()))
        });
        let future = panics::caught(ended(begun?));
        if self.blocking {
            let runtime = tokio::runtime::Handle::current();
            match tokio::task::spawn_blocking(move || runtime.block_on(future)).await {
                Ok(outcome) => outcome,
                Err(error) => Err(HandlerError::from(error)),
            }
        } else {
            future.await
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn info(&self) -> JobInfo {
        let history = self.history();
        JobInfo {
            settings: self.settings.clone(),
            at: self.at,
            runs: history.runs,
            failures: history.failures,
            last_started: history.last_started,
            last_took: history.last_took,
            last_error: history.last_error.clone(),
        }
    }
}

/// Runs a job's function to its end; a panic is an error like any other.
async fn ended(run: BoxFuture<'static, HandlerResult>) -> HandlerResult {
    let outcome = AssertUnwindSafe(run).catch_unwind().await;
    outcome.unwrap_or_else(|payload| Err(HandlerError::from_panic(payload.as_ref())))
}
