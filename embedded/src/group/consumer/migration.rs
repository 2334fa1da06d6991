//! Members of the classic protocol in a group of the new one, and the way from one protocol to the other while members
//! are there, as with Kafka's `group.consumer.migration.policy=bidirectional`.
//!
//! 1. A member of the classic protocol joins, asks for its assignment and gives signs of life as it always does. Its epoch
//!    is the generation that it is told, and nobody leads: the broker assigns.
//! 2. It learns that there is something new when its sign of life is answered `REBALANCE_IN_PROGRESS`. Joining again is how
//!    it says what it still owns.
//! 3. A group whose last member of the new protocol is gone goes back to the classic one, and all join again.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::error::ResponseError;

use super::super::classic::{CONSUMER, Departure, JoinRequest, StoredGeneration, StoredMember, SyncRequest};
use super::super::member::{Answer, Joined, Synced};
use super::super::subscriptions::{self, Named, Subscription};
use super::member::ClassicSide;
use super::{ConsumerGroup, Heartbeat, JOINING, Member, Partitions, Progress, TopicSource};

impl ConsumerGroup {
    /// A member of the classic protocol joins, for the first time or again, and is answered at once.
    pub(in crate::group) fn join_classic(
        &mut self,
        now_ms: u64,
        request: JoinRequest,
        topics: &dyn TopicSource,
    ) -> Answer {
        let member_id = request.member_id.clone();
        self.try_join_classic(now_ms, request, topics).unwrap_or_else(|error| match error {
            Refusal::Error(error) => Answer::NotJoined(error, member_id),
            Refusal::ComeBackAs(id) => Answer::NotJoined(ResponseError::MemberIdRequired, id),
        })
    }

    fn try_join_classic(
        &mut self,
        now_ms: u64,
        request: JoinRequest,
        topics: &dyn TopicSource,
    ) -> Result<Answer, Refusal> {
        self.check_protocols(&request)?;
        let (protocol, subscription) =
            subscription_of(&request.protocols).ok_or(ResponseError::InconsistentGroupProtocol)?;
        let is_new = request.member_id.is_empty();
        if is_new && request.knows_two_rounds && request.instance.is_none() {
            return Err(Refusal::ComeBackAs(request.fresh_id));
        }
        let id = if is_new { request.fresh_id } else { request.member_id };
        let epoch = self.members.get(&id).map_or(JOINING, |member| member.epoch);
        // What it owned in a generation that is over, it has lost.
        let is_current = subscription.generation.is_none_or(|generation| generation == epoch);
        let owned = if is_current { found(&subscription.owned, topics) } else { Partitions::new() };
        let beat = Heartbeat {
            member_id: id.clone(),
            epoch,
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: Some(request.rebalance_timeout_ms),
            topics: Some(subscription.topics),
            owned: Some(owned),
            classic: Some(ClassicSide {
                session_timeout_ms: request.session_timeout_ms,
                protocols: request.protocols,
                // It asks for its assignment next.
                step_ends_ms: Some(now_ms.saturating_add(request.rebalance_timeout_ms)),
            }),
            ..Heartbeat::default()
        };
        let place =
            self.heartbeat(now_ms, beat, topics, request.session_timeout_ms).map_err(|(error, _)| error)?;
        Ok(Answer::Joined(Joined {
            member_id: id,
            generation: place.epoch,
            protocol_type: CONSUMER.to_owned(),
            protocol,
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        }))
    }

    /// Whether the client is a consumer, and knows an assignor that all other classic members know.
    fn check_protocols(&self, request: &JoinRequest) -> Result<(), ResponseError> {
        let others = || {
            let others = self.members.iter().filter(|(id, _)| **id != request.member_id);
            others.filter_map(|(_, member)| member.classic.as_ref())
        };
        let is_common = |name: &str| others().all(|side| side.supports(name));
        let is_known = request.protocols.iter().any(|(name, _)| is_common(name));
        if request.protocol_type == CONSUMER && is_known {
            Ok(())
        } else {
            Err(ResponseError::InconsistentGroupProtocol)
        }
    }

