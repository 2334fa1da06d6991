//! `Scheduler`: the bean that owns the jobs' tasks.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::cron::{CronPlan, WallClock};
use super::job::{Job, JobInfo, Runner};
use crate::config::model::{JobSettings, Trigger};
use crate::handler::Location;

/// A job to schedule.
pub(crate) struct JobSpec {
    pub(crate) settings: JobSettings,
    /// The parsed expression, if the trigger is cron.
    pub(crate) cron: Option<CronPlan>,
    pub(crate) at: Location,
    pub(crate) blocking: bool,
    pub(crate) job: Box<dyn Job>,
}

/// The application's jobs: look at them, or run one now.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::Scheduler;
///
/// #[kafka_listener(topic = "commands", group = "ops")]
/// async fn on_command(command: Payload<String>, jobs: Bean<Scheduler>) -> Result<()> {
///     jobs.trigger(&command.0).await?;
///     Ok(())
/// }
/// ```
pub struct Scheduler {
    jobs: Mutex<Vec<(Arc<Runner>, Option<CronPlan>)>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stopping: watch::Sender<bool>,
}

/// There is no job of that id.
#[derive(Debug)]
pub struct UnknownJob {
    id: String,
    known: Vec<String>,
}

impl fmt::Display for UnknownJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no job has the id `{}`; the ids are: {}", self.id, self.known.join(", "))
    }
}

impl std::error::Error for UnknownJob {}

impl Scheduler {
    pub(crate) fn new() -> Self {
        Self { jobs: Mutex::default(), tasks: Mutex::default(), stopping: watch::Sender::new(false) }
    }

    /// Takes the jobs in; they are planned after the beans, of which the scheduler is one.
    pub(crate) fn set_jobs(&self, specs: Vec<JobSpec>) {
        let jobs = specs.into_iter().map(|spec| {
            let runner = Runner::new(spec.settings, spec.at, spec.job, spec.blocking);
            (Arc::new(runner), spec.cron)
        });
        *self.lock_jobs() = jobs.collect();
    }

    /// Starts every enabled job.
    pub(crate) async fn start(&self) {
        let jobs = self.lock_jobs().clone();
        let uses_cron = jobs.iter().any(|(runner, cron)| runner.settings.enabled && cron.is_some());
        let clock = if uses_cron {
            match WallClock::start().await {
                Ok(clock) => Some(Arc::new(clock)),
                Err(error) => {
                    error!(%error, "the cron clock did not start; cron jobs will not run");
                    None
                }
            }
        } else {
            None
        };
        let mut tasks = Vec::new();
        for (runner, cron) in jobs.into_iter().filter(|(runner, _)| runner.settings.enabled) {
            let stopping = self.stopping.subscribe();
            let task = match (cron, &clock) {
                (Some(plan), Some(clock)) => tokio::spawn(by_cron(runner, plan, Arc::clone(clock), stopping)),
                (Some(_), None) => continue,
                (None, _) => tokio::spawn(by_interval(runner, stopping)),
            };
            tasks.push(task);
        }
        if let Some(clock) = clock {
            let mut stopping = self.stopping.subscribe();
            tasks.push(tokio::spawn(async move {
                // An error means that the scheduler is gone, which is a stop as well.
                drop(stopping.wait_for(|stopping| *stopping).await);
                clock.stop().await;
            }));
        }
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }

    /// Lets no further run start, and waits for those in hand until the deadline.
    pub(crate) async fn stop(&self, deadline: Instant) {
        self.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for mut task in tasks {
            if tokio::time::timeout_at(deadline.into(), &mut task).await.is_err() {
                warn!("a job did not end within the shutdown's budget; it is cut off");
                task.abort();
            }
        }
    }

    /// All jobs, in the order of their ids.
    pub fn list(&self) -> Vec<JobInfo> {
        self.lock_jobs().iter().map(|(runner, _)| runner.info()).collect()
    }

    /// One job.
    pub fn get(&self, id: &str) -> Result<JobInfo, UnknownJob> {
        self.find(id).map(|runner| runner.info())
    }

    /// Runs a job now, after the run in hand if there is one, and returns when it is over. Its schedule is unchanged.
    pub async fn trigger(&self, id: &str) -> Result<JobInfo, UnknownJob> {
        let runner = self.find(id)?;
        if !*self.stopping.borrow() {
            runner.run().await;
        }
        Ok(runner.info())
    }

    fn find(&self, id: &str) -> Result<Arc<Runner>, UnknownJob> {
        let jobs = self.lock_jobs();
        let found = jobs.iter().find(|(runner, _)| runner.settings.id == id);
        found.map(|(runner, _)| Arc::clone(runner)).ok_or_else(|| UnknownJob {
            id: id.to_owned(),
            known: jobs.iter().map(|(runner, _)| format!("`{}`", runner.settings.id)).collect(),
        })
    }

    fn lock_jobs(&self) -> std::sync::MutexGuard<'_, Vec<(Arc<Runner>, Option<CronPlan>)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock_jobs().iter().map(|(runner, _)| &runner.settings.id)).finish()
    }
}

/// Waits, unless the scheduler stops first; `false` if it did.
async fn wait(duration: Duration, stopping: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => false,
        () = tokio::time::sleep(duration) => true,
    }
}

/// Runs a job with a fixed delay, from end to start, or at a fixed rate, from start to start.
async fn by_interval(runner: Arc<Runner>, mut stopping: watch::Receiver<bool>) {
    let mut pause = runner.settings.initial_delay.get();
    while wait(pause, &mut stopping).await {
        let started = tokio::time::Instant::now();
        runner.run().await;
        pause = match &runner.settings.trigger {
            Trigger::FixedDelay(delay) => delay.get(),
            // A run that takes longer than the period delays the next one; missed runs are not made up for.
            Trigger::FixedRate(period) => period.get().saturating_sub(started.elapsed()),
            Trigger::Cron { .. } => return,
        };
    }
}

async fn by_cron(
    runner: Arc<Runner>,
    plan: CronPlan,
    clock: Arc<WallClock>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut after = Utc::now();
    loop {
        let Some(moment) = plan.next(after) else {
            info!(job = %runner.settings.id, "the cron expression has no further moment; the job is over");
            return;
        };
        let reached = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            reached = clock.until(moment) => reached,
        };
        if let Err(error) = reached {
            error!(job = %runner.settings.id, %error, "the cron clock failed; trying on");
            if !wait(Duration::from_secs(1), &mut stopping).await {
                return;
            }
            continue;
        }
        runner.run().await;
        // Moments that passed during a long run are not made up for.
        after = Utc::now().max(moment);
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
