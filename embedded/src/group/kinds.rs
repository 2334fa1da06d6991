//! A group of either protocol, and the offsets that it keeps when it goes over to the other one.

use kafka_protocol::error::ResponseError;

use super::classic::{
    CONSUMER, ClassicGroup, Departure, GroupState, JoinRequest, StoredGeneration, SyncRequest,
};
use super::consumer::{ConsumerGroup, Refused, TopicSource};
use super::member::{Answer, Token};
use super::offsets::{OffsetStore, Offsets};
use crate::storage::{Record, Storage};

/// The first version of `OffsetCommit` with epochs of members.
const FIRST_WITH_EPOCHS: i16 = 9;

/// A consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) offsets: Offsets,
    kind: Kind,
    /// Answers that are due, beside those of a group of the classic protocol.
    answers: Vec<(Token, Answer)>,
}

/// The protocol of a group's members.
#[derive(Debug)]
pub(crate) enum Kind {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

/// Who commits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committer<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance: Option<&'a str>,
    /// The generation, or the member's epoch.
    pub(crate) generation: i32,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) elapsed_ms: u64,
    pub(crate) wall_ms: i64,
}

impl Default for Kind {
    fn default() -> Self {
        Self::Classic(Box::default())
    }
}

impl Group {
    /// A group whose members are gone, with what it has committed.
    pub(super) fn left(now_ms: u64) -> Self {
        Self { kind: Kind::Classic(Box::new(ClassicGroup::left(now_ms))), ..Self::default() }
    }

    /// A group with the members that it had when the broker ended.
    pub(super) fn restored(now_ms: u64, generation: StoredGeneration) -> Self {
        Self { kind: Kind::Classic(Box::new(ClassicGroup::restored(now_ms, generation))), ..Self::default() }
    }

