//! The group protocol of KIP-848 as a state machine without clock, connection or task: the broker assigns, and members
//! learn by heartbeats what to give up and what is theirs.
//!
//! 1. A partition is a member's own only when no other member holds it: has it, or has not yet said that it gave it up.
//! 2. Who is a member, what they subscribe to or which topics there are changes: the group's epoch grows, and with the
//!    next heartbeat of anybody a target is computed for it.
//! 3. A member is at the epoch of the target when it has given up what is not its own any more; a request of another
//!    epoch than the member's is fenced, apart from the one before, since an answer may have been lost.
//! 4. A request that is refused has changed nothing.
//! 5. Time passes only in [`ConsumerGroup::tick`]; nothing happens before [`ConsumerGroup::next_deadline`].

mod assignor;
mod member;
mod migration;
mod subscription;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

pub(crate) use assignor::Assignor;
use assignor::Candidate;
use member::Target;
pub(crate) use member::{JOINING, LEAVING_FOR_A_WHILE, Member, Partitions, Progress};
use subscription::Pattern;
pub(crate) use subscription::TopicSource;

use super::MAX_MEMBERS;

/// Why a request is refused: Kafka's error, and a sentence.
pub(crate) type Refused = (ResponseError, String);

/// A group whose members use the new protocol.
#[derive(Debug, Default)]
pub(crate) struct ConsumerGroup {
    epoch: i32,
    /// The epoch that the target was computed for.
    target_epoch: i32,
    target: BTreeMap<String, Partitions>,
    members: BTreeMap<String, Member>,
    /// The current member id of each static member.
    instances: HashMap<String, String>,
    /// The topics that any member wants and that there are: their ids and numbers of partitions.
    topics: BTreeMap<String, (Uuid, i32)>,
    /// Of which version of all topics that is.
    topics_version: Option<u64>,
    patterns: BTreeMap<String, Pattern>,
}

/// What a member says. What is `None` is as it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: String,
    /// The member's epoch, or [`JOINING`].
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: Option<u64>,
    pub(crate) topics: Option<BTreeSet<String>>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<Assignor>,
    pub(crate) owned: Option<Partitions>,
    /// Of a member that speaks the classic protocol.
    pub(crate) classic: Option<member::ClassicSide>,
}

/// What a member is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    /// All that is its own, where that changed or the member has to be told again.
    pub(crate) assignment: Option<Partitions>,
}

