//! A running application, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::app::embedded::Embedded;
use crate::app::signals::Signals;
use crate::beans::{Beans, KafkaTemplate};
use crate::config::Settings;
use crate::listener::ListenerRegistry;
use crate::manage::Health;
use crate::schedule::Scheduler;

/// The parts of a running application, shared with it.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Arc<Settings>,
    pub(crate) beans: Arc<Beans>,
    pub(crate) listeners: Arc<ListenerRegistry>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) health: Arc<Health>,
    pub(crate) embedded: Option<Arc<Embedded>>,
}

/// How an application ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and everything in hand was finished.
    Clean,
    /// Why not.
    Failed(String),
}

/// An application that was started.
#[derive(Debug)]
#[must_use = "dropping a running application leaves its listeners without an owner; call `run` or `stop`"]
pub struct RunningApp {
    pub(super) settings: Arc<Settings>,
    pub(super) beans: Arc<Beans>,
    pub(super) listeners: Arc<ListenerRegistry>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) health: Arc<Health>,
    pub(super) templates: Vec<Arc<KafkaTemplate>>,
    pub(super) failures: mpsc::Receiver<String>,
    pub(super) health_task: JoinHandle<()>,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) signals: Option<Arc<Signals>>,
    /// Held for its drop, which comes after everything that talks to it.
    pub(super) embedded: Option<Arc<Embedded>>,
}

impl RunningApp {
    /// The beans.
    pub fn beans(&self) -> &Beans {
        &self.beans
    }

    /// The configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The health.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The listeners.
    pub fn listeners(&self) -> &ListenerRegistry {
        &self.listeners
    }

    /// The bootstrap servers of the embedded broker, if it runs.
    pub fn embedded_bootstrap_servers(&self) -> Option<&str> {
        self.embedded.as_deref().map(Embedded::bootstrap_servers)
    }

    pub(crate) fn parts(&self) -> Parts {
        Parts {
            settings: Arc::clone(&self.settings),
            beans: Arc::clone(&self.beans),
            listeners: Arc::clone(&self.listeners),
            scheduler: Arc::clone(&self.scheduler),
            health: Arc::clone(&self.health),
            embedded: self.embedded.clone(),
        }
    }

    /// Where failures that escalate are told; whoever takes it decides what follows them.
    pub(crate) fn take_failures(&mut self) -> mpsc::Receiver<String> {
        let (_, nobody) = mpsc::channel(1);
        std::mem::replace(&mut self.failures, nobody)
    }

    /// Runs until SIGTERM, SIGINT or a failure that escalates, then shuts down. A second signal exits at once.
    pub async fn run(mut self) -> Ended {
        let signals = self.signals.take().unwrap_or_else(|| Arc::new(Signals::listen()));
        let failure = tokio::select! {
            () = signals.first() => None,
            failure = first_failure(&mut self.failures) => Some(failure),
        };
        if let Some(reason) = &failure {
            error!(reason, "shutting down because of a failure");
        }
        let stopped = self.stop().await;
        match failure {
            Some(reason) => Ended::Failed(reason),
            None => stopped,
        }
    }

    /// Shuts down in order, within `lifecycle.shutdown-timeout`: readiness off, jobs stop, listeners finish what is in
    /// hand, commit and leave their groups, templates flush.
    pub async fn stop(self) -> Ended {
        let started = Instant::now();
        let budget = self.settings.lifecycle().shutdown_timeout.get();
        let deadline = started + budget;
        self.health.set_stopping();
        self.scheduler.stop(deadline).await;

        let containers = self.listeners.containers();
        let stops = containers.iter().map(|container| container.stop());
        let listeners = futures_util::future::join_all(stops);
        let stopped = tokio::time::timeout_at(deadline.into(), listeners).await;
        let mut late = stopped.is_err();
        let left_behind: usize = stopped.unwrap_or_default().into_iter().sum();
        if late {
            error!(
                ?budget,
                "listeners did not stop within the shutdown's budget; what is in hand is not committed"
            );
        } else if left_behind > 0 {
            error!(
                partitions = left_behind,
                "handlers did not return within `drain-timeout`; their records are not committed, and will be handled again"
            );
        }

        for template in &self.templates {
            let remaining =
                deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
            if let Err(error) = template.flush(remaining).await {
                warn!(%error, "records were not confirmed before the shutdown's budget was over");
                late = true;
            }
        }
        for container in containers {
            container.shut_down().await;
        }
        self.listeners.event_bus().close();
        self.stopping.send_replace(true);
        if let Err(error) = self.health_task.await {
            warn!(%error, "the health watch ended badly");
        }
        info!(took = ?started.elapsed(), clean = !late && left_behind == 0, "stopped");
        match (late, left_behind) {
            (true, _) => Ended::Failed("the shutdown took longer than its budget".to_owned()),
            (false, 0) => Ended::Clean,
            (false, partitions) => Ended::Failed(format!(
                "handlers of {partitions} partitions did not return within `drain-timeout`; their records will be handled again"
            )),
        }
    }
}

/// Waits for a failure that escalates. Without a listener nobody could tell of one, and that ends nothing.
async fn first_failure(failures: &mut mpsc::Receiver<String>) -> String {
    match failures.recv().await {
        Some(reason) => reason,
        None => std::future::pending().await,
    }
}
