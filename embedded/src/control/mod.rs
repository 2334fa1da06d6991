//! Control for tests: brokers that stop, leaders that move, requests that fail, answers that get lost, time that stands
//! still, and a record of what clients asked for.
//!
//! Everything begins with [`EmbeddedBroker::control`](crate::EmbeddedBroker::control). A broker that it is never called
//! for pays one relaxed atomic load a request.
//!
//! ```
//! use kafka_boot_embedded::EmbeddedBroker;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = EmbeddedBroker::builder().brokers(3).topic("orders", 3).start().await?;
//! let control = cluster.control();
//! assert_eq!(control.leader("orders", 0)?, Some(1));
//! control.stop_broker(1).await?;
//! assert_eq!(control.leader("orders", 0)?, Some(2));
//! control.start_broker(1).await?;
//! control.move_leader("orders", 0, 1)?;
//! # Ok(())
//! # }
//! ```

pub(crate) mod connections;
mod details;
mod error;
pub(crate) mod guide;
pub(crate) mod link;
pub(crate) mod record;
mod request;
mod rules;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::BrokerId;
use tokio::sync::{mpsc, oneshot};

use crate::cluster::Coordinated;
use crate::group::Kind;
use crate::log::partition::Partition;
use crate::server::{BrokerAction, Command};
use crate::state::State;
use connections::Connections;
pub use error::{ControlError, ControlErrorKind};
pub use link::Link;
use record::Record;
pub use request::{ReceivedRequest, RequestOutcome, RequestedTopic};
use rules::Rules;
pub use rules::{Rule, RuleBuilder};

/// What is controlled, as the connections see it.
#[derive(Debug)]
pub(crate) struct Controls {
    /// How many reasons there are to look at requests: rules, and somebody who may ask for the record.
    active: AtomicUsize,
    records: AtomicBool,
    rules: Rules,
    pub(crate) record: Record,
    pub(crate) connections: Connections,
}

impl Controls {
    pub(crate) fn new(recorded_requests: usize) -> Self {
        Self {
            active: AtomicUsize::new(0),
            records: AtomicBool::new(false),
            rules: Rules::default(),
            record: Record::new(recorded_requests),
            connections: Connections::default(),
        }
    }

    /// Whether nobody looks at requests.
    pub(crate) fn are_idle(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0
    }

