//! How a broker is to be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::broker::EmbeddedBroker;
use crate::error::StartError;
use crate::log::settings::Settings;
use crate::security::Users;
use crate::server::ServerLimits;
use crate::state::{State, StateSettings};
use crate::wire::frame::FrameLimits;

/// Settings of an [`EmbeddedBroker`], each with a default that fits tests.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called and awaited"]
pub struct EmbeddedBrokerBuilder {
    address: IpAddr,
    port: u16,
    advertised_host: Option<String>,
    partitions: i32,
    creates_topics: bool,
    topics: Vec<(String, i32)>,
    memory_limit_bytes: u64,
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
            advertised_host: None,
            partitions: 1,
            creates_topics: true,
            topics: Vec::new(),
            memory_limit_bytes: 256 * 1024 * 1024,
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

    /// A topic that is there from the start.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// What all records together may take up, in bytes. Default: 256 MiB. At the limit a producer gets
    /// `POLICY_VIOLATION` with a message that says so, until retention or a deletion has made room.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = bytes;
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
    /// The address cannot be listened on, or a setting or a topic makes no sense.
    pub async fn start(self) -> Result<EmbeddedBroker, StartError> {
        self.check()?;
        let users = self.checked_users()?;
        let wanted = SocketAddr::new(self.address, self.port);
        let failed = |error| StartError::listen(wanted, error);
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let host = self.advertised_host.unwrap_or_else(|| match address.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip => ip.to_string(),
        });
        let state = State::new(StateSettings {
            host,
            port: address.port(),
            default_partitions: self.partitions,
            creates_topics: self.creates_topics,
            memory_limit_bytes: self.memory_limit_bytes,
            users,
            session_lifetime: self.session_lifetime,
        });
        for (name, partitions) in &self.topics {
            state.create_topic(name, *partitions, Settings::default()).map_err(|(_, why)| {
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
        Ok(EmbeddedBroker::run(listener, Arc::new(state), limits))
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
        if self.partitions < 1 {
            let message = format!("`partitions` is {}, and has to be at least 1", self.partitions);
            return Err(StartError::setting(message));
        }
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
