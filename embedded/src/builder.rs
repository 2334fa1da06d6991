//! How a broker is to be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::BrokerId;
use tokio::net::TcpListener;

use crate::broker::EmbeddedBroker;
use crate::cluster::{Cluster, Node};
use crate::error::{StartError, StartErrorKind};
use crate::group::settings::{GroupSettings, milliseconds};
use crate::log::settings::Settings;
use crate::log::topics::Denied;
use crate::security::Users;
use crate::server::ServerLimits;
use crate::state::{State, StateSettings};
use crate::storage::DataDirectory;
use crate::wire::frame::FrameLimits;

/// More than enough to spread over, and few enough to listen for.
const MAX_BROKERS: u16 = 100;

/// Replicas of a partition on a cluster of at least so many brokers.
const USUAL_REPLICAS: u16 = 3;

/// Settings of an [`EmbeddedBroker`], each with a default that fits tests.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called and awaited"]
pub struct EmbeddedBrokerBuilder {
    address: IpAddr,
    port: u16,
    brokers: u16,
    replication_factor: Option<u16>,
    recorded_requests: usize,
    advertised_host: Option<String>,
    partitions: i32,
    creates_topics: bool,
    topics: Vec<(String, i32)>,
    memory_limit_bytes: u64,
    offsets_limit_bytes: u64,
    data_directory: Option<PathBuf>,
    groups: GroupSettings,
    max_request_bytes: usize,
    max_connections: usize,
    idle_timeout: Duration,
    users: Vec<(String, Password)>,
    session_lifetime: Option<Duration>,
}

/// A password, which is not shown.
#[derive(Clone)]
struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

impl Default for EmbeddedBrokerBuilder {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            brokers: 1,
            replication_factor: None,
            recorded_requests: 10_000,
            advertised_host: None,
            partitions: 1,
            creates_topics: true,
            topics: Vec::new(),
            memory_limit_bytes: 256 * 1024 * 1024,
            offsets_limit_bytes: 64 * 1024 * 1024,
            data_directory: None,
            groups: GroupSettings::default(),
            max_request_bytes: 16 * 1024 * 1024,
            max_connections: 2_048,
            idle_timeout: Duration::from_mins(10),
            users: Vec::new(),
            session_lifetime: None,
        }
    }
}