    fn begin_record(&self) {
        if !self.records.swap(true, Ordering::Relaxed) {
            self.active.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a test can do to a running [`EmbeddedBroker`](crate::EmbeddedBroker). Clones control the same one.
#[derive(Clone)]
pub struct Control {
    state: Arc<State>,
    commands: mpsc::Sender<Command>,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// Its `group.instance.id`, if it is a static member.
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
}

impl Control {
    pub(crate) fn new(state: Arc<State>, commands: mpsc::Sender<Command>) -> Self {
        state.controls.begin_record();
        Self { state, commands }
    }

    /// Stops a broker: its connections are closed and its port refuses new ones. What it led and coordinated moves to
    /// live brokers, each partition in a new leader epoch; a partition without a live replica has no leader. Does
    /// nothing if it is stopped already.
    ///
    /// # Errors
    /// There is no such broker, or the cluster has been shut down.
    pub async fn stop_broker(&self, id: i32) -> Result<(), ControlError> {
        self.command(id, BrokerAction::Stop).await
    }

    /// Starts a broker again, on the same port. It leads what has no leader, and nothing else moves back to it by
    /// itself. Does nothing if it runs.
    ///
    /// # Errors
    /// There is no such broker, its port has been taken, or the cluster has been shut down.
    pub async fn start_broker(&self, id: i32) -> Result<(), ControlError> {
        self.command(id, BrokerAction::Start).await
    }

    async fn command(&self, id: i32, action: BrokerAction) -> Result<(), ControlError> {
        let (done, outcome) = oneshot::channel();
        let command = Command { broker: BrokerId(id), action, done };
        self.commands.send(command).await.map_err(|_| ControlError::ended())?;
        outcome.await.map_err(|_| ControlError::ended())?
    }

    /// The ids of the brokers that are not stopped, in ascending order.
    pub fn live_brokers(&self) -> Vec<i32> {
        self.state.cluster.live().map(|node| node.id.0).collect()
    }

    /// The broker that leads a partition, or `None` while all of its replicas are stopped.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<Option<i32>, ControlError> {
        Ok(self.partition(topic, partition)?.leadership().leader().map(|leader| leader.0))
    }

    /// The epoch of a partition's leader, which grows with each change; from 0.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn leader_epoch(&self, topic: &str, partition: i32) -> Result<i32, ControlError> {
        Ok(self.partition(topic, partition)?.leadership().epoch())
    }

    /// Has a broker lead a partition, in a new epoch, even if it led it before. Returns the epoch.
    ///
    /// # Errors
    /// There is no such partition or broker, or the broker is stopped, or has no replica of the partition.
    pub fn move_leader(&self, topic: &str, partition: i32, to: i32) -> Result<i32, ControlError> {
        let found = self.partition(topic, partition)?;
        self.check_live(to)?;
        let replicas: Vec<i32> = found.leadership().replicas().iter().map(|replica| replica.0).collect();
        if !replicas.contains(&to) {
            return Err(ControlError::no_replica(topic, partition, to, &replicas));
        }
        Ok(found.move_leader(BrokerId(to)))
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, ControlError> {
        let found = self.state.topics.partition(topic, partition);
        found.ok_or_else(|| ControlError::unknown_partition(topic, partition))
    }

    fn check_live(&self, id: i32) -> Result<(), ControlError> {
        match self.state.cluster.node(BrokerId(id)) {
            None => Err(ControlError::unknown_broker(id)),
            Some(node) if !node.is_live() => Err(ControlError::stopped(id)),
            Some(_) => Ok(()),
        }
    }

    /// The broker that coordinates a consumer group, whether the group exists or not; `None` while all are stopped.
    pub fn group_coordinator(&self, group: &str) -> Option<i32> {
        self.state.cluster.coordinator(Coordinated::Group, group).map(|node| node.id.0)
    }

    /// Has a broker coordinate a consumer group. Requests that wait at the old one get `NOT_COORDINATOR`; members,
    /// generation and offsets stay.
    ///
    /// # Errors
    /// There is no such broker, or it is stopped.
    pub fn move_group_coordinator(&self, group: &str, to: i32) -> Result<(), ControlError> {
        self.check_live(to)?;
        self.state.cluster.move_coordinator(Coordinated::Group, group, BrokerId(to));
        Ok(())
    }

    /// The broker that coordinates a transactional id; `None` while all are stopped.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> Option<i32> {
        self.state.cluster.coordinator(Coordinated::Transaction, transactional_id).map(|node| node.id.0)
    }

    /// Has a broker coordinate a transactional id. What is open stays open.
    ///
    /// # Errors
    /// There is no such broker, or it is stopped.
    pub fn move_transaction_coordinator(&self, transactional_id: &str, to: i32) -> Result<(), ControlError> {
        self.check_live(to)?;
        self.state.cluster.move_coordinator(Coordinated::Transaction, transactional_id, BrokerId(to));
        Ok(())
    }

    /// Names requests of an API, to do something to them.
    pub fn on(&self, api: ApiKey) -> RuleBuilder {
        RuleBuilder::new(Arc::clone(&self.state), Some(api))
    }

    /// Names requests of every API, to do something to them.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// use std::time::Duration;
    /// use kafka_boot_embedded::control::Link;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = EmbeddedBroker::builder().brokers(2).start().await?;
    /// let far_away = Link::default().latency(Duration::from_millis(50)).bytes_per_second(100_000);
    /// let slow = cluster.control().on_every_request().broker(2).slow(far_away);
    /// // …
    /// drop(slow);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_every_request(&self) -> RuleBuilder {
        RuleBuilder::new(Arc::clone(&self.state), None)
    }

    /// Cuts every connection, and says how many. Clients may connect again at once.
    pub fn cut_connections(&self) -> usize {
        self.state.controls.connections.cut(None, None)
    }

    /// Cuts every connection to a broker, and says how many.
    pub fn cut_connections_of_broker(&self, id: i32) -> usize {
        self.state.controls.connections.cut(Some(BrokerId(id)), None)
    }

