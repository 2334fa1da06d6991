//! The groups of the broker, and the clock and the connections that their state machines do without.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use super::member::{Answer, Token};
use super::{Group, JoinRequest, OffsetStore, SyncRequest};
use crate::clock::Stopwatch;
use crate::storage::{Record, Storage, StoredGroup};

/// Groups of the broker. Beyond it those that hold nothing are forgotten, and then new ones refused.
const MAX_GROUPS: usize = 10_000;

/// All groups.
#[derive(Debug)]
pub(crate) struct Coordinator {
    inner: Mutex<Inner>,
    stopwatch: Stopwatch,
    /// A deadline has come nearer than the one that is slept for.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    groups: BTreeMap<String, Group>,
    waiting: HashMap<Token, oneshot::Sender<Answer>>,
    last_token: Token,
    slept_for: Option<u64>,
}

impl Coordinator {
    pub(crate) fn new(stopwatch: Stopwatch) -> Self {
        Self { inner: Mutex::default(), stopwatch, hurry: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a group, which is created if need be, and waits for its next generation.
    pub(crate) async fn join(&self, group_id: &str, request: JoinRequest) -> Answer {
        let member_id = request.member_id.clone();
        let answer = {
            let mut inner = self.inner();
            let unknown = !inner.groups.contains_key(group_id);
            if unknown && !member_id.is_empty() {
                return Answer::NotJoined(ResponseError::UnknownMemberId, member_id);
            }
            if unknown && inner.make_room().is_err() {
                return Answer::NotJoined(ResponseError::PolicyViolation, member_id);
            }
            let (token, answer) = inner.new_waiter();
            let now_ms = self.stopwatch.elapsed_ms();
            inner.groups.entry(group_id.to_owned()).or_default().join(now_ms, request, token);
            self.settle(&mut inner, group_id);
            answer
        };
        answer.await.unwrap_or(Answer::NotJoined(ResponseError::CoordinatorNotAvailable, member_id))
    }

    /// Waits for a member's assignment.
    pub(crate) async fn sync(&self, group_id: &str, request: SyncRequest) -> Answer {
        let answer = {
            let mut inner = self.inner();
            if !inner.groups.contains_key(group_id) {
                return Answer::NotSynced(ResponseError::UnknownMemberId);
            }
            let (token, answer) = inner.new_waiter();
            let now_ms = self.stopwatch.elapsed_ms();
            inner.groups.entry(group_id.to_owned()).or_default().sync(now_ms, request, token);
            self.settle(&mut inner, group_id);
            answer
        };
        answer.await.unwrap_or(Answer::NotSynced(ResponseError::CoordinatorNotAvailable))
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
            inner.make_room()?;
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
        if group.state() != super::GroupState::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        storage.write(|| vec![Record::GroupDeleted(group_id.to_owned())])?;
        inner.groups.remove(group_id);
        Ok(())
    }

    /// Takes over the offsets that a data directory holds.
    pub(crate) fn restore(&self, groups: BTreeMap<String, StoredGroup>, store: &OffsetStore) {
        let mut inner = self.inner();
        for (group_id, stored) in groups {
            let offsets = &mut inner.groups.entry(group_id).or_default().offsets;
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
                    Some(deadline) => sleep_until(self.stopwatch.instant_of(deadline)).await,
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
    fn tick(&self) -> Option<u64> {
        let mut inner = self.inner();
        let now_ms = self.stopwatch.elapsed_ms();
        let mut answers = Vec::new();
        let mut next: Option<u64> = None;
        for group in inner.groups.values_mut() {
            if group.next_deadline().is_some_and(|deadline| deadline <= now_ms) {
                group.tick(now_ms);
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

    fn make_room(&mut self) -> Result<(), ResponseError> {
        if self.groups.len() >= MAX_GROUPS {
            self.groups.retain(|_, group| !group.is_forgettable());
        }
        if self.groups.len() < MAX_GROUPS { Ok(()) } else { Err(ResponseError::PolicyViolation) }
    }
}
