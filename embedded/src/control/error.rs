//! Why a control call did nothing.

use std::net::SocketAddr;
use std::{fmt, io};

/// Why a call of a [`Control`](super::Control) did nothing.
#[derive(Debug)]
pub struct ControlError {
    kind: ControlErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// What kind of failure a [`ControlError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlErrorKind {
    /// There is no broker of that id.
    UnknownBroker,
    /// The broker is stopped, and would have to be live.
    BrokerStopped,
    /// There is no such topic or partition.
    UnknownPartition,
    /// The broker has no replica of the partition.
    NoReplica,
    /// There is no such group, or it has no such member.
    UnknownMember,
    /// The port of a broker that was stopped cannot be listened on again.
    Listen,
    /// The cluster has been shut down.
    Ended,
}

impl ControlError {
    fn new(kind: ControlErrorKind, message: String) -> Self {
        Self { kind, message, source: None }
    }

    pub(crate) fn unknown_broker(id: i32) -> Self {
        let message = format!("there is no broker `{id}`; brokers are numbered from 1");
        Self::new(ControlErrorKind::UnknownBroker, message)
    }

    pub(super) fn stopped(id: i32) -> Self {
        let message = format!("broker `{id}` is stopped; start it first");
        Self::new(ControlErrorKind::BrokerStopped, message)
    }

    pub(super) fn unknown_partition(topic: &str, partition: i32) -> Self {
        let message =
            format!("there is no partition `{partition}` of a topic `{topic}`; create the topic first");
        Self::new(ControlErrorKind::UnknownPartition, message)
    }

    pub(super) fn no_replica(topic: &str, partition: i32, id: i32, replicas: &[i32]) -> Self {
        let message = format!(
            "broker `{id}` has no replica of partition `{partition}` of `{topic}`, which is on the brokers \
             {replicas:?}; choose one of these, or a higher replication factor"
        );
        Self::new(ControlErrorKind::NoReplica, message)
    }

    pub(super) fn unknown_member(group: &str, member: &str) -> Self {
        let message =
            format!("group `{group}` has no member `{member}`; `group_members` lists those that it has");
        Self::new(ControlErrorKind::UnknownMember, message)
    }

    pub(crate) fn listen(id: i32, address: SocketAddr, source: io::Error) -> Self {
        let message =
            format!("broker `{id}` cannot listen on `{address}` again; something else has taken the port");
        Self { source: Some(source), ..Self::new(ControlErrorKind::Listen, message) }
    }

    pub(crate) fn ended() -> Self {
        Self::new(ControlErrorKind::Ended, "the embedded broker has been shut down".to_owned())
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ControlErrorKind {
        self.kind
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