/// Where a group is between two assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerGroupState {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl ConsumerGroupState {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl ConsumerGroup {
    pub(crate) fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            return ConsumerGroupState::Empty;
        }
        if self.epoch > self.target_epoch {
            return ConsumerGroupState::Assigning;
        }
        if self.members.values().all(|member| member.is_reconciled(self.target_epoch)) {
            return ConsumerGroupState::Stable;
        }
        ConsumerGroupState::Reconciling
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// What a member is to have in the end.
    pub(crate) fn target_of(&self, member_id: &str) -> Option<&Partitions> {
        self.target.get(member_id)
    }

    /// Whether a member consumes a topic.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        self.topics.contains_key(topic) || self.members.values().any(|member| member.topics.contains(topic))
    }

    /// The assignor that most members prefer of those that say so, or the default one.
    pub(crate) fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(assignor, _)| assignor).unwrap_or_default()
    }

    /// Answers a sign of life: of a member, or of one that wants to be one.
    ///
    /// # Errors
    /// Kafka's: `UNKNOWN_MEMBER_ID` and `FENCED_MEMBER_EPOCH` tell a member to join anew, without partitions.
    pub(crate) fn heartbeat(
        &mut self,
        now_ms: u64,
        request: Heartbeat,
        topics: &dyn TopicSource,
        session_timeout_ms: u64,
    ) -> Result<Place, Refused> {
        let pattern = self.checked_pattern(&request)?;
        let is_new = self.admit(&request)?;
        let id = request.member_id.clone();
        let owned = request.owned.clone();
        let is_full = request.is_full();
        let known = |group: &Self| group.members.get(&id).map(|member| member.assigned.clone());
        let before = known(self);
        if let Some(pattern) = pattern {
            self.patterns.insert(pattern.0, pattern.1);
        }
        let changed = is_new | self.update_member(request);
        self.refresh(changed, topics);
        self.assign_if_due();
        self.reconcile(now_ms, &id, owned.as_ref());
        let Some(member) = self.members.get_mut(&id) else { return Err(unknown_member(&id)) };
        member.session_ends_ms = now_ms.saturating_add(session_timeout_ms);
        let told = is_full || before.as_ref() != Some(&member.assigned);
        Ok(Place { member_id: id, epoch: member.epoch, assignment: told.then(|| member.assigned.clone()) })
    }

    /// Compiles an expression that the group does not know yet.
    fn checked_pattern(&self, request: &Heartbeat) -> Result<Option<(String, Pattern)>, Refused> {
        let new = request
            .pattern
            .as_ref()
            .filter(|expression| !expression.is_empty() && !self.patterns.contains_key(expression.as_str()));
        new.map(|expression| Ok((expression.clone(), Pattern::compile(expression)?))).transpose()
    }

    /// Finds the member, or makes one, and says whether it is new.
    fn admit(&mut self, request: &Heartbeat) -> Result<bool, Refused> {
        let id = request.member_id.as_str();
        let joins = request.epoch == JOINING;
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(id) {
            let message = format!("the group has {MAX_MEMBERS} members, which is the most it can have");
            return Err((ResponseError::GroupMaxSizeReached, message));
        }
        if let Some(instance) = &request.instance {
            return self.admit_static(instance, request);
        }
        match self.members.get(id) {
            Some(member) => check_epoch(member, request).map(|()| false),
            None if joins => {
                self.members.insert(id.to_owned(), Member::default());
                Ok(true)
            }
            None => Err(unknown_member(id)),
        }
    }

    fn admit_static(&mut self, instance: &str, request: &Heartbeat) -> Result<bool, Refused> {
        let id = request.member_id.as_str();
        let joins = request.epoch == JOINING;
        let Some(current) = self.instances.get(instance).cloned() else {
            if !joins {
                return Err(unknown_instance(instance));
            }
            let is_new = !self.members.contains_key(id);
            let member = self.members.entry(id.to_owned()).or_default();
            if let Some(former) = member.instance.replace(instance.to_owned()) {
                self.instances.remove(&former);
            }
            self.instances.insert(instance.to_owned(), id.to_owned());
            return Ok(is_new);
        };
        let Some(member) = self.members.get(&current) else { return Err(unknown_instance(instance)) };
        if !joins {
            check_instance(instance, &current, id)?;
            return check_epoch(member, request).map(|()| false);
        }
        // With the classic protocol, who comes with an instance takes its place over.
        let is_taken_over = member.classic.is_some() && request.classic.is_some();
        if member.epoch != LEAVING_FOR_A_WHILE && !is_taken_over {
            let message = format!("the instance `{instance}` is in use by the member `{current}`");
            return Err((ResponseError::UnreleasedInstanceId, message));
        }
        self.replace(&current, id, instance);
        Ok(false)
    }

    /// Gives the place of a static member that left for a while to its next incarnation.
    fn replace(&mut self, old: &str, new: &str, instance: &str) {
        let Some(member) = self.members.remove(old) else { return };
        let member = Member { epoch: JOINING, previous_epoch: JOINING, ..member };
        self.members.insert(new.to_owned(), member);
        if let Some(target) = self.target.remove(old) {
            self.target.insert(new.to_owned(), target);
        }
        self.instances.insert(instance.to_owned(), new.to_owned());
    }

    /// Takes over what a member says of itself, and says whether it subscribes to something else than before.
    fn update_member(&mut self, request: Heartbeat) -> bool {
        let Some(member) = self.members.get_mut(&request.member_id) else { return false };
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        member.instance = request.instance.or(member.instance.take());
        member.rack = request.rack.or(member.rack.take());
        member.assignor = request.assignor.or(member.assignor);
        member.classic = request.classic;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms.unwrap_or(member.rebalance_timeout_ms);
        let mut changed = false;
        if let Some(topics) = request.topics.filter(|topics| *topics != member.topics) {
            member.topics = topics;
            changed = true;
        }
        if let Some(pattern) = request.pattern {
            // An empty expression ends the subscription by one.
            let pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
            changed |= pattern != member.pattern;
            member.pattern = pattern;
        }
        changed
    }

    /// Begins an epoch if something changed that an assignment depends on.
    fn refresh(&mut self, changed: bool, source: &dyn TopicSource) {
        let version = source.version();
        if !changed && self.topics_version == Some(version) {
            return;
        }
        self.topics_version = Some(version);
        let wanted: BTreeSet<&String> =
            self.members.values().filter_map(|member| member.pattern.as_ref()).collect();
        self.patterns.retain(|expression, _| wanted.contains(expression));
        let mut rematched = false;
        if !self.patterns.is_empty() {
            let names = source.names();
            for pattern in self.patterns.values_mut() {
                rematched |= pattern.refresh(&names);
            }
        }
        let by_name = self.members.values().flat_map(|member| &member.topics);
        let by_pattern = self.patterns.values().flat_map(|pattern| &pattern.topics);
        let found = |name: &String| Some((name.clone(), source.find(name)?));
        let topics = by_name.chain(by_pattern).filter_map(found).collect();
        let others = self.topics != topics;
        self.topics = topics;
        // An epoch that has no target yet takes this in.
        let is_open = self.epoch > self.target_epoch;
        if changed || ((rematched || others) && !is_open) {
            self.epoch += 1;
        }
    }

    fn assign_if_due(&mut self) {
        if self.epoch == self.target_epoch {
            return;
        }
        let counts: HashMap<Uuid, i32> = self.topics.values().copied().collect();
        let candidates: Vec<Candidate<'_>> = self
            .members
            .iter()
            .map(|(id, member)| Candidate {
                id,
                instance: member.instance.as_deref(),
                topics: self.topics_of(member).into_iter().collect(),
                previous: self.target.get(id),
            })
            .collect();
        let assigned = self.assignor().assign(&candidates, &counts);
        self.target = self.members.keys().cloned().zip(assigned).collect();
        self.target_epoch = self.epoch;
    }

    /// What a member wants, of what there is.
    fn topics_of(&self, member: &Member) -> BTreeSet<Uuid> {
        let pattern = member.pattern.as_ref().and_then(|expression| self.patterns.get(expression));
        let names = member.topics.iter().chain(pattern.into_iter().flat_map(|pattern| &pattern.topics));
        names.filter_map(|name| self.topics.get(name)).map(|(id, _)| *id).collect()
    }

    fn reconcile(&mut self, now_ms: u64, id: &str, owned: Option<&Partitions>) {
        let target_epoch = self.target_epoch;
        if self.members.get(id).is_none_or(|member| member.is_reconciled(target_epoch)) {
            return;
        }
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let taken = others.flat_map(|(_, member)| member.holds()).copied().collect();
        let nothing = Partitions::new();
        let partitions = self.target.get(id).unwrap_or(&nothing);
        let target = Target { epoch: target_epoch, partitions, taken };
        let Some(member) = self.members.get_mut(id) else { return };
        if member.reconcile(&target, owned) {
            let deadline = now_ms.saturating_add(member.rebalance_timeout_ms);
            member.revocation_ends_ms = (member.progress == Progress::Unrevoked).then_some(deadline);
        }
    }

    /// A member leaves: for good, or a static one for a while.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, and `FENCED_INSTANCE_ID` if its place is another one's.
    pub(crate) fn leave(&mut self, id: &str, instance: Option<&str>, epoch: i32) -> Result<(), Refused> {
        if let Some(instance) = instance {
            let current = self.instances.get(instance).ok_or_else(|| unknown_instance(instance))?;
            check_instance(instance, current, id)?;
        }
        let member = self.members.get_mut(id).ok_or_else(|| unknown_member(id))?;
        if epoch == LEAVING_FOR_A_WHILE {
            // It is closed, so there is nothing that it could still have to give up.
            member.revoking.clear();
            member.revocation_ends_ms = None;
            member.advance(LEAVING_FOR_A_WHILE, Progress::Stable);
            return Ok(());
        }
        self.remove(id);
        Ok(())
    }

    /// Takes a member out, and with it what it held.
    fn remove(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = member.instance {
            self.instances.remove(&instance);
        }
        self.target.remove(id);
        self.epoch += 1;
        // What the rest want may be less.
        self.topics_version = None;
        if self.members.is_empty() {
            self.topics.clear();
            self.patterns.clear();
        }
    }

    /// Whether a commit may be made, or offsets be fetched, by who does so. `epoch` is the member's.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, and `STALE_MEMBER_EPOCH`, after which a member tries again with the epoch of its next heartbeat.
    pub(crate) fn check_member(&self, id: &str, epoch: i32) -> Result<(), ResponseError> {
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// The next moment at which [`tick`](Self::tick) may do something.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.members.values().map(Member::next_deadline).min()
    }

    /// Ends the session of a member now; whether there was such a member.
    pub(crate) fn expire_member(&mut self, id: &str) -> bool {
        let is_member = self.members.contains_key(id);
        if is_member {
            self.remove(id);
        }
        is_member
    }

    /// Lets time pass: ends sessions, and takes out who gives up too slowly what it has to.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        let late = |(id, member): (&String, &Member)| (member.next_deadline() <= now_ms).then(|| id.clone());
        let lost: Vec<String> = self.members.iter().filter_map(late).collect();
        for id in lost {
            self.remove(&id);
        }
    }
}