    /// Cuts every connection of a client, by its `client.id`, and says how many.
    pub fn cut_connections_of_client(&self, client_id: &str) -> usize {
        self.state.controls.connections.cut(None, Some(client_id))
    }

    /// The members of a consumer group, by member id; none if there is no such group.
    pub fn group_members(&self, group: &str) -> Vec<GroupMember> {
        let members = self.state.groups.with(group, |group, _| {
            let told = |id: &String, instance: &Option<String>, client_id: &String| GroupMember {
                member_id: id.clone(),
                instance_id: instance.clone(),
                client_id: client_id.clone(),
            };
            match group.kind() {
                Kind::Classic(classic) => classic
                    .members()
                    .map(|(id, member)| told(id, &member.instance, &member.client_id))
                    .collect(),
                Kind::Consumer(consumer) => consumer
                    .members()
                    .map(|(id, member)| told(id, &member.instance, &member.client_id))
                    .collect(),
            }
        });
        members.unwrap_or_default()
    }

    /// Ends the session of a group's member now, as if it had been silent for `session.timeout.ms`. The others are told
    /// to rebalance, and so is the member as soon as it asks for anything.
    ///
    /// # Errors
    /// There is no such group, or it has no such member.
    pub fn expire_member(&self, group: &str, member_id: &str) -> Result<(), ControlError> {
        let expired = self.state.groups.with(group, |group, now_ms| group.expire_member(now_ms, member_id));
        if expired == Some(true) { Ok(()) } else { Err(ControlError::unknown_member(group, member_id)) }
    }

    /// Stops the clock of all brokers: sessions and rebalances do not time out, transactions do not expire, nothing is
    /// too old to be retained, and records with `LogAppendTime` get the time at which it stands. How long a fetch waits,
    /// a rule delays, or a connection may be idle is not a matter of this clock.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let control = EmbeddedBroker::builder().start().await?.control();
    /// control.freeze_clock();
    /// let before = control.clock_ms();
    /// control.advance_clock(Duration::from_hours(24));
    /// assert_eq!(control.clock_ms(), before + 24 * 60 * 60 * 1_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn freeze_clock(&self) {
        self.state.stopwatch.freeze();
    }

    /// Has a clock that was stopped go on from where it stands.
    pub fn resume_clock(&self) {
        self.state.stopwatch.resume();
    }

    /// Moves the clock on, whether it stands or runs. What is due by then has happened when this returns: sessions have
    /// ended, transactions have been aborted, old records are gone.
    pub fn advance_clock(&self, by: Duration) {
        self.state.stopwatch.advance(by);
        self.state.groups.tick();
        self.state.tidy_up();
    }

    /// What the clock shows, in milliseconds since 1970.
    pub fn clock_ms(&self) -> i64 {
        self.state.stopwatch.wall_ms()
    }

    /// The latest requests, oldest first, since the first call of
    /// [`EmbeddedBroker::control`](crate::EmbeddedBroker::control). How many are kept is a setting of the builder.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.controls.record.all()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.state.controls.record.forget();
    }

    /// The first recorded request that a question is answered with yes for: one that has come already, or the next one.
    /// It is asked when a request arrives, and again when its outcome is known.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// use kafka_boot_embedded::control::ApiKey;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tokio::io::AsyncWriteExt;
    /// let broker = EmbeddedBroker::builder().start().await?;
    /// let control = broker.control();
    /// let mut client = tokio::net::TcpStream::connect(broker.bootstrap_servers()).await?;
    /// client.write_all(&[0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x']).await?;
    /// let request =
    ///     control.wait_for(|request| request.api == ApiKey::ApiVersions && request.succeeded()).await?;
    /// assert_eq!((request.client_id.as_str(), request.broker), ("x", 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The cluster has been shut down, and there was no such request.
    pub async fn wait_for(
        &self,
        fits: impl Fn(&ReceivedRequest) -> bool,
    ) -> Result<ReceivedRequest, ControlError> {
        self.state.controls.record.wait_for(fits).await.ok_or_else(ControlError::ended)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").field("live_brokers", &self.live_brokers()).finish_non_exhaustive()
    }
}
