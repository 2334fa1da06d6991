//! A group of either protocol, and the offsets that it keeps when it goes over to the other one.

use kafka_protocol::error::ResponseError;

use super::classic::{CONSUMER, ClassicGroup, GroupState, StoredGeneration};
use super::consumer::{ConsumerGroup, Refused};
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

    /// The group for a member of the classic protocol. One without members goes over to it for a new member.
    pub(super) fn joined_classic(&mut self, is_new: bool) -> Result<&mut ClassicGroup, ResponseError> {
        if let Kind::Consumer(consumer) = &self.kind {
            match (consumer.is_empty(), is_new) {
                (false, _) => return Err(ResponseError::InconsistentGroupProtocol),
                (true, false) => return Err(ResponseError::UnknownMemberId),
                (true, true) => self.kind = Kind::default(),
            }
        }
        self.classic_mut().ok_or(ResponseError::InconsistentGroupProtocol)
    }

    /// The same for a member of the new protocol.
    pub(super) fn joined_consumer(&mut self, is_new: bool) -> Result<&mut ConsumerGroup, Refused> {
        if is_new && matches!(&self.kind, Kind::Classic(classic) if classic.state() == GroupState::Empty) {
            self.kind = Kind::Consumer(Box::default());
        }
        self.consumer_mut().ok_or_else(|| {
            let message = "the group is no group of the consumer protocol; its members use the classic one";
            (ResponseError::GroupIdNotFound, message.to_owned())
        })
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
        self.classic_mut().map(ClassicGroup::take_answers).unwrap_or_default()
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
    }
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
