//! `ListenerRegistry`: the bean through which listeners are looked at and controlled.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kafka_boot_client::TopicPartition;
use tokio::sync::watch;

use super::consumer_state::StuckRecord;
use super::container::{Container, ListenerState};
use super::control::{ListenerControlError, ListenerControlErrorKind, SeekTo};
use super::events::{EventBus, ListenerEvents};
use super::gate::OpenCircuit;
use super::recovery::WaitingRecord;
use super::requests::Request;
use super::tuning::Tuning;
use crate::config::model::ListenerSettings;
use crate::handler::Location;

/// The application's listeners, by id: look at them, start, stop, pause and resume them, move their positions, and be told what happens.
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
    /// Its effective settings, with what was changed while it ran.
    pub settings: ListenerSettings,
    /// For each of its consumers, the partitions assigned to it as `topic-partition`. A consumer without any is idle.
    pub assigned: Vec<Vec<String>>,
    /// The partitions that somebody has paused, as `topic-partition`, whether they are assigned now or not.
    pub paused: Vec<String>,
    /// For how long no broker has been reachable, if none is.
    pub disconnected_for: Option<Duration>,
    /// Whether something has been waiting for its commit for 10 s: no answer comes, or every one is a refusal.
    pub commit_overdue: bool,
    /// Records that hold up their partitions for longer than `stuck-after`.
    pub stuck: Vec<StuckRecord>,
    /// Its circuit breaker's circuit, if it is not closed.
    pub open_circuit: Option<OpenCircuit>,
    /// Records that could not be handled, and that the topic they are to go to does not take.
    pub waiting: Vec<WaitingRecord>,
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