impl EmbeddedBrokerBuilder {
    /// The address to listen on. Default: `127.0.0.1`, which nobody outside this machine reaches.
    ///
    /// On any other address, everybody who reaches it reads and writes everything, unless there are [users](Self::user);
    /// and since there is no TLS, everybody on the way reads along.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// The port to listen on. Default: `0`, which is any that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How many brokers there are, from 1 to 100; their ids are 1, 2 and so on. Default: 1. With a [`port`](Self::port),
    /// the first listens on it, and each of the others on the next one.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = EmbeddedBroker::builder().brokers(3).start().await?;
    /// assert_eq!(cluster.bootstrap_servers().split(',').count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn brokers(mut self, brokers: u16) -> Self {
        self.brokers = brokers;
        self
    }

    /// Replicas of a partition for which nobody says how many. Default: one on each broker, and at most 3, so that
    /// every partition stays available while one broker is stopped.
    pub fn replication_factor(mut self, replicas: u16) -> Self {
        self.replication_factor = Some(replicas);
        self
    }

    /// How many of the latest requests are kept for [`Control::requests`](crate::control::Control::requests) and
    /// [`Control::wait_for`](crate::control::Control::wait_for), once somebody may ask. Default: 10 000, which take some
    /// megabytes.
    pub fn recorded_requests(mut self, requests: usize) -> Self {
        self.recorded_requests = requests;
        self
    }

    /// The host that clients are told to connect to. Default: the address that is listened on, or `localhost` where that
    /// is every address.
    pub fn advertised_host(mut self, host: impl Into<String>) -> Self {
        self.advertised_host = Some(host.into());
        self
    }

    /// Partitions of a topic for which nobody says how many. Default: 1.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Whether a client that asks for an unknown topic creates it, if it wants that too. Default: `true`.
    pub fn auto_create_topics(mut self, creates: bool) -> Self {
        self.creates_topics = creates;
        self
    }

    /// A topic that is there from the start. One that a data directory holds already stays as it is, and gets the
    /// partitions that it lacks.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// What all records together may take up in memory, in bytes. Default: 256 MiB. At the limit a producer gets
    /// `POLICY_VIOLATION` with a message that says so, until retention or a deletion has made room. With a
    /// [data directory](Self::data_directory) only the index counts, which is less than 100 bytes a batch.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = bytes;
        self
    }

    /// What the committed offsets of all groups may take up, in bytes, with their metadata. Default: 64 MiB, which is
    /// enough for 300 000 offsets. At the limit a commit gets `POLICY_VIOLATION`, and a warning is logged.
    pub fn offsets_limit_bytes(mut self, bytes: u64) -> Self {
        self.offsets_limit_bytes = bytes;
        self
    }

    /// Where the broker keeps what it holds: topics and their settings, records, committed offsets, members of classic
    /// groups, producers and transactions. Default: nowhere, so that all is gone with the broker. The directory is created if need be.
    ///
    /// What is acknowledged has been handed to the operating system before, so it survives the end of the process,
    /// however that comes about. It is not forced to the disk: a power failure may take the last seconds.
    ///
    /// All brokers of a cluster share the directory, and one cluster at a time may run on it. It is free again when
    /// [`shutdown`](EmbeddedBroker::shutdown) returns; after a broker was merely dropped, a start waits a moment for it.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = std::env::temp_dir().join(format!("kafka-boot-embedded-{}", std::process::id()));
    /// for _ in 0..2 {
    ///     let broker = EmbeddedBroker::builder().data_directory(&path).topic("orders", 3).start().await?;
    ///     broker.shutdown().await;
    /// }
    /// # std::fs::remove_dir_all(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn data_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_directory = Some(path.into());
        self
    }

    /// How often members of groups of the new protocol (`group.protocol=consumer`) give a sign of life, Kafka's
    /// `group.consumer.heartbeat.interval.ms`. Default: 5 s. A rebalance takes a few of them, so a test wants less.
    pub fn consumer_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.groups.heartbeat_interval_ms = milliseconds(interval);
        self
    }

    /// After how long a silence such a member is none any more, Kafka's `group.consumer.session.timeout.ms`.
    /// Default: 45 s. Members of the classic protocol say it themselves.
    pub fn consumer_session_timeout(mut self, timeout: Duration) -> Self {
        self.groups.session_timeout_ms = milliseconds(timeout);
        self
    }

    /// How long committed offsets are kept of a group that has no members, or of topics that its members do not consume;
    /// Kafka's `offsets.retention.minutes`. Default: 7 days.
    pub fn offsets_retention(mut self, retention: Duration) -> Self {
        self.groups.offsets_retention_ms = milliseconds(retention);
        self
    }

    /// Lets groups come back from a data directory without their members, for a broker in the same process as its
    /// clients: after a crash they are gone too, and those that follow need not wait for their sessions to end.
    /// Default: members keep their places, as in Kafka.
    pub fn forget_members(mut self) -> Self {
        self.groups.forgets_members = true;
        self
    }

    /// The longest request that is accepted, in bytes; a longer one closes its connection. Default: 16 MiB. All
    /// connections together hold at most four times as much.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }

    /// Connections at the same time; further ones are closed at once. Default: 2048.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How long a connection may be silent before it is closed. Default: 10 minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Somebody who may connect. Default: nobody has to say who it is. With a user, everybody has to authenticate, by
    /// SASL with the mechanism `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` (`security.protocol=SASL_PLAINTEXT`); who has,
    /// may do everything.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = EmbeddedBroker::builder().user("alice", "secret").start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push((name.into(), Password(password.into())));
        self
    }

    /// How long an authentication holds (Kafka's `connections.max.reauth.ms`). Default: as long as its connection. A
    /// client that does not renew it in time is disconnected at its next request.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = Some(lifetime);
        self
    }

    /// Starts the broker; clients may connect as soon as this returns. Runs on the current tokio runtime, and has to be
    /// called within one.
    ///
    /// # Errors
    /// The address cannot be listened on, a setting or a topic makes no sense, or the data directory cannot be read, is
    /// damaged, or is in use.
    pub async fn start(self) -> Result<EmbeddedBroker, StartError> {
        self.check()?;
        let users = self.checked_users()?;
        let (nodes, listeners) = self.listen().await?;
        let directory = match &self.data_directory {
            None => None,
            Some(path) => Some(open_directory(path).await?),
        };
        let replication = self.replication_factor.unwrap_or(self.brokers.min(USUAL_REPLICAS));
        let settings = StateSettings {
            cluster: Cluster::new(nodes, usize::from(replication)),
            default_partitions: self.partitions,
            creates_topics: self.creates_topics,
            memory_limit_bytes: self.memory_limit_bytes,
            offsets_limit_bytes: self.offsets_limit_bytes,
            recorded_requests: self.recorded_requests,
            groups: self.groups,
            users,
            session_lifetime: self.session_lifetime,
        };
        let state = open_state(settings, directory).await?;
        for (name, partitions) in &self.topics {
            create_or_grow(&state, name, *partitions).map_err(|(_, why)| {
                StartError::setting(format!("topic `{name}` cannot be created: {why}"))
            })?;
        }
        let limits = ServerLimits {
            max_connections: self.max_connections,
            frame: FrameLimits {
                max_bytes: self.max_request_bytes,
                idle: self.idle_timeout,
                arrival: Duration::from_secs(30),
            },
        };
        Ok(EmbeddedBroker::run(listeners, Arc::new(state), limits))
    }

    async fn listen(&self) -> Result<(Vec<Node>, Vec<(BrokerId, TcpListener)>), StartError> {
        let (mut nodes, mut listeners) = (Vec::new(), Vec::new());
        for index in 0..self.brokers {
            // Checked to fit; 0 is any port for each of them.
            let port = if self.port == 0 { 0 } else { self.port.saturating_add(index) };
            let wanted = SocketAddr::new(self.address, port);
            let failed = |error| StartError::listen(wanted, error);
            let listener = TcpListener::bind(wanted).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let host = self.advertised_host.clone().unwrap_or_else(|| match address.ip() {
                ip if ip.is_unspecified() => "localhost".to_owned(),
                ip => ip.to_string(),
            });
            let id = BrokerId(i32::from(index) + 1);
            nodes.push(Node::new(id, host, address.port()));
            listeners.push((id, listener));
        }
        Ok((nodes, listeners))
    }

    fn check_brokers(&self) -> Result<(), StartError> {
        let brokers = self.brokers;
        if !(1..=MAX_BROKERS).contains(&brokers) {
            let message = format!("`brokers` is {brokers}, and has to be from 1 to {MAX_BROKERS}");
            return Err(StartError::setting(message));
        }
        if let Some(replicas) = self.replication_factor.filter(|replicas| !(1..=brokers).contains(replicas)) {
            let message = format!(
                "`replication_factor` is {replicas}, and has to be from 1 to the number of brokers, which is {brokers}"
            );
            return Err(StartError::setting(message));
        }
        if self.port != 0 && self.port.checked_add(brokers - 1).is_none() {
            let message = format!(
                "`port` is {}, and {brokers} brokers need as many ports from there on; choose a lower one, or `0`",
                self.port
            );
            return Err(StartError::setting(message));
        }
        Ok(())
    }

    fn checked_users(&self) -> Result<Users, StartError> {
        let mut users = Users::default();
        for (name, Password(password)) in &self.users {
            let why = if name.is_empty() || name.contains('\0') {
                "a name has at least one character, and none of them is NUL"
            } else if password.is_empty() || password.contains('\0') {
                "a password has at least one character, and none of them is NUL"
            } else if users.add(name.clone(), password.clone()) {
                continue;
            } else {
                "there is one of that name already"
            };
            return Err(StartError::setting(format!(
                "user `{}` cannot be added: {why}",
                name.escape_debug()
            )));
        }
        Ok(users)
    }

    fn check(&self) -> Result<(), StartError> {
        // Less would not hold what the smallest clients send; more is more than a length can say.
        let sizes = 1_024..=512 * 1024 * 1024;
        if !sizes.contains(&self.max_request_bytes) {
            let message = format!(
                "`max_request_bytes` is {}, and has to be from {} to {}",
                self.max_request_bytes,
                sizes.start(),
                sizes.end()
            );
            return Err(StartError::setting(message));
        }
        self.check_brokers()?;
        if self.partitions < 1 {
            let message = format!("`partitions` is {}, and has to be at least 1", self.partitions);
            return Err(StartError::setting(message));
        }
        self.groups.check().map_err(StartError::setting)?;
        if self.session_lifetime.is_some_and(|lifetime| lifetime < Duration::from_millis(1)) {
            let message =
                "`session_lifetime` has to be at least 1 ms; leave it out for sessions without an end";
            return Err(StartError::setting(message.to_owned()));
        }
        if self.max_connections == 0 {
            return Err(StartError::setting("`max_connections` is 0, and has to be at least 1".to_owned()));
        }
        Ok(())
    }
}