    /// Has its members written down, if they have to be before anybody is answered.
    pub(super) fn save(&mut self, now_ms: u64, id: &str, storage: &Storage) {
        let Some(classic) = self.classic_mut() else { return };
        let Some(generation) = classic.take_unsaved() else { return };
        let record = || vec![Record::Generation { group: id.to_owned(), generation }];
        if storage.write(record).is_err() {
            classic.not_saved(now_ms);
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The group, if its members use the classic protocol.
    pub(crate) fn classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match &mut self.kind {
            Kind::Classic(classic) => Some(classic),
            Kind::Consumer(_) => None,
        }
    }

    /// The group, if its members use the new protocol.
    pub(crate) fn consumer_mut(&mut self) -> Option<&mut ConsumerGroup> {
        match &mut self.kind {
            Kind::Consumer(consumer) => Some(consumer),
            Kind::Classic(_) => None,
        }
    }

    /// A member of the classic protocol joins, or joins again. A group without members goes over to that protocol; one
    /// with members of the new protocol takes it in beside them.
    pub(super) fn join(&mut self, now_ms: u64, request: JoinRequest, token: Token, topics: &dyn TopicSource) {
        let is_new = request.member_id.is_empty();
        if is_new && matches!(&self.kind, Kind::Consumer(consumer) if consumer.is_empty()) {
            self.kind = Kind::default();
        }
        match &mut self.kind {
            Kind::Classic(classic) => classic.join(now_ms, request, token),
            Kind::Consumer(consumer) if consumer.is_empty() => {
                let unknown = Answer::NotJoined(ResponseError::UnknownMemberId, request.member_id);
                self.answers.push((token, unknown));
            }
            Kind::Consumer(consumer) => {
                self.answers.push((token, consumer.join_classic(now_ms, request, topics)));
            }
        }
    }

    /// A member of the classic protocol asks for its assignment.
    pub(super) fn sync(&mut self, now_ms: u64, request: SyncRequest, token: Token) {
        match &mut self.kind {
            Kind::Classic(classic) => classic.sync(now_ms, request, token),
            Kind::Consumer(consumer) => {
                self.answers.push((token, consumer.sync_classic(now_ms, &request)));
            }
        }
    }

    /// A sign of life of a member of the classic protocol.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` tells the member to join again; all others tell it that it is none.
    pub(crate) fn heartbeat(
        &mut self,
        now_ms: u64,
        who: Committer<'_>,
        topics: &dyn TopicSource,
    ) -> Result<(), ResponseError> {
        let Committer { member_id, instance, generation } = who;
        match &mut self.kind {
            Kind::Classic(classic) => classic.heartbeat(now_ms, member_id, instance, generation),
            Kind::Consumer(consumer) => {
                consumer.heartbeat_classic(now_ms, member_id, instance, generation, topics)
            }
        }
    }

    /// Members of the classic protocol leave, or are removed by an administrator who knows their instances.
    pub(crate) fn leave(&mut self, now_ms: u64, who: &[Departure]) -> Vec<Result<(), ResponseError>> {
        match &mut self.kind {
            Kind::Classic(classic) => classic.leave(now_ms, who),
            Kind::Consumer(consumer) => who.iter().map(|who| consumer.leave_classic(who)).collect(),
        }
    }

    /// The group for a member of the new protocol. With a new one, a group of consumers goes over to that protocol,
    /// whether it has members or not.
    pub(super) fn joined_consumer(
        &mut self,
        now_ms: u64,
        is_new: bool,
        topics: &dyn TopicSource,
    ) -> Result<&mut ConsumerGroup, Refused> {
        if let (true, Kind::Classic(classic)) = (is_new, &mut self.kind) {
            let upgraded = match classic.state() {
                GroupState::Empty => Some(ConsumerGroup::default()),
                _ => ConsumerGroup::upgraded(now_ms, &classic.stored(), topics),
            };
            if let Some(upgraded) = upgraded {
                // Whoever waits joins again, and is then told what the broker assigned.
                self.answers.append(&mut classic.dissolve());
                self.kind = Kind::Consumer(Box::new(upgraded));
            }
        }
        self.consumer_mut().ok_or_else(|| {
            let message = "the group is no group of the consumer protocol, and its members are no consumers";
            (ResponseError::GroupIdNotFound, message.to_owned())
        })
    }

    /// Goes back to the classic protocol, once nobody is left who needs the new one.
    pub(super) fn settle(&mut self, now_ms: u64) {
        let Kind::Consumer(consumer) = &self.kind else { return };
        if consumer.has_only_classic_members() {
            let classic = ClassicGroup::downgraded(now_ms, consumer.downgraded());
            self.kind = Kind::Classic(Box::new(classic));
        }
    }

    /// Kafka's name of the state.
    pub(crate) fn state_name(&self) -> &'static str {
        match &self.kind {
            Kind::Classic(classic) => classic.state().name(),
            Kind::Consumer(consumer) => consumer.state().name(),
        }
    }