impl From<UnknownListener> for ListenerControlError {
    fn from(unknown: UnknownListener) -> Self {
        Self::new(ListenerControlErrorKind::UnknownListener, unknown.to_string())
    }
}

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

    /// Gives a listener another number of consumers, without a restart: new ones join its group; those that are too many
    /// finish what they have in hand, commit and leave it. Returns when those have left. It holds until the program ends,
    /// also for a listener that is stopped now.
    ///
    /// # Errors
    /// [`Invalid`](ListenerControlErrorKind::Invalid) where the configuration would refuse the number.
    ///
    /// ```no_run
    /// use kafka_boot::{ListenerControlError, ListenerRegistry};
    ///
    /// async fn rush_hour(listeners: &ListenerRegistry) -> Result<(), ListenerControlError> {
    ///     listeners.set_concurrency("consume", 6).await?;
    ///     listeners.set_max_in_flight("consume", 1_000).await
    /// }
    /// ```
    pub async fn set_concurrency(&self, id: &str, consumers: u16) -> Result<(), ListenerControlError> {
        self.tune(id, |tuning| tuning.concurrency = consumers).await
    }

    /// Changes `max-in-flight` of a listener without a restart. Where it is less than what is in flight, nothing is
    /// started until enough is done. It holds until the program ends.
    ///
    /// # Errors
    /// [`Invalid`](ListenerControlErrorKind::Invalid) where the configuration would refuse the number.
    pub async fn set_max_in_flight(&self, id: &str, records: u32) -> Result<(), ListenerControlError> {
        self.tune(id, |tuning| tuning.max_in_flight = records).await
    }

    /// Changes `rate-limit` of a listener without a restart: records a second, or `None` for no limit. It holds until the
    /// program ends.
    ///
    /// # Errors
    /// [`Invalid`](ListenerControlErrorKind::Invalid) where the configuration would refuse the number.
    pub async fn set_rate_limit(
        &self,
        id: &str,
        per_second: Option<f64>,
    ) -> Result<(), ListenerControlError> {
        self.tune(id, |tuning| tuning.rate_limit = per_second).await
    }

    async fn tune(&self, id: &str, change: impl FnOnce(&mut Tuning)) -> Result<(), ListenerControlError> {
        self.find(id)?.tune(change).await.map_err(|problem| {
            let message = format!("listener `{id}` stays as it is: {problem}");
            ListenerControlError::new(ListenerControlErrorKind::Invalid, message)
        })
    }

    /// Pauses one partition: records already taken are finished, and no more are taken. It stays assigned, and it stays
    /// paused until [`resume_partition`](Self::resume_partition), also if it goes to another member and comes back.
    ///
    /// # Errors
    /// [`NotAssigned`](ListenerControlErrorKind::NotAssigned) if no consumer of the listener in this process has it.
    pub async fn pause_partition(
        &self,
        id: &str,
        topic: &str,
        partition: i32,
    ) -> Result<(), ListenerControlError> {
        let partition = TopicPartition::new(topic, partition);
        let pause = |reply| Request::PausePartition { partition: partition.clone(), reply };
        let paused = self.find(id)?.ask(pause).await;
        paused.map_err(|refusal| ListenerControlError::refused(id, &partition, refusal))
    }

    /// Resumes a partition that was paused by itself. While the whole listener is paused, that stays so.
    pub async fn resume_partition(
        &self,
        id: &str,
        topic: &str,
        partition: i32,
    ) -> Result<(), ListenerControlError> {
        let partition = TopicPartition::new(topic, partition);
        let container = self.find(id)?;
        if container.paused().remove(&partition) {
            // Where it is not assigned now, there is nothing to resume.
            drop(
                container.ask(|reply| Request::ResumePartition { partition: partition.clone(), reply }).await,
            );
        }
        Ok(())
    }

    /// Goes on with a partition elsewhere, and returns the offset that is read next.
    ///
    /// The record in hand is finished first, for `drain-timeout` at most; what is buffered behind it is dropped. The new
    /// position is committed, so a restart goes on from it as well. Returns when that is confirmed. A rebalance that
    /// comes meanwhile goes first.
    ///
    /// # Errors
    /// [`NotAssigned`](ListenerControlErrorKind::NotAssigned) if no consumer of the listener in this process has the
    /// partition, or if the group takes it back meanwhile; [`OutOfRange`](ListenerControlErrorKind::OutOfRange) if it has
    /// no such offset; [`Superseded`](ListenerControlErrorKind::Superseded) if a later seek of the partition takes its
    /// place; [`NotCommitted`](ListenerControlErrorKind::NotCommitted) if the commit is not confirmed within
    /// `commit-timeout`; [`Kafka`](ListenerControlErrorKind::Kafka) if the brokers could not be asked.
    ///
    /// ```no_run
    /// use kafka_boot::{ListenerControlError, ListenerRegistry, SeekTo};
    /// use std::time::Duration;
    ///
    /// async fn last_hour(listeners: &ListenerRegistry) -> Result<(), ListenerControlError> {
    ///     listeners.seek("consume", "orders", 0, SeekTo::ago(Duration::from_secs(3600))).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn seek(
        &self,
        id: &str,
        topic: &str,
        partition: i32,
        to: SeekTo,
    ) -> Result<i64, ListenerControlError> {
        let partition = TopicPartition::new(topic, partition);
        let seek = |reply| Request::Seek { partition: partition.clone(), to, reply };
        let sought = self.find(id)?.ask(seek).await;
        sought.map_err(|refusal| ListenerControlError::refused(id, &partition, refusal))
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
    let (mut settings, tuning) = (spec.settings.clone(), container.tuning());
    settings.consumer.concurrency = tuning.concurrency;
    settings.consumer.max_in_flight = tuning.max_in_flight;
    settings.consumer.rate_limit = tuning.rate_limit;
    ListenerInfo {
        id: spec.settings.id.clone(),
        state: container.state.borrow().clone(),
        at: spec.at,
        settings,
        assigned: view.assigned.iter().map(|list| list.iter().map(ToString::to_string).collect()).collect(),
        paused: container.paused().all().iter().map(ToString::to_string).collect(),
        disconnected_for: view.disconnected_since.map(|since| since.elapsed()),
        commit_overdue: view.commit_overdue,
        stuck: view.stuck,
        open_circuit: view.open_circuit,
        waiting: view.waiting,
    }
}