/// How long a start waits for a broker that was dropped to let go of its directory, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_LOOKS: u32 = 20;

async fn open_directory(path: &Path) -> Result<Arc<DataDirectory>, StartError> {
    let mut looks = LOCK_LOOKS;
    loop {
        let own_path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || DataDirectory::open(&own_path)).await;
        let opened = opened.map_err(|error| {
            StartError::storage(format!("cannot open `{}`", path.display()), Some(error.into()))
        })?;
        match opened {
            Err(error) if error.kind() == StartErrorKind::InUse && looks > 0 => {
                looks -= 1;
                tokio::time::sleep(LOCK_WAIT / LOCK_LOOKS).await;
            }
            opened => return opened.map(Arc::new),
        }
    }
}

async fn open_state(
    settings: StateSettings,
    directory: Option<Arc<DataDirectory>>,
) -> Result<State, StartError> {
    let Some(directory) = directory else { return State::open(settings, None) };
    // There may be much to read.
    let opened = tokio::task::spawn_blocking(|| State::open(settings, Some(directory))).await;
    opened.map_err(|error| {
        let message = "the data directory could not be read to its end".to_owned();
        StartError::storage(message, Some(error.into()))
    })?
}

fn create_or_grow(state: &State, name: &str, partitions: i32) -> Result<(), Denied> {
    match state.topics.by_name(name).filter(|_| state.storage.0.is_some()) {
        None => state.create_topic(name, partitions, Settings::default()).map(|_| ()),
        Some(topic) if topic.partition_count() >= partitions => Ok(()),
        Some(topic) => state.topics.grow(&topic, partitions, None, false),
    }
}
