//! `ListenerRegistry`: the bean through which listeners are looked at and controlled.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::consumer_state::StuckRecord;
use super::container::{Container, ListenerState};
use super::events::{EventBus, ListenerEvents};
use crate::config::model::ListenerSettings;
use crate::handler::Location;

/// The application's listeners, by id: look at them, start, stop, pause and resume them.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::ListenerRegistry;
///
/// #[scheduled(cron = "0 0 2 * * *")]
/// async fn quiet_night(listeners: Bean<ListenerRegistry>) -> Result<()> {
///     listeners.pause("consume").await?;
///     Ok(())
/// }
/// ```
#[derive(Default)]
pub struct ListenerRegistry {
    /// Set once: handlers may hold the registry, so it exists before they do.
    containers: OnceLock<Vec<Arc<Container>>>,
    events: EventBus,
}

/// What is known of one listener at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// The listener's id.
    pub id: String,
    /// What it is doing.
    pub state: ListenerState,
    /// Where its function stands.
    pub at: Location,
    /// Its effective settings.
    pub settings: ListenerSettings,
    /// For each of its consumers, the partitions assigned to it as `topic-partition`. A consumer without any is idle.
    pub assigned: Vec<Vec<String>>,
    /// For how long no broker has been reachable, if none is.
    pub disconnected_for: Option<Duration>,
    /// Whether a commit has been unanswered for 10 s.
    pub commit_overdue: bool,
    /// Records that hold up their partitions for longer than `stuck-after`.
    pub stuck: Vec<StuckRecord>,
}

/// There is no listener of that id.
#[derive(Debug)]
pub struct UnknownListener {
    id: String,
    known: Vec<String>,
}

impl fmt::Display for UnknownListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no listener has the id `{}`; the ids are: {}", self.id, self.known.join(", "))
    }
}

impl std::error::Error for UnknownListener {}

impl ListenerRegistry {
    pub(crate) fn set_containers(&self, containers: Vec<Arc<Container>>) {
        let first = self.containers.set(containers).is_ok();
        debug_assert!(first, "registry: filled once");
    }

    pub(crate) fn event_bus(&self) -> &EventBus {
        &self.events
    }

    pub(crate) fn containers(&self) -> &[Arc<Container>] {
        self.containers.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn assigned_topics(&self, id: &str) -> Vec<Arc<str>> {
        let Ok(container) = self.find(id) else { return Vec::new() };
        let mut topics: Vec<Arc<str>> =
            container.view().assigned.into_iter().flatten().map(|partition| partition.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Whether the listener of this id can have no assignment yet, because no topic matches its pattern.
    pub(crate) fn is_unmatched(&self, id: &str) -> bool {
        self.find(id).is_ok_and(|container| container.is_unmatched())
    }

    /// All listeners, in the order of their ids.
    pub fn list(&self) -> Vec<ListenerInfo> {
        self.containers().iter().map(|container| info(container)).collect()
    }

    /// One listener.
    pub fn get(&self, id: &str) -> Result<ListenerInfo, UnknownListener> {
        self.find(id).map(|container| info(container))
    }

    /// Starts a listener that is stopped or failed; else does nothing.
    pub async fn start(&self, id: &str) -> Result<(), UnknownListener> {
        self.find(id)?.start().await;
        Ok(())
    }

    /// Stops a listener: the records in hand are finished and committed, then it leaves its group. Returns when that
    /// is done, which takes at most its drain, commit and close timeouts together.
    pub async fn stop(&self, id: &str) -> Result<(), UnknownListener> {
        self.find(id)?.stop().await;
        Ok(())
    }

    /// Pauses a listener: it takes no more records and stays a member of its group, also across a rebalance.
    pub async fn pause(&self, id: &str) -> Result<(), UnknownListener> {
        self.find(id)?.pause().await;
        Ok(())
    }

    /// Resumes a paused listener.
    pub async fn resume(&self, id: &str) -> Result<(), UnknownListener> {
        self.find(id)?.resume().await;
        Ok(())
    }

    /// Watches a listener's state.
    pub fn watch(&self, id: &str) -> Result<watch::Receiver<ListenerState>, UnknownListener> {
        Ok(self.find(id)?.state.clone())
    }

    /// The events of all listeners, from now on. A bean or a job may ask for them before any listener has started.
    pub fn events(&self) -> ListenerEvents {
        self.events.receive(None)
    }

    /// The events of one listener, from now on.
    pub fn events_of(&self, id: &str) -> Result<ListenerEvents, UnknownListener> {
        self.find(id)?;
        Ok(self.events.receive(Some(id)))
    }

    fn find(&self, id: &str) -> Result<&Arc<Container>, UnknownListener> {
        self.containers().iter().find(|container| container.spec.settings.id == id).ok_or_else(|| {
            UnknownListener {
                id: id.to_owned(),
                known: self
                    .containers()
                    .iter()
                    .map(|container| format!("`{}`", container.spec.settings.id))
                    .collect(),
            }
        })
    }
}

impl fmt::Debug for ListenerRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self
            .containers()
            .iter()
            .map(|container| (&container.spec.settings.id, container.state.borrow().clone()));
        f.debug_map().entries(states).finish()
    }
}

fn info(container: &Container) -> ListenerInfo {
    let view = container.view();
    let spec = &container.spec;
    ListenerInfo {
        id: spec.settings.id.clone(),
        state: container.state.borrow().clone(),
        at: spec.at,
        settings: spec.settings.clone(),
        assigned: view.assigned.iter().map(|list| list.iter().map(ToString::to_string).collect()).collect(),
        disconnected_for: view.disconnected_since.map(|since| since.elapsed()),
        commit_overdue: view.commit_overdue,
        stuck: view.stuck,
    }
}
