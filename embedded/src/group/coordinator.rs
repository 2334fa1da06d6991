//! The groups of the broker, and the clock and the connections that their state machines do without.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use tokio::sync::{Notify, oneshot};

use super::consumer::{Heartbeat, JOINING, LEAVING_FOR_A_WHILE, Place, Refused, TopicSource};
use super::kinds::Now;
use super::member::{Answer, Token};
use super::settings::{GroupConfig, GroupSettings};
use super::{Committer, Group, JoinRequest, OffsetStore, SyncRequest};
use crate::clock::Stopwatch;
use crate::storage::{Record, Storage, StoredGroup};

/// Groups of the broker. Beyond it those that hold nothing are forgotten, and then new ones refused.
const MAX_GROUPS: usize = 10_000;

/// Between two looks for expired offsets, at most.
const EXPIRY_INTERVAL_MS: u64 = 600_000;

/// All groups.
#[derive(Debug)]
pub(crate) struct Coordinator {
    inner: Mutex<Inner>,
    settings: GroupSettings,
    stopwatch: Stopwatch,
    storage: Storage,
    /// A deadline has come nearer than the one that is slept for.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    groups: BTreeMap<String, Group>,
    /// What is set for single groups, which need not exist.
    configs: BTreeMap<String, GroupConfig>,
    /// When is looked for expired offsets again.
    next_expiry_ms: u64,
    waiting: HashMap<Token, oneshot::Sender<Answer>>,
    last_token: Token,
    slept_for: Option<u64>,
}

