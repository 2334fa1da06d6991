//! The classic group protocol as a state machine without clock, connection or task.
//!
//! 1. Every request that waits is answered exactly once, through [`ClassicGroup::take_answers`].
//! 2. A generation begins when everyone has joined, or the time for it is up; who has not joined is then no member.
//!    A static member stays until its session ends.
//! 3. Only the leader's assignment makes a generation stable, and every member of it gets its own part.
//! 4. A restart finds the last generation that was stable, as [`StoredGeneration`] says it.
//! 5. Time passes only in [`ClassicGroup::tick`]; nothing happens before [`Group::next_deadline`].

mod stored;

use std::collections::{BTreeMap, HashMap};
use std::mem;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::member::{Answer, Joined, JoinedMember, Member, Synced, Token, WaitsFor};
use super::{MAX_MEMBERS, subscriptions};

pub(crate) use stored::{StoredGeneration, StoredMember};

/// The protocol type of consumers, whose metadata says what they subscribe to.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group is between two generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GroupState {
    #[default]
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// A group whose members use the classic protocol, or that has none.
#[derive(Debug, Default)]
pub(crate) struct ClassicGroup {
    state: GroupState,
    generation: i32,
    protocol_type: String,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// The current member id of each static member.
    instances: HashMap<String, String>,
    /// Member ids given out to clients that have not come back with them yet, and until when they may.
    announced: HashMap<String, u64>,
    /// When the last member went.
    empty_since_ms: Option<u64>,
    /// When a rebalance, or the collection of its assignments, is over in any case.
    round_ends_ms: Option<u64>,
    answers: Vec<(Token, Answer)>,
    /// Whether it has become what a restart has to find.
    is_unsaved: bool,
}

/// A client that wants to be a member.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    /// Empty for a client that is new.
    pub(crate) member_id: String,
    /// The id to give to one that is new.
    pub(crate) fresh_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether the client can be told its id first, and come back with it.
    pub(crate) knows_two_rounds: bool,
    /// Whether a leader can be told that nothing changed.
    pub(crate) knows_skipping: bool,
}

/// A member that asks for its assignment, and if it leads, brings everyone's.
#[derive(Debug, Clone, Default)]
pub(crate) struct SyncRequest {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: HashMap<String, Bytes>,
}

/// Who leaves.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
}

impl GroupState {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

impl ClassicGroup {
    pub(crate) fn state(&self) -> GroupState {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// The protocol of the current generation.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Whether nothing but offsets would be lost with it.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.state == GroupState::Empty && self.announced.is_empty()
    }

    /// A group that a broker remembers from before it was started. Its offsets are retained from now on, since nobody
    /// knows how long ago it had members.
    pub(super) fn left(now_ms: u64) -> Self {
        Self { empty_since_ms: Some(now_ms), ..Self::default() }
    }

    /// Since when it has no members, if it ever had some.
    pub(crate) fn empty_since_ms(&self) -> Option<u64> {
        self.empty_since_ms.filter(|_| self.state == GroupState::Empty)
    }