    /// A member of the classic protocol asks for what is its own.
    pub(in crate::group) fn sync_classic(&mut self, now_ms: u64, request: &SyncRequest) -> Answer {
        self.try_sync_classic(now_ms, request).unwrap_or_else(Answer::NotSynced)
    }

    fn try_sync_classic(&mut self, now_ms: u64, request: &SyncRequest) -> Result<Answer, ResponseError> {
        let id = &request.member_id;
        self.check_classic(id, request.instance.as_deref(), request.generation)?;
        let epoch = self.epoch;
        let names: HashMap<_, _> = self.topics.iter().map(|(name, (id, _))| (*id, name.as_str())).collect();
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        let rebalance_ends_ms = now_ms.saturating_add(member.rebalance_timeout_ms);
        let is_behind = member.epoch < epoch && member.progress != Progress::Unrevoked;
        let assigned = member.assigned.clone();
        let Some(side) = member.classic.as_mut() else { return Err(ResponseError::UnknownMemberId) };
        let is_foreign = request.protocol_type.as_ref().is_some_and(|name| name != CONSUMER)
            || request.protocol.as_ref().is_some_and(|name| !side.supports(name));
        if is_foreign {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if is_behind {
            side.step_ends_ms = Some(rebalance_ends_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        side.step_ends_ms = None;
        member.session_ends_ms = now_ms.saturating_add(side.session_timeout_ms);
        let preferred = side.protocols.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let by_name = assigned.iter().filter_map(|(id, index)| Some((*names.get(id)?, *index)));
        Ok(Answer::Synced(Synced {
            protocol_type: CONSUMER.to_owned(),
            protocol: request.protocol.clone().unwrap_or(preferred),
            assignment: subscriptions::assignment(by_name),
        }))
    }

    /// A sign of life of a member of the classic protocol.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` tells it to join again: the group has a newer epoch, or it has to give something up, or
    /// what it waited for is free. The others tell it that it is no member, or no longer of this generation.
    pub(in crate::group) fn heartbeat_classic(
        &mut self,
        now_ms: u64,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        topics: &dyn TopicSource,
    ) -> Result<(), ResponseError> {
        self.check_classic(id, instance, generation)?;
        self.refresh(false, topics);
        self.assign_if_due();
        let epoch = self.epoch;
        let waits_for_others = self.waits_for_others(id);
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        let is_due = member.epoch < epoch
            || match member.progress {
                Progress::Stable => false,
                Progress::Unrevoked => true,
                Progress::Unreleased => !waits_for_others,
            };
        let rebalance_ends_ms = now_ms.saturating_add(member.rebalance_timeout_ms);
        let side = member.classic.as_mut().ok_or(ResponseError::UnknownMemberId)?;
        member.session_ends_ms = now_ms.saturating_add(side.session_timeout_ms);
        if is_due {
            side.step_ends_ms.get_or_insert(rebalance_ends_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether others hold some of what a member is to have.
    fn waits_for_others(&self, id: &str) -> bool {
        let Some(target) = self.target.get(id) else { return false };
        let mut others = self.members.iter().filter(|(other, _)| *other != id);
        others.any(|(_, member)| member.holds().any(|partition| target.contains(partition)))
    }

    /// A member of the classic protocol leaves, or is removed by an administrator who knows its instance.
    pub(in crate::group) fn leave_classic(&mut self, who: &Departure) -> Result<(), ResponseError> {
        let id = match &who.instance {
            Some(instance) if who.member_id.is_empty() => {
                self.instances.get(instance).ok_or(ResponseError::UnknownMemberId)?.clone()
            }
            _ => who.member_id.clone(),
        };
        self.check_classic_identity(&id, who.instance.as_deref())?;
        self.remove(&id);
        Ok(())
    }

    /// Whether a member of the classic protocol may commit: in its own generation only.
    pub(in crate::group) fn check_classic(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let member = self.check_classic_identity(id, instance)?;
        if member.epoch == generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn check_classic_identity(&self, id: &str, instance: Option<&str>) -> Result<&Member, ResponseError> {
        if let Some(instance) = instance {
            let current = self.instances.get(instance).ok_or(ResponseError::UnknownMemberId)?;
            if current != id {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.classic.is_some() { Ok(member) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether a member uses the classic protocol.
    pub(in crate::group) fn is_classic(&self, id: &str) -> bool {
        self.members.get(id).is_some_and(|member| member.classic.is_some())
    }

    /// Whether all members, and there are some, use the classic protocol, so that the group can go back to it.
    pub(in crate::group) fn has_only_classic_members(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.classic.is_some())
    }

    /// The group with its classic members, as a group of the classic protocol has it. Others are left out.
    pub(in crate::group) fn downgraded(&self) -> StoredGeneration {
        let names: HashMap<_, _> = self.topics.iter().map(|(name, (id, _))| (*id, name.as_str())).collect();
        let members = self.members.iter().filter_map(|(id, member)| {
            let side = member.classic.as_ref()?;
            let by_name = member.assigned.iter().filter_map(|(id, index)| Some((*names.get(id)?, *index)));
            let stored = StoredMember {
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: side.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: side.protocols.clone(),
                assignment: subscriptions::assignment(by_name),
            };
            Some((id.clone(), stored))
        });
        let members: BTreeMap<String, StoredMember> = members.collect();
        StoredGeneration {
            number: self.epoch,
            protocol_type: CONSUMER.to_owned(),
            protocol: None,
            leader: members.keys().next().cloned(),
            members,
        }
    }

    /// A group of the classic protocol as one of the new protocol: its members keep what they have until they join again.
    /// `None` if it is no group of consumers, or somebody's subscription cannot be understood.
    pub(in crate::group) fn upgraded(
        now_ms: u64,
        stored: &StoredGeneration,
        topics: &dyn TopicSource,
    ) -> Option<Self> {
        if stored.protocol_type != CONSUMER {
            return None;
        }
        let mut group = Self { epoch: stored.number, target_epoch: stored.number, ..Self::default() };
        for (id, stored_member) in &stored.members {
            let (_, subscription) = subscription_of(&stored_member.protocols)?;
            let assigned = found(&subscriptions::assigned(&stored_member.assignment), topics);
            let rebalance_ends_ms = now_ms.saturating_add(stored_member.rebalance_timeout_ms);
            if let Some(instance) = &stored_member.instance {
                group.instances.insert(instance.clone(), id.clone());
            }
            group.target.insert(id.clone(), assigned.clone());
            let member = Member {
                instance: stored_member.instance.clone(),
                client_id: stored_member.client_id.clone(),
                client_host: stored_member.client_host.clone(),
                topics: subscription.topics,
                epoch: stored.number,
                previous_epoch: stored.number,
                assigned,
                rebalance_timeout_ms: stored_member.rebalance_timeout_ms,
                session_ends_ms: now_ms.saturating_add(stored_member.session_timeout_ms),
                classic: Some(ClassicSide {
                    session_timeout_ms: stored_member.session_timeout_ms,
                    protocols: stored_member.protocols.clone(),
                    step_ends_ms: Some(rebalance_ends_ms),
                }),
                ..Member::default()
            };
            group.members.insert(id.clone(), member);
        }
        Some(group)
    }
}

/// Why a member of the classic protocol is not let in.
enum Refusal {
    Error(ResponseError),
    /// It is to come back with this id.
    ComeBackAs(String),
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self::Error(error)
    }
}

/// The first protocol, and what the client says under it.
fn subscription_of(protocols: &[(String, bytes::Bytes)]) -> Option<(String, Subscription)> {
    let (name, metadata) = protocols.first()?;
    Some((name.clone(), subscriptions::parse(metadata.clone())?))
}

/// Partitions by the ids of their topics, of those that there are.
fn found(partitions: &Named, topics: &dyn TopicSource) -> Partitions {
    let found = partitions.iter().filter_map(|(name, indexes)| Some((topics.find(name)?, indexes)));
    found
        .flat_map(|((id, count), indexes)| indexes.range(0..count.max(0)).map(move |index| (id, *index)))
        .collect()
}
