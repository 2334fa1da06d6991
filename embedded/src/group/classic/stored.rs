//! What a broker remembers of a group's members over a restart, as Kafka writes it into `__consumer_offsets`.
//!
//! Written down when a generation is stable, when its last member is gone, and when a static member's place has gone to
//! its next incarnation; nobody is answered before. A generation that is in the making is not: after a restart its
//! members find the one before, and join again.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::super::member::{Answer, Member, Token, WaitsFor};
use super::{ClassicGroup, GroupState};

/// A stable generation, or the last one of a group without members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredGeneration {
    pub(crate) number: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, StoredMember>,
}

/// A member with what it was assigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredMember {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    /// By preference.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
}

impl StoredGeneration {
    /// The same after all have left.
    pub(in crate::group) fn without_members(self) -> Self {
        Self { members: BTreeMap::new(), leader: None, protocol: None, ..self }
    }
}

impl ClassicGroup {
    /// What has to be written down before anybody is answered, if there is something.
    pub(in crate::group) fn take_unsaved(&mut self) -> Option<StoredGeneration> {
        mem::take(&mut self.is_unsaved).then(|| self.stored())
    }

    pub(in crate::group) fn stored(&self) -> StoredGeneration {
        let stored = |(id, member): (&String, &Member)| (id.clone(), StoredMember::of(member));
        StoredGeneration {
            number: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(stored).collect(),
        }
    }

    /// What was to be written down cannot be: nobody is told of an assignment that a restart would not know, and all
    /// join again, as with Kafka. That a group is empty needs no one's answer.
    pub(in crate::group) fn not_saved(&mut self, now_ms: u64) {
        if self.state != GroupState::Stable {
            return;
        }
        for (_, answer) in &mut self.answers {
            match answer {
                Answer::Joined(joined) => {
                    let id = mem::take(&mut joined.member_id);
                    *answer = Answer::NotJoined(ResponseError::NotCoordinator, id);
                }
                Answer::Synced(_) => *answer = Answer::NotSynced(ResponseError::NotCoordinator),
                Answer::NotJoined(..) | Answer::NotSynced(_) => {}
            }
        }
        self.prepare(now_ms);
    }

    /// A group that comes from the new protocol: its members keep what they have until they have joined again.
    pub(in crate::group) fn downgraded(now_ms: u64, stored: StoredGeneration) -> Self {
        let mut group = Self::restored(now_ms, stored);
        group.prepare(now_ms);
        group
    }

    /// Ends the group for another that takes its place: whoever waits is told to join again.
    pub(in crate::group) fn dissolve(&mut self) -> Vec<(Token, Answer)> {
        let mut answers = mem::take(&mut self.answers);
        for (id, member) in &self.members {
            answers.extend(member.turned_away(id, ResponseError::RebalanceInProgress));
        }
        answers
    }

    /// A group as it was written down. Its members' sessions, and the retention of its offsets if it has no members,
    /// begin anew, since nobody knows how long the broker was away.
    pub(in crate::group) fn restored(now_ms: u64, stored: StoredGeneration) -> Self {
        let members: BTreeMap<String, Member> =
            stored.members.into_iter().map(|(id, member)| (id, member.restored(now_ms))).collect();
        let instance = |(id, member): (&String, &Member)| Some((member.instance.clone()?, id.clone()));
        let is_empty = members.is_empty();
        Self {
            state: if is_empty { GroupState::Empty } else { GroupState::Stable },
            generation: stored.number,
            protocol_type: stored.protocol_type,
            protocol: stored.protocol,
            leader: stored.leader,
            instances: members.iter().filter_map(instance).collect(),
            members,
            empty_since_ms: is_empty.then_some(now_ms),
            ..Self::default()
        }
    }
}

impl StoredMember {
    fn of(member: &Member) -> Self {
        Self {
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: member.protocols.clone(),
            assignment: member.assignment.clone(),
        }
    }

    fn restored(self, now_ms: u64) -> Member {
        Member {
            instance: self.instance,
            client_id: self.client_id,
            client_host: self.client_host,
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            protocols: self.protocols,
            assignment: self.assignment,
            waits_for: WaitsFor::Nothing,
            // Nobody waits for it to ask for its assignment, which it has, or may ask for again.
            synced: true,
            expires_ms: now_ms.saturating_add(self.session_timeout_ms),
        }
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