    /// Whether a member consumes a topic, or may do so for all that is known.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        if self.protocol_type != CONSUMER || self.members.is_empty() {
            return false;
        }
        let Some(protocol) = &self.protocol else { return true };
        self.members.values().any(|member| subscriptions::names(member.metadata(protocol), topic))
    }

    /// Whether it is known which topics its members consume, so that offsets of others can expire.
    pub(crate) fn knows_its_subscriptions(&self) -> bool {
        self.state == GroupState::Empty
            || (self.state == GroupState::Stable && self.protocol_type == CONSUMER)
    }

    /// Whether offsets may be taken away from it.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP`, if it has members of which nobody knows what they consume.
    pub(crate) fn check_offset_deletion(&self) -> Result<(), ResponseError> {
        let known = self.state == GroupState::Empty || self.protocol_type == CONSUMER;
        if known { Ok(()) } else { Err(ResponseError::NonEmptyGroup) }
    }

    /// The answers that have become due.
    pub(crate) fn take_answers(&mut self) -> Vec<(Token, Answer)> {
        mem::take(&mut self.answers)
    }

    /// Joins, or turns away.
    pub(crate) fn join(&mut self, now_ms: u64, request: JoinRequest, token: Token) {
        let member_id = request.member_id.clone();
        if let Err(error) = self.try_join(now_ms, request, token) {
            self.answers.push((token, Answer::NotJoined(error, member_id)));
        }
        self.complete_if_all_joined(now_ms);
    }

    fn try_join(&mut self, now_ms: u64, request: JoinRequest, token: Token) -> Result<(), ResponseError> {
        self.check_room(&request.member_id)?;
        self.check_protocols(&request)?;
        if !request.member_id.is_empty() {
            if self.announced.remove(&request.member_id).is_some() {
                let id = request.member_id.clone();
                self.admit(now_ms, id, request, token);
                return Ok(());
            }
            self.check_identity(&request.member_id, request.instance.as_deref())?;
            self.rejoin(now_ms, request, token);
            return Ok(());
        }
        let present = request.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        if let Some(old_id) = present {
            self.replace(now_ms, &old_id, request, token);
            return Ok(());
        }
        if request.knows_two_rounds && request.instance.is_none() {
            if self.members.len() + self.announced.len() >= MAX_MEMBERS {
                // Kafka announces without end; here even that has its limit.
                return Err(ResponseError::GroupMaxSizeReached);
            }
            let until = now_ms.saturating_add(request.session_timeout_ms);
            self.announced.insert(request.fresh_id.clone(), until);
            self.answers.push((token, Answer::NotJoined(ResponseError::MemberIdRequired, request.fresh_id)));
            return Ok(());
        }
        let id = request.fresh_id.clone();
        self.admit(now_ms, id, request, token);
        Ok(())
    }

    fn check_room(&self, member_id: &str) -> Result<(), ResponseError> {
        let taken = match self.state {
            GroupState::Empty => 0,
            // Of those who were members before, the last to join again may find no place.
            GroupState::PreparingRebalance if !self.members.get(member_id).is_some_and(Member::joins) => {
                self.members.values().filter(|member| member.joins()).count()
            }
            _ if self.members.contains_key(member_id) => 0,
            _ => self.members.len(),
        };
        if taken < MAX_MEMBERS { Ok(()) } else { Err(ResponseError::GroupMaxSizeReached) }
    }

    /// Whether there is a protocol that the client knows and all members know, itself included as it was before.
    fn check_protocols(&self, request: &JoinRequest) -> Result<(), ResponseError> {
        let same_type = self.members.is_empty() || self.protocol_type == request.protocol_type;
        let known_to_all = |name: &str| self.members.values().all(|member| member.supports(name));
        let common = request.protocols.iter().any(|(name, _)| known_to_all(name));
        if same_type && common && !request.protocol_type.is_empty() {
            Ok(())
        } else {
            Err(ResponseError::InconsistentGroupProtocol)
        }
    }

    fn admit(&mut self, now_ms: u64, id: String, request: JoinRequest, token: Token) {
        if let Some(instance) = &request.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.protocol_type = request.protocol_type;
        let member = Member {
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            waits_for: WaitsFor::Join(token),
            synced: false,
            expires_ms: now_ms,
        };
        self.members.insert(id.clone(), member);
        self.leader.get_or_insert(id);
        self.prepare(now_ms);
    }

    /// A member joins again: for a rebalance, because it wants something else, or because an answer was lost.
    fn rejoin(&mut self, now_ms: u64, request: JoinRequest, token: Token) {
        let id = request.member_id;
        let leads = self.leader.as_ref() == Some(&id);
        let Some(member) = self.members.get_mut(&id) else { return };
        // Only one answer can be wanted; who asks again does not wait for the first any more.
        let superseded = member.turned_away(&id, ResponseError::RebalanceInProgress);
        let unchanged = member.protocols == request.protocols;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.protocols = request.protocols;
        member.waits_for = WaitsFor::Nothing;
        member.beat(now_ms);
        self.answers.extend(superseded);
        let answer_was_lost = match self.state {
            GroupState::CompletingRebalance => unchanged,
            GroupState::Stable => unchanged && !leads,
            GroupState::Empty | GroupState::PreparingRebalance => false,
        };
        if answer_was_lost {
            let answer = self.place_of(&id, false);
            self.answers.push((token, answer));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.waits_for = WaitsFor::Join(token);
        }
        self.prepare(now_ms);
    }

    /// A static member is back under a new id; the old one is fenced. Its assignment is still its own.
    fn replace(&mut self, now_ms: u64, old_id: &str, request: JoinRequest, token: Token) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        self.answers.extend(member.turned_away(old_id, ResponseError::FencedInstanceId));
        let id = request.fresh_id;
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        let led = self.leader.as_deref() == Some(old_id);
        if led {
            self.leader = Some(id.clone());
        }
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.protocols = request.protocols;
        member.waits_for = WaitsFor::Nothing;
        member.beat(now_ms);
        self.members.insert(id.clone(), member);
        // As in Kafka, what it subscribes to takes effect with the next rebalance; only another protocol causes one.
        let same_protocol = self.protocol.is_some() && self.elect_protocol() == self.protocol;
        if self.state == GroupState::Stable && same_protocol {
            self.is_unsaved = true;
            let mut answer = self.place_of(&id, led && request.knows_skipping);
            if let (Answer::Joined(joined), true) = (&mut answer, led && !request.knows_skipping) {
                // An older leader would assign anew; under its old name it takes itself for a follower.
                old_id.clone_into(&mut joined.leader);
                joined.members.clear();
            }
            self.answers.push((token, answer));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.waits_for = WaitsFor::Join(token);
        }
        self.prepare(now_ms);
    }

    /// The current generation as a member is told of it.
    fn place_of(&self, id: &str, skip_assignment: bool) -> Answer {
        let leader = self.leader.clone().unwrap_or_default();
        let protocol = self.protocol.clone().unwrap_or_default();
        let told = |(id, member): (&String, &Member)| JoinedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&protocol),
        };
        let members = if leader == id { self.members.iter().map(told).collect() } else { Vec::new() };
        Answer::Joined(Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol,
            leader,
            skip_assignment,
            members,
        })
    }

    /// Begins a rebalance, unless one has begun.
    fn prepare(&mut self, now_ms: u64) {
        if self.state == GroupState::PreparingRebalance {
            return;
        }
        for member in self.members.values_mut() {
            if let WaitsFor::Sync(token) = member.waits_for {
                member.waits_for = WaitsFor::Nothing;
                member.beat(now_ms);
                self.answers.push((token, Answer::NotSynced(ResponseError::RebalanceInProgress)));
            }
        }
        self.state = GroupState::PreparingRebalance;
        self.round_ends_ms = Some(self.end_of_round(now_ms));
    }

    fn end_of_round(&self, now_ms: u64) -> u64 {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        now_ms.saturating_add(longest.unwrap_or(0))
    }

    fn complete_if_all_joined(&mut self, now_ms: u64) {
        let all = self.announced.is_empty() && self.members.values().all(Member::joins);
        if self.state == GroupState::PreparingRebalance && all {
            self.complete(now_ms);
        }
    }

    /// Begins the next generation with those who have joined.
    fn complete(&mut self, now_ms: u64) {
        self.members.retain(|_, member| member.joins() || member.instance.is_some());
        if self.members.is_empty() {
            self.become_empty(now_ms);
            return;
        }
        let leads = |id: &String| self.members.get(id).is_some_and(Member::joins);
        if !self.leader.as_ref().is_some_and(leads) {
            let candidate = self.members.iter().find(|(_, member)| member.joins());
            let Some((id, _)) = candidate else {
                // Only static members are left, and all are away: wait for them until their sessions end.
                self.round_ends_ms = Some(self.end_of_round(now_ms));
                return;
            };
            self.leader = Some(id.clone());
        }
        self.generation += 1;
        self.protocol = self.elect_protocol();
        self.state = GroupState::CompletingRebalance;
        self.round_ends_ms = Some(self.end_of_round(now_ms));
        for member in self.members.values_mut() {
            member.synced = false;
            member.assignment = Bytes::new();
        }
        let joined: Vec<(String, Token)> = self
            .members
            .iter()
            .filter_map(|(id, member)| match member.waits_for {
                WaitsFor::Join(token) => Some((id.clone(), token)),
                _ => None,
            })
            .collect();
        for (id, token) in joined {
            let answer = self.place_of(&id, false);
            self.answers.push((token, answer));
            if let Some(member) = self.members.get_mut(&id) {
                member.waits_for = WaitsFor::Nothing;
                member.beat(now_ms);
            }
        }
    }

    fn become_empty(&mut self, now_ms: u64) {
        self.is_unsaved = true;
        self.generation += 1;
        self.empty_since_ms = Some(now_ms);
        self.state = GroupState::Empty;
        self.protocol = None;
        self.leader = None;
        self.round_ends_ms = None;
        self.instances.clear();
    }

    /// Of the protocols that all members know, the one that most of them prefer.
    fn elect_protocol(&self) -> Option<String> {
        let known_to_all = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| known_to_all(name));
            *votes.entry(vote?).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
    }

    /// Gives a member its assignment, as soon as there is one.
    pub(crate) fn sync(&mut self, now_ms: u64, request: SyncRequest, token: Token) {
        if let Err(error) = self.try_sync(now_ms, request, token) {
            self.answers.push((token, Answer::NotSynced(error)));
        }
    }

    fn try_sync(&mut self, now_ms: u64, request: SyncRequest, token: Token) -> Result<(), ResponseError> {
        self.check_member(&request.member_id, request.instance.as_deref(), request.generation)?;
        let differs = |said: &Option<String>, is: &str| said.as_deref().is_some_and(|said| said != is);
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, self.protocol.as_deref().unwrap_or_default())
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let leads = self.leader.as_ref() == Some(&request.member_id);
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return Err(ResponseError::UnknownMemberId);
        };
        match self.state {
            GroupState::Empty => return Err(ResponseError::UnknownMemberId),
            GroupState::PreparingRebalance => return Err(ResponseError::RebalanceInProgress),
            GroupState::CompletingRebalance => {
                self.answers
                    .extend(member.turned_away(&request.member_id, ResponseError::RebalanceInProgress));
                member.synced = true;
                member.waits_for = WaitsFor::Sync(token);
                if leads {
                    self.stabilize(now_ms, request.assignments);
                }
            }
            GroupState::Stable => {
                member.synced = true;
                member.beat(now_ms);
                let synced = Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone().unwrap_or_default(),
                    assignment: member.assignment.clone(),
                };
                self.answers.push((token, Answer::Synced(synced)));
            }
        }
        self.end_round_if_all_synced();
        Ok(())
    }

    fn stabilize(&mut self, now_ms: u64, mut assignments: HashMap<String, Bytes>) {
        self.state = GroupState::Stable;
        self.is_unsaved = true;
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let WaitsFor::Sync(token) = member.waits_for {
                member.waits_for = WaitsFor::Nothing;
                member.beat(now_ms);
                let synced = Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone().unwrap_or_default(),
                    assignment: member.assignment.clone(),
                };
                self.answers.push((token, Answer::Synced(synced)));
            }
        }
    }

    fn end_round_if_all_synced(&mut self) {
        if self.state == GroupState::Stable && self.members.values().all(|member| member.synced) {
            self.round_ends_ms = None;
        }
    }

    /// A sign of life.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` tells the member to join again; all others tell it that it is none.
    pub(crate) fn heartbeat(
        &mut self,
        now_ms: u64,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.check_member(member_id, instance, generation)?;
        if let Some(member) = self.members.get_mut(member_id) {
            member.beat(now_ms);
        }
        if self.state == GroupState::PreparingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Members leave of their own will, or are removed by an administrator who knows their instances. However many they
    /// are, they cause one rebalance.
    pub(crate) fn leave(&mut self, now_ms: u64, who: &[Departure]) -> Vec<Result<(), ResponseError>> {
        let left: Vec<_> = who.iter().map(|who| self.leave_one(who)).collect();
        if left.contains(&Ok(true)) {
            self.rebalance_after_loss(now_ms);
        }
        self.complete_if_all_joined(now_ms);
        left.into_iter().map(|left| left.map(|_| ())).collect()
    }

    /// Says whether who left was a member, rather than one that was only announced.
    fn leave_one(&mut self, who: &Departure) -> Result<bool, ResponseError> {
        let id = match &who.instance {
            Some(instance) if who.member_id.is_empty() => {
                self.instances.get(instance).ok_or(ResponseError::UnknownMemberId)?.clone()
            }
            _ => who.member_id.clone(),
        };
        if self.announced.remove(&id).is_some() {
            return Ok(false);
        }
        self.check_identity(&id, who.instance.as_deref())?;
        self.remove(&id);
        Ok(true)
    }

    fn remove(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        self.answers.extend(member.turned_away(id, ResponseError::UnknownMemberId));
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    fn rebalance_after_loss(&mut self, now_ms: u64) {
        if matches!(self.state, GroupState::Stable | GroupState::CompletingRebalance) {
            self.prepare(now_ms);
        }
    }

    /// Whether a commit may be made by whoever makes it.
    pub(crate) fn check_commit(
        &mut self,
        now_ms: u64,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == GroupState::Empty {
            // A consumer that assigns itself, or a tool.
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(member_id, instance, generation)?;
        if self.state == GroupState::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.beat(now_ms);
        }
        Ok(())
    }

    /// The same for a commit within a transaction, for which it does not matter how far a rebalance is, and which older
    /// clients make without their membership.
    pub(crate) fn check_transactional_commit(
        &self,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let unnamed = member_id.is_empty() && instance.is_none();
        if generation < 0 && (unnamed || self.state == GroupState::Empty) {
            return Ok(());
        }
        self.check_member(member_id, instance, generation)
    }

    fn check_member(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<(), ResponseError> {
        self.check_identity(id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn check_identity(&self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(current) if current != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// The next moment at which [`tick`](Self::tick) may do something.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let waits = |member: &&Member| member.waits_for == WaitsFor::Nothing;
        let sessions = self.members.values().filter(waits).map(|member| member.expires_ms);
        sessions.chain(self.announced.values().copied()).chain(self.round_ends_ms).min()
    }

    /// Ends a member's session now, as if its time had passed. `false` if there is no such member.
    pub(crate) fn expire_member(&mut self, now_ms: u64, id: &str) -> bool {
        if !self.members.contains_key(id) {
            return false;
        }
        self.remove(id);
        self.rebalance_after_loss(now_ms);
        self.complete_if_all_joined(now_ms);
        true
    }

    /// Lets time pass: ends sessions, and rounds that took too long.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.announced.retain(|_, until| *until > now_ms);
        let expired = |(id, member): (&String, &Member)| member.is_expired(now_ms).then(|| id.clone());
        let mut lost: Vec<String> = self.members.iter().filter_map(expired).collect();
        let round_is_over = self.round_ends_ms.is_some_and(|end| end <= now_ms);
        if round_is_over && self.state != GroupState::PreparingRebalance {
            self.round_ends_ms = None;
            let late = self.members.iter().filter(|(_, member)| !member.synced);
            lost.extend(late.map(|(id, _)| id.clone()));
        }
        let any_lost = !lost.is_empty();
        for id in lost {
            self.remove(&id);
        }
        if any_lost {
            self.rebalance_after_loss(now_ms);
        }
        if round_is_over && self.round_ends_ms.is_some_and(|end| end <= now_ms) {
            self.complete(now_ms);
        }
        self.complete_if_all_joined(now_ms);
    }
}

#[cfg(test)]
#[path = "classic_tests.rs"]
mod tests;