impl Heartbeat {
    /// Whether a member says everything, which it does when it may have missed an answer.
    fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.pattern.is_some();
        self.epoch == JOINING || (self.rebalance_timeout_ms.is_some() && subscribes && self.owned.is_some())
    }
}

fn check_epoch(member: &Member, request: &Heartbeat) -> Result<(), Refused> {
    let is_subset = || request.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
    let epoch = request.epoch;
    // Who was fenced joins anew under its id. And the answer with the current epoch may have been lost.
    if epoch == JOINING
        || epoch == member.epoch
        || (epoch == member.previous_epoch && epoch < member.epoch && is_subset())
    {
        return Ok(());
    }
    let message = format!(
        "the member `{}` says it is at epoch {epoch} and is at {}; it has to give up its partitions and join anew",
        request.member_id, member.epoch
    );
    Err((ResponseError::FencedMemberEpoch, message))
}

fn check_instance(instance: &str, current: &str, id: &str) -> Result<(), Refused> {
    if current == id {
        return Ok(());
    }
    let message = format!("the instance `{instance}` is the member `{current}` now, and no longer `{id}`");
    Err((ResponseError::FencedInstanceId, message))
}

fn unknown_member(id: &str) -> Refused {
    (ResponseError::UnknownMemberId, format!("`{id}` is no member of the group"))
}

fn unknown_instance(instance: &str) -> Refused {
    (ResponseError::UnknownMemberId, format!("no member of the group has the instance id `{instance}`"))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