    /// Kafka's name of the kind of group.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Classic(_) => "classic",
            Kind::Consumer(_) => "consumer",
        }
    }

    pub(crate) fn protocol_type(&self) -> &str {
        match &self.kind {
            Kind::Classic(classic) => classic.protocol_type(),
            Kind::Consumer(_) => CONSUMER,
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.state() == GroupState::Empty,
            Kind::Consumer(consumer) => consumer.is_empty(),
        }
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_forgettable(&self) -> bool {
        let idle = match &self.kind {
            Kind::Classic(classic) => classic.is_forgettable(),
            Kind::Consumer(consumer) => consumer.is_empty(),
        };
        idle && self.offsets.is_empty()
    }

    /// Ends the session of a member now; whether there was such a member.
    pub(crate) fn expire_member(&mut self, now_ms: u64, member_id: &str) -> bool {
        match &mut self.kind {
            Kind::Classic(classic) => classic.expire_member(now_ms, member_id),
            Kind::Consumer(consumer) => consumer.expire_member(member_id),
        }
    }

    /// Whether a member consumes a topic.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.subscribes(topic),
            Kind::Consumer(consumer) => consumer.subscribes(topic),
        }
    }

    /// Whether offsets may be taken away from it.
    pub(crate) fn check_offset_deletion(&self) -> Result<(), ResponseError> {
        match &self.kind {
            Kind::Classic(classic) => classic.check_offset_deletion(),
            Kind::Consumer(_) => Ok(()),
        }
    }

    /// Whether a commit may be made by whoever makes it, in a version of the request.
    ///
    /// # Errors
    /// Those of the group's protocol, and `UNSUPPORTED_VERSION` for a member whose epoch the request cannot say.
    pub(crate) fn check_commit(
        &mut self,
        now_ms: u64,
        who: Committer<'_>,
        version: i16,
    ) -> Result<(), ResponseError> {
        match &mut self.kind {
            Kind::Classic(classic) => {
                classic.check_commit(now_ms, who.member_id, who.instance, who.generation)
            }
            Kind::Consumer(consumer) if who.generation < 0 && consumer.is_empty() => Ok(()),
            Kind::Consumer(consumer) if consumer.is_classic(who.member_id) => {
                consumer.check_classic(who.member_id, who.instance, who.generation)
            }
            Kind::Consumer(consumer) => match consumer.check_member(who.member_id, who.generation) {
                Err(ResponseError::UnknownMemberId) => Err(ResponseError::UnknownMemberId),
                _ if version < FIRST_WITH_EPOCHS => Err(ResponseError::UnsupportedVersion),
                checked => checked,
            },
        }
    }

    /// The same for a commit within a transaction, which older clients make without their membership.
    pub(crate) fn check_transactional_commit(&self, who: Committer<'_>) -> Result<(), ResponseError> {
        match &self.kind {
            Kind::Classic(classic) => {
                classic.check_transactional_commit(who.member_id, who.instance, who.generation)
            }
            Kind::Consumer(consumer) => {
                let unnamed = who.member_id.is_empty() && who.instance.is_none();
                if who.generation < 0 && (unnamed || consumer.is_empty()) {
                    return Ok(());
                }
                // The request has no name for an epoch that is over.
                consumer.check_member(who.member_id, who.generation).map_err(|error| match error {
                    ResponseError::StaleMemberEpoch => ResponseError::IllegalGeneration,
                    other => other,
                })
            }
        }
    }

    /// Whether offsets may be fetched by who says to be a member. Who says nothing may.
    pub(crate) fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ResponseError> {
        match &self.kind {
            Kind::Consumer(consumer) if member_id.is_some() || epoch >= 0 => {
                consumer.check_member(member_id.unwrap_or_default(), epoch)
            }
            _ => Ok(()),
        }
    }

    /// Forgets the offsets that are no longer retained, of topics that nobody consumes.
    pub(super) fn expire_offsets(&mut self, store: &OffsetStore, id: &str, now: Now, retention_ms: u64) {
        let retention = i64::try_from(retention_ms).unwrap_or(i64::MAX);
        let kind = &self.kind;
        let empty_for_ms = match kind {
            Kind::Classic(classic) if !classic.knows_its_subscriptions() => return,
            Kind::Classic(classic) => {
                classic.empty_since_ms().map(|since| now.elapsed_ms.saturating_sub(since))
            }
            Kind::Consumer(_) => None,
        };
        let subscribes = |topic: &str| match kind {
            Kind::Classic(classic) => classic.subscribes(topic),
            Kind::Consumer(consumer) => consumer.subscribes(topic),
        };
        self.offsets.expire(store, id, |topic, offset| {
            let expired = match (offset.expires_ms, empty_for_ms) {
                (Some(end), _) => end <= now.wall_ms,
                (None, Some(empty_for_ms)) => empty_for_ms >= retention_ms,
                (None, None) => now.wall_ms.saturating_sub(offset.committed_ms) >= retention,
            };
            expired && !subscribes(topic)
        });
    }

    pub(super) fn take_answers(&mut self) -> Vec<(Token, Answer)> {
        let mut answers = std::mem::take(&mut self.answers);
        if let Some(classic) = self.classic_mut() {
            answers.append(&mut classic.take_answers());
        }
        answers
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        match &self.kind {
            Kind::Classic(classic) => classic.next_deadline(),
            Kind::Consumer(consumer) => consumer.next_deadline(),
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        match &mut self.kind {
            Kind::Classic(classic) => classic.tick(now_ms),
            Kind::Consumer(consumer) => consumer.tick(now_ms),
        }
        self.settle(now_ms);
    }
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
