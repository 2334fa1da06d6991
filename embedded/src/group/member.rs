//! A member of a group, and what a member is answered.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

/// Names a request whose answer has to wait.
pub(crate) type Token = u64;

/// What a request that waited is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Joined(Joined),
    /// The error, and the member id to come back with.
    NotJoined(ResponseError, String),
    Synced(Synced),
    NotSynced(ResponseError),
}

/// A member's place in a new generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    /// Whether the leader need not compute an assignment, since nothing changed.
    pub(crate) skip_assignment: bool,
    /// For the leader: everyone, with what they want.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) metadata: Bytes,
}

/// What a member got from the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    /// By preference.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(super) waits_for: WaitsFor,
    /// Whether it has asked for its assignment in this generation.
    pub(super) synced: bool,
    pub(super) expires_ms: u64,
}

/// What a member has asked, and not been answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Nothing,
    Join(Token),
    Sync(Token),
}

impl Member {
    /// What it says under a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn joins(&self) -> bool {
        matches!(self.waits_for, WaitsFor::Join(_))
    }

    pub(super) fn beat(&mut self, now_ms: u64) {
        self.expires_ms = now_ms.saturating_add(self.session_timeout_ms);
    }

    /// A member whose answer is outstanding is alive.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.waits_for == WaitsFor::Nothing && self.expires_ms <= now_ms
    }

    /// The answer that ends its wait with an error, if it waits.
    pub(super) fn turned_away(&self, id: &str, error: ResponseError) -> Option<(Token, Answer)> {
        match self.waits_for {
            WaitsFor::Nothing => None,
            WaitsFor::Join(token) => Some((token, Answer::NotJoined(error, id.to_owned()))),
            WaitsFor::Sync(token) => Some((token, Answer::NotSynced(error))),
        }
    }
}