impl Coordinator {
    pub(crate) fn new(stopwatch: Stopwatch, settings: GroupSettings, storage: Storage) -> Self {
        Self { inner: Mutex::default(), settings, stopwatch, storage, hurry: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a group, which is created if need be, and waits for its next generation.
    pub(crate) async fn join(
        &self,
        group_id: &str,
        request: JoinRequest,
        topics: &dyn TopicSource,
    ) -> Answer {
        let member_id = request.member_id.clone();
        let answer = {
            let mut inner = self.inner();
            let unknown = !inner.groups.contains_key(group_id);
            if unknown && !member_id.is_empty() {
                return Answer::NotJoined(ResponseError::UnknownMemberId, member_id);
            }
            if unknown && inner.make_room(&self.storage).is_err() {
                return Answer::NotJoined(ResponseError::PolicyViolation, member_id);
            }
            let (token, answer) = inner.new_waiter();
            let now_ms = self.stopwatch.elapsed_ms();
            inner.groups.entry(group_id.to_owned()).or_default().join(now_ms, request, token, topics);
            self.settle(&mut inner, group_id);
            answer
        };
        answer.await.unwrap_or(Answer::NotJoined(ResponseError::CoordinatorNotAvailable, member_id))
    }

    /// Waits for a member's assignment.
    pub(crate) async fn sync(&self, group_id: &str, request: SyncRequest) -> Answer {
        let answer = {
            let mut inner = self.inner();
            let (token, answer) = inner.new_waiter();
            let now_ms = self.stopwatch.elapsed_ms();
            match inner.groups.get_mut(group_id) {
                Some(group) => group.sync(now_ms, request, token),
                None => {
                    inner.deliver(vec![(token, Answer::NotSynced(ResponseError::UnknownMemberId))]);
                }
            }
            self.settle(&mut inner, group_id);
            answer
        };
        answer.await.unwrap_or(Answer::NotSynced(ResponseError::CoordinatorNotAvailable))
    }

    /// Takes a sign of life of a member of the new protocol, and says how often it is to give one, in milliseconds.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` where there is no such group, or one with members of the classic protocol, and those of
    /// [`ConsumerGroup`](super::consumer::ConsumerGroup).
    pub(crate) fn consumer_heartbeat(
        &self,
        group_id: &str,
        request: Heartbeat,
        topics: &dyn TopicSource,
    ) -> Result<(Place, u64), Refused> {
        let joins = request.epoch == JOINING;
        let mut inner = self.inner();
        let is_new = !inner.groups.contains_key(group_id);
        if is_new && !joins {
            let message = format!("there is no group `{group_id}`");
            return Err((ResponseError::GroupIdNotFound, message));
        }
        if is_new {
            inner
                .make_room(&self.storage)
                .map_err(|error| (error, "the broker has too many groups".to_owned()))?;
        }
        let settings = self.settings.with(inner.configs.get(group_id).copied().unwrap_or_default());
        let now_ms = self.stopwatch.elapsed_ms();
        let group = inner.groups.entry(group_id.to_owned()).or_default();
        let place = group
            .joined_consumer(now_ms, joins, topics)
            .and_then(|group| group.heartbeat(now_ms, request, topics, settings.session_timeout_ms));
        if place.is_err() && is_new {
            inner.groups.remove(group_id);
        }
        self.settle(&mut inner, group_id);
        Ok((place?, settings.heartbeat_interval_ms))
    }

    /// Takes a member of the new protocol out of its group, for good or for a while, as its epoch says.
    pub(crate) fn consumer_leave(
        &self,
        group_id: &str,
        member_id: &str,
        instance: Option<&str>,
        epoch: i32,
    ) -> Result<(), Refused> {
        debug_assert!((LEAVING_FOR_A_WHILE..JOINING).contains(&epoch));
        let left = self.with(group_id, |group, _| {
            let consumer = group.consumer_mut().ok_or_else(|| {
                let message = "the members of the group use the classic protocol";
                (ResponseError::GroupIdNotFound, message.to_owned())
            });
            consumer.and_then(|group| group.leave(member_id, instance, epoch))
        });
        let unknown = || Err((ResponseError::GroupIdNotFound, format!("there is no group `{group_id}`")));
        left.unwrap_or_else(unknown)
    }

    /// Whether a commit within a transaction may be made. Who is no member makes the group with it.
    pub(crate) fn check_transactional_commit(
        &self,
        group_id: &str,
        who: Committer<'_>,
    ) -> Result<(), ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        if who.generation >= 0 {
            let checked = self.with(group_id, |group, _| group.check_transactional_commit(who));
            return checked.unwrap_or(Err(ResponseError::IllegalGeneration));
        }
        self.with_new(group_id, |group, _| group.check_transactional_commit(who)).flatten()
    }

    /// The broker's settings of groups.
    pub(crate) fn settings(&self) -> GroupSettings {
        self.settings
    }

    /// What is set for a group.
    pub(crate) fn config(&self, group_id: &str) -> GroupConfig {
        self.inner().configs.get(group_id).copied().unwrap_or_default()
    }

    /// Sets it, once that is written down.
    ///
    /// # Errors
    /// `POLICY_VIOLATION`, where settings are kept for too many groups, and `KAFKA_STORAGE_ERROR`.
    pub(crate) fn set_config(
        &self,
        group_id: &str,
        config: GroupConfig,
        storage: &Storage,
    ) -> Result<(), ResponseError> {
        let mut inner = self.inner();
        let is_set = config != GroupConfig::default();
        let is_known = inner.configs.contains_key(group_id);
        if is_set && !is_known && inner.configs.len() >= MAX_GROUPS {
            return Err(ResponseError::PolicyViolation);
        }
        if !is_set && !is_known {
            return Ok(());
        }
        storage.write(|| vec![Record::GroupConfig { group: group_id.to_owned(), config }])?;
        if !is_set {
            inner.configs.remove(group_id);
            return Ok(());
        }
        inner.configs.insert(group_id.to_owned(), config);
        Ok(())
    }

    /// Forgets offsets that are no longer retained, and groups that hold nothing any more. Looks every ten minutes, as
    /// Kafka does, or more often where offsets are retained for less.
    pub(crate) fn expire_offsets(&self, store: &OffsetStore) {
        let mut inner = self.inner();
        let now = Now { elapsed_ms: self.stopwatch.elapsed_ms(), wall_ms: self.stopwatch.wall_ms() };
        if now.elapsed_ms < inner.next_expiry_ms {
            return;
        }
        let retention_ms = self.settings.offsets_retention_ms;
        inner.next_expiry_ms = now.elapsed_ms.saturating_add((retention_ms / 2).min(EXPIRY_INTERVAL_MS));
        for (group_id, group) in &mut inner.groups {
            group.expire_offsets(store, group_id, now, retention_ms);
        }
        inner.forget(&self.storage);
    }

    /// Does something with a group, if there is one. The function is given the time.
    pub(crate) fn with<R>(&self, group_id: &str, act: impl FnOnce(&mut Group, u64) -> R) -> Option<R> {
        let mut inner = self.inner();
        let result = act(inner.groups.get_mut(group_id)?, self.stopwatch.elapsed_ms());
        self.settle(&mut inner, group_id);
        Some(result)
    }

    /// The same with a group that is created if need be.
    pub(crate) fn with_new<R>(
        &self,
        group_id: &str,
        act: impl FnOnce(&mut Group, u64) -> R,
    ) -> Result<R, ResponseError> {
        let mut inner = self.inner();
        if !inner.groups.contains_key(group_id) {
            inner.make_room(&self.storage)?;
        }
        let result = act(inner.groups.entry(group_id.to_owned()).or_default(), self.stopwatch.elapsed_ms());
        self.settle(&mut inner, group_id);
        Ok(result)
    }

    /// Looks at every group, in the order of their names.
    pub(crate) fn map<R>(&self, look: impl FnMut((&String, &Group)) -> R) -> Vec<R> {
        self.inner().groups.iter().map(look).collect()
    }

    /// Deletes a group that has no members, once that is written down.
    pub(crate) fn delete(&self, group_id: &str, storage: &Storage) -> Result<(), ResponseError> {
        let mut inner = self.inner();
        let group = inner.groups.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        storage.write(|| vec![Record::GroupDeleted(group_id.to_owned())])?;
        inner.groups.remove(group_id);
        Ok(())
    }

    /// Takes over the members, offsets and settings of groups that a data directory holds.
    pub(crate) fn restore(
        &self,
        groups: BTreeMap<String, StoredGroup>,
        configs: BTreeMap<String, GroupConfig>,
        store: &OffsetStore,
    ) {
        let mut inner = self.inner();
        inner.configs = configs;
        let now_ms = self.stopwatch.elapsed_ms();
        for (group_id, stored) in groups {
            let group = match stored.generation {
                Some(generation) if self.settings.forgets_members => {
                    Group::restored(now_ms, generation.without_members())
                }
                Some(generation) => Group::restored(now_ms, generation),
                None => Group::left(now_ms),
            };
            let group = inner.groups.entry(group_id).insert_entry(group).into_mut();
            let offsets = &mut group.offsets;
            for ((topic, partition), offset) in stored.committed {
                offsets.restore(store, None, topic, partition, offset);
            }
            for (producer_id, pending) in stored.pending {
                for ((topic, partition), offset) in pending {
                    offsets.restore(store, Some(producer_id), topic, partition, offset);
                }
            }
        }
    }

    /// Forgets what was committed for a topic, in every group.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for group in self.inner().groups.values_mut() {
            group.offsets.forget_topic(topic);
        }
    }

    /// Lets time pass for the groups. Never ends; cancelled with the broker.
    pub(crate) async fn run_clock(&self) {
        loop {
            let next = self.tick();
            let sleep = async {
                match next {
                    Some(deadline) => self.stopwatch.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    /// Lets every group whose time has come act, and says when the next one's comes.
    pub(crate) fn tick(&self) -> Option<u64> {
        let mut inner = self.inner();
        let now_ms = self.stopwatch.elapsed_ms();
        let mut answers = Vec::new();
        let mut next: Option<u64> = None;
        for (group_id, group) in &mut inner.groups {
            if group.next_deadline().is_some_and(|deadline| deadline <= now_ms) {
                group.tick(now_ms);
                group.save(now_ms, group_id, &self.storage);
                answers.append(&mut group.take_answers());
            }
            next = next.into_iter().chain(group.next_deadline()).min();
        }
        inner.deliver(answers);
        // Not again within the same millisecond, whatever a group says.
        inner.slept_for = next.map(|deadline| deadline.max(now_ms + 1));
        inner.slept_for
    }

    fn settle(&self, inner: &mut Inner, group_id: &str) {
        let Some(group) = inner.groups.get_mut(group_id) else { return };
        let now_ms = self.stopwatch.elapsed_ms();
        group.settle(now_ms);
        group.save(now_ms, group_id, &self.storage);
        let answers = group.take_answers();
        let deadline = group.next_deadline();
        inner.deliver(answers);
        let sooner = deadline.is_some_and(|deadline| inner.slept_for.is_none_or(|slept| deadline < slept));
        if sooner {
            inner.slept_for = deadline;
            self.hurry.notify_one();
        }
    }
}

impl Inner {
    fn new_waiter(&mut self) -> (Token, oneshot::Receiver<Answer>) {
        self.last_token += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(self.last_token, sender);
        (self.last_token, receiver)
    }

    fn deliver(&mut self, answers: Vec<(Token, Answer)>) {
        for (token, answer) in answers {
            if let Some(waiter) = self.waiting.remove(&token) {
                // Whoever is gone needs no answer.
                let _ = waiter.send(answer);
            }
        }
    }

    /// Forgets groups that hold nothing, once that is written down, so that a restart does not bring them back.
    fn forget(&mut self, storage: &Storage) {
        let forgettable = |(id, group): (&String, &Group)| group.is_forgettable().then(|| id.clone());
        let gone: Vec<String> = self.groups.iter().filter_map(forgettable).collect();
        let records = || gone.iter().cloned().map(Record::GroupDeleted).collect();
        if !gone.is_empty() && storage.write(records).is_ok() {
            self.groups.retain(|id, _| gone.binary_search(id).is_err());
        }
    }

    fn make_room(&mut self, storage: &Storage) -> Result<(), ResponseError> {
        if self.groups.len() >= MAX_GROUPS {
            self.forget(storage);
        }
        if self.groups.len() < MAX_GROUPS { Ok(()) } else { Err(ResponseError::PolicyViolation) }
    }
}
