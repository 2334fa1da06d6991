//! Health and readiness: the truth about the listeners, never better than it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::listener::{ListenerInfo, ListenerRegistry, ListenerState};

/// How often the log is told of a change of health.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// How many listeners a report shows when it is written as text.
const SHOWN_MAX: usize = 10;

/// Whether the application does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    /// Every listener that should run does.
    Up,
    /// Not working by intent: starting, or shutting down.
    OutOfService,
    /// A listener failed, waits to be started again, cannot reach a broker, has a record that is stuck, one that the topic of
    /// its dead letters does not take, or an open circuit.
    Down,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "UP",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Down => "DOWN",
        })
    }
}

/// One listener's part in the health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerHealth {
    /// The listener's id.
    pub id: String,
    /// Its own status.
    pub status: HealthStatus,
    /// Why it is not `UP`, or what is noteworthy although it is.
    pub detail: Option<String>,
}

/// The health at one moment. As text it names the listeners of which there is something to tell, the worst first, and at
/// most ten of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// The worst of its parts.
    pub status: HealthStatus,
    /// The listeners, in the order of their ids.
    pub listeners: Vec<ListenerHealth>,
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let mut told: Vec<&ListenerHealth> =
            self.listeners.iter().filter(|listener| listener.detail.is_some()).collect();
        // The worst first, each kind in the order of the ids.
        told.sort_by_key(|listener| std::cmp::Reverse(listener.status));
        for listener in told.iter().take(SHOWN_MAX) {
            let detail = listener.detail.as_deref().unwrap_or_default();
            write!(f, "; `{}` {}: {detail}", listener.id, listener.status)?;
        }
        match told.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The application's health, as a bean.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::Health;
///
/// #[scheduled(fixed_rate = "10s")]
/// async fn heartbeat(health: Bean<Health>) -> Result<()> {
///     info!(health = %health.report(), ready = health.is_ready(), "heartbeat");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Health {
    listeners: Arc<ListenerRegistry>,
    phase: AtomicU8,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Health {
    pub(crate) fn new(listeners: Arc<ListenerRegistry>) -> Self {
        Self { listeners, phase: AtomicU8::new(STARTING) }
    }

    pub(crate) fn set_ready(&self) {
        self.phase.store(READY, Ordering::Release);
    }

    pub(crate) fn set_stopping(&self) {
        self.phase.store(STOPPING, Ordering::Release);
    }

    /// Whether the application takes work: it is once every listener has had its first assignment, and is no more once
    /// the shutdown has begun.
    pub fn is_ready(&self) -> bool {
        let waits = |listener: &ListenerInfo| listener.state == ListenerState::Starting;
        self.phase.load(Ordering::Acquire) == READY && !self.listeners.list().iter().any(waits)
    }

    /// The health now.
    pub fn report(&self) -> HealthReport {
        let listeners: Vec<ListenerHealth> = self.listeners.list().iter().map(of_listener).collect();
        let phase = match self.phase.load(Ordering::Acquire) {
            READY => HealthStatus::Up,
            _ => HealthStatus::OutOfService,
        };
        let status = listeners.iter().map(|listener| listener.status).fold(phase, Ord::max);
        HealthReport { status, listeners }
    }
}

fn of_listener(info: &ListenerInfo) -> ListenerHealth {
    let idle = info.assigned.iter().filter(|partitions| partitions.is_empty()).count();
    let (status, detail) = match &info.state {
        ListenerState::Failed(reason) => (HealthStatus::Down, Some(format!("failed: {reason}"))),
        ListenerState::BackingOff => {
            (HealthStatus::Down, Some("a consumer failed and waits to be started again".to_owned()))
        }
        _ if let Some(outage) = info.disconnected_for => {
            (HealthStatus::Down, Some(format!("no broker can be reached for {} s", outage.as_secs())))
        }
        _ if info.commit_overdue => (HealthStatus::Down, Some("no commit is confirmed for 10 s".to_owned())),
        ListenerState::Running | ListenerState::Retrying if let Some(first) = info.waiting.first() => {
            (HealthStatus::Down, Some(with_others(first, info.waiting.len())))
        }
        ListenerState::Running | ListenerState::Retrying if let Some(first) = info.stuck.first() => {
            (HealthStatus::Down, Some(with_others(first, info.stuck.len())))
        }
        ListenerState::CircuitOpen => {
            let circuit = info.open_circuit.as_ref();
            (HealthStatus::Down, Some(circuit.map_or_else(|| "circuit open".to_owned(), ToString::to_string)))
        }
        ListenerState::Starting => {
            (HealthStatus::OutOfService, Some("waiting for its first assignment".to_owned()))
        }
        ListenerState::Stopping => (HealthStatus::OutOfService, Some("stopping".to_owned())),
        // Stopped by hand, or never started, as `auto-startup: false` says: that is as intended.
        ListenerState::Stopped => (HealthStatus::Up, Some("stopped".to_owned())),
        ListenerState::Paused => (HealthStatus::Up, Some("paused".to_owned())),
        ListenerState::Retrying => (HealthStatus::Up, Some("a record waits for another attempt".to_owned())),
        ListenerState::Running if idle > 0 => {
            let all = info.assigned.len();
            (
                HealthStatus::Up,
                Some(format!("{idle} of {all} consumers idle: more consumers than partitions")),
            )
        }
        ListenerState::Running => (HealthStatus::Up, None),
    };
    ListenerHealth { id: info.id.clone(), status, detail }
}

/// The first of so many, and how many others there are.
fn with_others(first: &impl fmt::Display, count: usize) -> String {
    match count - 1 {
        0 => first.to_string(),
        others => format!("{first}, and {others} more"),
    }
}

/// Logs each change of health until told to stop.
pub(crate) async fn watch_health(health: Arc<Health>, mut stopping: watch::Receiver<bool>) {
    let mut known = HealthStatus::OutOfService;
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
        }
        let report = health.report();
        if report.status == known {
            continue;
        }
        if report.status == HealthStatus::Down {
            warn!(health = %report, was = %known, "health changed");
        } else {
            info!(health = %report, was = %known, "health changed");
        }
        known = report.status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_as_text_shows_the_worst_first_and_stays_short() {
        let listener = |number: usize| ListenerHealth {
            id: format!("l{number}"),
            status: if number == 17 { HealthStatus::Down } else { HealthStatus::Up },
            detail: (number != 3).then(|| "paused".to_owned()),
        };
        let mut report = HealthReport {
            status: HealthStatus::Down,
            listeners: (0..3).chain([17]).map(listener).collect(),
        };
        assert_eq!(
            report.to_string(),
            "DOWN; `l17` DOWN: paused; `l0` UP: paused; `l1` UP: paused; `l2` UP: paused"
        );
        report.listeners = (0..1_000).map(listener).collect();
        let text = report.to_string();
        assert!(
            text.starts_with("DOWN; `l17` DOWN: paused; `l0`") && text.ends_with("; and 989 more"),
            "{text}"
        );
    }
}
