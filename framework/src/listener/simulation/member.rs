//! A member of the simulated group as librdkafka behaves: it joins, is told of rebalances, waits for their answers,
//! fetches, and commits.
//!
//! # What it keeps to
//! 1. One rebalance at a time waits for its answer, and each is answered by what was asked.
//! 2. Until the answer, records of partitions that are to be given up are still handed out.
//! 3. What a member sends to the coordinator arrives in the order in which it was sent, or not at all.

mod commits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kafka_boot_client::{ClientError, ConsumerEvent, ErrorCode, PartitionOffset, TopicPartition};
use tokio::sync::Notify;

use super::cluster::{Answer, Event, Fate, Request, Retry, Told, World, error, partition_name};
use super::group::Claim;
use super::history::Note;
use super::ledger::{Committed, End, Epoch, place};
use super::plan::{AUTO_COMMIT_INTERVAL, COMMIT_TIMEOUT, HEARTBEAT_INTERVAL, SESSION_TIMEOUT};
use crate::listener::offset_map::OffsetMap;

#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of one thing")]
pub(super) struct Member {
    pub(super) is_alive: bool,
    /// Tells its poll thread that there is something.
    pub(super) notify: Arc<Notify>,
    pub(super) told: Told,
    pub(super) cut_until: Duration,
    pub(super) stalled_until: Duration,
    pub(super) last_request: Duration,
    pub(super) last_answer: Duration,
    pub(super) assignment: BTreeMap<i32, Fetch>,
    state: State,
    generation: Option<i32>,
    heard_at: Duration,
    /// When the last rebalance was announced, or the consumer told to stop.
    pub(super) asked_at: Duration,
    /// Until when commits cannot be expected to succeed.
    pub(super) troubled_until: Duration,
    /// The broker refused metadata, so none is sent any more.
    is_without_maps: bool,
    waits_to_join: bool,
    /// How often it has joined.
    joins: u32,
    is_draining: bool,
    /// Answers that could not reach it, in order.
    postponed: VecDeque<Answer>,
    commits: usize,
    failing_at: Vec<Duration>,
    stored: BTreeMap<i32, i64>,
    /// What the committed metadata told, for the next assignment.
    looked_up: BTreeMap<i32, Option<OffsetMap>>,
}

/// What is read of a partition.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) epoch: Epoch,
    pub(super) position: Option<i64>,
    pub(super) is_paused: bool,
}

#[derive(Debug)]
enum State {
    Joining,
    Syncing,
    /// A rebalance was told, of these partitions, and not answered.
    Asking {
        partitions: BTreeSet<i32>,
        kind: Asked,
        then: Then,
    },
    Steady,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Assign,
    Revoke,
    Lost,
}

/// What follows an answer.
#[derive(Debug, Clone)]
enum Then {
    Stay,
    Join,
    AssignAndJoin(BTreeSet<i32>),
}

/// A record as it is handed out.
#[derive(Debug)]
pub(super) struct HandedOut {
    pub(super) epoch: Epoch,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<u64>,
}

impl Member {
    /// Whether it would be given records of a partition.
    pub(super) fn reads(&self, partition: i32) -> bool {
        let reads = |fetch: &Fetch| fetch.position.is_some() && !fetch.is_paused;
        self.is_alive && self.assignment.get(&partition).is_some_and(reads)
    }
}

impl World {
    /// A consumer is made, and subscribes.
    pub(super) fn subscribe(&mut self) -> u32 {
        let id = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let now = self.now();
        self.members.push(Member {
            is_alive: true,
            notify: Arc::new(Notify::new()),
            told: Told::new(),
            cut_until: Duration::ZERO,
            stalled_until: Duration::ZERO,
            last_request: Duration::ZERO,
            last_answer: Duration::ZERO,
            assignment: BTreeMap::new(),
            state: State::Joining,
            generation: None,
            heard_at: now,
            asked_at: Duration::ZERO,
            troubled_until: Duration::ZERO,
            is_without_maps: false,
            waits_to_join: false,
            joins: 0,
            is_draining: false,
            postponed: VecDeque::new(),
            commits: 0,
            failing_at: Vec::new(),
            stored: BTreeMap::new(),
            looked_up: BTreeMap::new(),
        });
        self.note(Note::Started { consumer: id });
        self.join(id);
        self.after(HEARTBEAT_INTERVAL, Event::Heartbeat(id));
        if self.plan.is_auto() {
            self.after(AUTO_COMMIT_INTERVAL, Event::AutoCommit(id));
        }
        id
    }

    pub(super) fn member(&mut self, id: u32) -> &mut Member {
        &mut self.members[id as usize]
    }

    pub(super) fn join(&mut self, id: u32) {
        if !self.member(id).is_alive {
            return;
        }
        let until = self.unreachable_until(id);
        let member = self.member(id);
        (member.state, member.waits_to_join) = (State::Joining, until.is_some());
        if let Some(until) = until {
            return self.at(until, Event::Retry(id, Retry::Join));
        }
        let member = self.member(id);
        member.joins += 1;
        let claim = Claim {
            number: member.joins,
            generation: member.generation,
            owned: member.assignment.keys().copied().collect(),
        };
        self.send(id, Request::Join(claim));
    }

    /// The coordinator may be within reach again.
    pub(super) fn join_at_last(&mut self, id: u32) {
        if self.member(id).waits_to_join {
            self.join(id);
        }
    }

    pub(super) fn heartbeat(&mut self, id: u32) {
        let now = self.now();
        let member = self.member(id);
        if !member.is_alive {
            return;
        }
        let (generation, is_joined) = (member.generation, !matches!(member.state, State::Joining));
        if generation.is_some() && is_joined {
            if now > member.heard_at + SESSION_TIMEOUT {
                self.lose(id);
            } else if let (Some(generation), None) = (generation, self.unreachable_until(id)) {
                self.send(id, Request::Heartbeat { generation });
            }
        }
        self.after(HEARTBEAT_INTERVAL, Event::Heartbeat(id));
    }

    pub(super) fn member_gets(&mut self, id: u32, answer: Answer) {
        if !self.member(id).is_alive {
            return;
        }
        let is_waiting = !self.member(id).postponed.is_empty();
        if let Some(until) = self.unreachable_until(id).or(is_waiting.then(|| self.now())) {
            match answer {
                Answer::Heartbeat(_) => {}
                Answer::Committed(mut commit, _) => {
                    commit.fate = Fate::AnswerLost(Duration::ZERO, ErrorCode::TIMED_OUT);
                    self.commit_answered(id, &commit, Ok(Vec::new()));
                }
                // It comes when the connection is there again; only a commit's does not.
                other => {
                    self.member(id).postponed.push_back(other);
                    self.at(until, Event::Flush(id));
                }
            }
            return;
        }
        let now = self.now();
        match answer {
            Answer::Heartbeat(result) => self.heartbeat_answered(id, result),
            Answer::Joined(generation, number) => {
                let member = self.member(id);
                if matches!(member.state, State::Joining) && member.joins == number {
                    (member.state, member.generation, member.heard_at) =
                        (State::Syncing, Some(generation), now);
                }
            }
            Answer::JoinRefused(number) => {
                let member = self.member(id);
                if matches!(member.state, State::Joining | State::Syncing) && member.joins == number {
                    self.lose(id);
                }
            }
            Answer::Rejoin(generation) => {
                let member = self.member(id);
                if matches!(member.state, State::Syncing) && member.generation == Some(generation) {
                    self.join(id);
                }
            }
            Answer::Assigned(generation, partitions) => {
                let member = self.member(id);
                member.heard_at = now;
                if matches!(member.state, State::Syncing) && member.generation == Some(generation) {
                    self.assigned(id, partitions.into_iter().collect());
                }
            }
            Answer::Committed(commit, verdict) => self.commit_answered(id, &commit, verdict),
            Answer::Offset { partition, epoch, offset } => self.start_fetching(id, partition, epoch, offset),
        }
    }

    /// Lets a member have what could not reach it.
    pub(super) fn flush(&mut self, id: u32) {
        if self.member(id).postponed.is_empty() {
            return;
        }
        if let Some(until) = self.unreachable_until(id) {
            return self.at(until, Event::Flush(id));
        }
        for answer in std::mem::take(&mut self.member(id).postponed) {
            self.member_gets(id, answer);
        }
    }

    fn heartbeat_answered(&mut self, id: u32, result: Result<(), ErrorCode>) {
        let now = self.now();
        let member = self.member(id);
        match result {
            Ok(()) => member.heard_at = now,
            Err(ErrorCode::REBALANCE_IN_PROGRESS) => {
                member.heard_at = now;
                if matches!(member.state, State::Steady) {
                    self.rejoin(id);
                }
            }
            Err(_) if matches!(member.state, State::Steady) => self.lose(id),
            // While a rebalance is under way, that it fails is found out in time.
            Err(_) => {}
        }
    }

    fn rejoin(&mut self, id: u32) {
        let all = self.owned(id);
        if self.plan.is_cooperative || all.is_empty() {
            self.join(id);
        } else {
            self.ask(id, Asked::Revoke, all, Then::Join);
        }
    }

    fn owned(&mut self, id: u32) -> BTreeSet<i32> {
        self.member(id).assignment.keys().copied().collect()
    }

    /// The membership is over.
    fn lose(&mut self, id: u32) {
        let all = self.owned(id);
        let now = self.now();
        let member = self.member(id);
        if matches!(member.state, State::Asking { .. } | State::Closed) {
            return;
        }
        (member.generation, member.heard_at) = (None, now);
        if all.is_empty() {
            self.join(id);
        } else {
            self.ask(id, Asked::Lost, all, Then::Join);
        }
    }

    fn assigned(&mut self, id: u32, partitions: BTreeSet<i32>) {
        if !self.plan.is_cooperative {
            return self.ask(id, Asked::Assign, partitions, Then::Stay);
        }
        let owned = self.owned(id);
        let added: BTreeSet<i32> = partitions.difference(&owned).copied().collect();
        let revoked: BTreeSet<i32> = owned.difference(&partitions).copied().collect();
        if revoked.is_empty() {
            self.ask(id, Asked::Assign, added, Then::Stay);
        } else {
            self.ask(id, Asked::Revoke, revoked, Then::AssignAndJoin(added));
        }
    }

    fn ask(&mut self, id: u32, kind: Asked, partitions: BTreeSet<i32>, then: Then) {
        let now = self.now();
        let names: Vec<TopicPartition> =
            partitions.iter().map(|partition| partition_name(*partition)).collect();
        self.note(Note::Asked {
            consumer: id,
            what: name(kind),
            partitions: partitions.iter().copied().collect(),
        });
        let member = self.member(id);
        member.told.push_back(match kind {
            Asked::Assign => ConsumerEvent::Assign { partitions: names },
            Asked::Revoke => ConsumerEvent::Revoke { partitions: names, lost: false },
            Asked::Lost => ConsumerEvent::Revoke { partitions: names, lost: true },
        });
        member.state = State::Asking { partitions, kind, then };
        member.waits_to_join = false;
        if !member.is_draining {
            member.asked_at = now;
        }
        member.notify.notify_one();
    }

    /// The owner takes partitions over: the answer to an assignment.
    pub(super) fn take_over(&mut self, id: u32, offsets: &[PartitionOffset]) -> Result<(), ClientError> {
        let given: BTreeSet<i32> = offsets.iter().map(|offset| offset.partition.partition).collect();
        let Some(then) = self.answered(id, &[Asked::Assign], &given) else {
            return Err(error(ErrorCode::STATE));
        };
        for offset in offsets {
            let partition = offset.partition.partition;
            let now = self.now();
            let finished = self.member(id).looked_up.remove(&partition).flatten();
            let epoch = self.ledger.begin(now, id, partition, finished);
            let fetch = Fetch { epoch, position: None, is_paused: false };
            self.member(id).assignment.insert(partition, fetch);
            if offset.offset >= 0 {
                self.start_fetching(id, partition, epoch, offset.offset);
            } else if self.plan.starts_at_latest() && self.group.committed[place(partition)].is_none() {
                self.ledger.is_unpinned(epoch);
                self.fetch_offset(id, partition, epoch);
            } else {
                self.fetch_offset(id, partition, epoch);
            }
        }
        self.member(id).looked_up.clear();
        self.go_on(id, then);
        Ok(())
    }

    /// The owner gives partitions up: the answer to a revocation. `None` stands for all.
    pub(super) fn give_up(
        &mut self,
        id: u32,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<(), ClientError> {
        let given = partitions.map_or_else(
            || self.owned(id),
            |partitions| partitions.iter().map(|partition| partition.partition).collect(),
        );
        let is_lost = matches!(self.member(id).state, State::Asking { kind: Asked::Lost, .. });
        let Some(then) = self.answered(id, &[Asked::Revoke, Asked::Lost], &given) else {
            return Err(error(ErrorCode::STATE));
        };
        if !is_lost {
            self.auto_commit(id, Some(&given));
        }
        for partition in given {
            self.end_assignment(id, partition, is_lost);
        }
        self.go_on(id, then);
        Ok(())
    }

    fn end_assignment(&mut self, id: u32, partition: i32, is_lost: bool) {
        let now = self.now();
        let Some(fetch) = self.member(id).assignment.remove(&partition) else { return };
        let member = &self.members[id as usize];
        let is_excused = member.troubled_until >= member.asked_at
            || member.cut_until >= member.asked_at
            || self.outage_until >= member.asked_at
            // Somebody else's already, which the member does not know yet.
            || self.group.owner(partition) != Some(id);
        // librdkafka by itself commits nothing for the sake of metadata alone.
        let is_told = !member.is_without_maps && !self.plan.is_auto();
        let end =
            if is_lost { End::Lost } else { End::GivenUp { is_excused, is_told, since: member.asked_at } };
        let stored = self.member(id).stored.remove(&partition);
        let committed = self.group.committed[place(partition)].clone();
        let committed = match stored {
            // librdkafka has it, and sends it now.
            Some(offset) => Some(Committed { offset, metadata: None }).max_by_offset(committed),
            None => committed,
        };
        self.ledger.end(now, fetch.epoch, end, committed.as_ref());
    }

    /// Takes an answer; `None`, and a failure, if nothing of the kind was asked.
    fn answered(&mut self, id: u32, kinds: &[Asked], given: &BTreeSet<i32>) -> Option<Then> {
        let member = self.member(id);
        if let State::Asking { partitions, kind, then } = &member.state
            && kinds.contains(kind)
            && partitions == given
        {
            return Some(then.clone());
        }
        let state = format!("{:?}", member.state);
        self.ledger
            .fail(|| format!("consumer {id} answers {kinds:?} of {given:?}, and it was asked: {state}"));
        None
    }

    fn go_on(&mut self, id: u32, then: Then) {
        match then {
            Then::Stay => self.member(id).state = State::Steady,
            Then::Join => self.join(id),
            Then::AssignAndJoin(added) if added.is_empty() => self.join(id),
            Then::AssignAndJoin(added) => self.ask(id, Asked::Assign, added, Then::Join),
        }
    }

    pub(super) fn fetch_offset(&mut self, id: u32, partition: i32, epoch: Epoch) {
        match self.unreachable_until(id) {
            Some(until) => self.at(until, Event::Retry(id, Retry::FetchOffset(partition, epoch))),
            None => self.send(id, Request::FetchOffset { partition, epoch }),
        }
    }

    fn start_fetching(&mut self, id: u32, partition: i32, epoch: Epoch, offset: i64) {
        let member = &mut self.members[id as usize];
        let Some(fetch) = member.assignment.get_mut(&partition).filter(|fetch| fetch.epoch == epoch) else {
            return;
        };
        if fetch.position.is_none() {
            fetch.position = Some(offset);
            self.ledger.starts_at(epoch, offset, false);
            member.notify.notify_one();
            if self.plan.starts_at_latest() && self.group.committed[place(partition)].is_none() {
                // Unless it is committed that it starts here, a later one may start further on.
                let now = self.now();
                self.ledger.excuse_unseen(now, partition, offset);
            }
        }
    }

    /// Hands out what there is, of each partition some.
    pub(super) fn hand_out(&mut self, id: u32, max: usize) -> Vec<HandedOut> {
        let mut out = Vec::new();
        if self.outage_until > self.now() {
            return out;
        }
        let member = &mut self.members[id as usize];
        let count = member.assignment.len();
        let first = if count > 0 { self.dice.index(count) } else { 0 };
        let partitions: Vec<i32> =
            member.assignment.keys().copied().cycle().skip(first).take(count).collect();
        for partition in partitions {
            let Some(fetch) = member.assignment.get_mut(&partition).filter(|fetch| !fetch.is_paused) else {
                continue;
            };
            let Some(position) = fetch.position else { continue };
            let records = &self.logs[place(partition)].records;
            let from = records.partition_point(|(offset, _)| *offset < position);
            let some = 1 + self.dice.index(40);
            let room = max - out.len();
            for (offset, key) in records[from..].iter().take(some.min(room)) {
                fetch.position = Some(offset + 1);
                self.ledger.handed_out(fetch.epoch, *offset, *key);
                out.push(HandedOut { epoch: fetch.epoch, partition, offset: *offset, key: *key });
            }
        }
        out
    }

    /// Whether a poll would bring something.
    pub(super) fn has_something_for(&self, id: u32) -> bool {
        let member = &self.members[id as usize];
        if !member.told.is_empty() {
            return true;
        }
        let has_more = |(partition, fetch): (&i32, &Fetch)| {
            let last = self.logs[place(*partition)].records.last().map(|(offset, _)| *offset);
            !fetch.is_paused && fetch.position.is_some() && last >= fetch.position
        };
        self.outage_until <= self.now() && member.assignment.iter().any(has_more)
    }

    /// The consumer's own look at what the group has committed.
    pub(super) fn look_up(
        &mut self,
        id: u32,
        partitions: &[TopicPartition],
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let fails = !self.is_calm && self.plan.faults.look_up && self.dice.chance(40);
        if fails || self.unreachable_until(id).is_some() {
            return Err(error(ErrorCode::TIMED_OUT));
        }
        let mut found = Vec::new();
        for name in partitions {
            let mut offset = PartitionOffset::new(name.clone(), PartitionOffset::COMMITTED);
            let mut map = None;
            if let Some(committed) = &self.group.committed[place(name.partition)] {
                offset.offset = committed.offset;
                offset.metadata.clone_from(&committed.metadata);
                let text = committed.metadata.as_deref().unwrap_or_default();
                map = OffsetMap::decode(committed.offset, text).ok().flatten();
            }
            self.member(id).looked_up.insert(name.partition, map);
            found.push(offset);
        }
        Ok(found)
    }

    /// Moves positions.
    pub(super) fn seek(&mut self, id: u32, offsets: &[PartitionOffset]) -> Result<(), ClientError> {
        if !self.is_calm && self.plan.faults.commit && self.dice.chance(20) {
            return Err(error(ErrorCode::STATE));
        }
        for to in offsets {
            let (partition, offset) = (to.partition.partition, to.offset);
            let now = self.now();
            let Some(old) =
                self.member(id).assignment.get(&partition).map(|fetch| (fetch.epoch, fetch.position))
            else {
                return Err(error(ErrorCode::STATE));
            };
            self.ledger.end(now, old.0, End::Sought, None);
            let epoch = self.ledger.begin(now, id, partition, None);
            self.note(Note::Sought { consumer: id, assignment: epoch, partition, offset });
            self.ledger.starts_at(epoch, offset, true);
            if self.ledger.was_unpinned(old.0) {
                self.ledger.is_unpinned(epoch);
            }
            self.ledger.excuse(now, partition, 0, offset);
            if let Some(fetch) = self.member(id).assignment.get_mut(&partition) {
                (fetch.epoch, fetch.position) = (epoch, Some(offset));
            }
        }
        Ok(())
    }

    /// The consumer gives up everything by itself.
    pub(super) fn begins_to_drain(&mut self, id: u32) {
        let now = self.now();
        let member = self.member(id);
        member.is_draining = true;
        // Unless it has to anyway, and was told so earlier.
        if !matches!(member.state, State::Asking { .. }) {
            member.asked_at = now;
        }
    }

    /// The poll thread stands still.
    pub(super) fn stall(&mut self, id: u32, time: Duration) {
        let until = self.now() + time;
        let member = self.member(id);
        member.stalled_until = until;
        if time >= COMMIT_TIMEOUT / 4 {
            // A commit that was to be answered in that time, or soon after, cannot be waited for.
            member.troubled_until = member.troubled_until.max(until + COMMIT_TIMEOUT);
        }
    }

    /// The consumer leaves the group and is gone.
    pub(super) fn close(&mut self, id: u32) {
        self.auto_commit(id, None);
        let all = self.owned(id);
        for partition in all {
            self.end_assignment(id, partition, false);
        }
        if self.unreachable_until(id).is_none() {
            self.send(id, Request::Leave);
        }
        let member = self.member(id);
        (member.is_alive, member.state) = (false, State::Closed);
    }

    /// The consumer is gone, and nobody was told.
    pub(super) fn crash(&mut self, id: u32) {
        let now = self.now();
        let is_told = !self.member(id).is_without_maps;
        let all = std::mem::take(&mut self.member(id).assignment);
        for (partition, fetch) in all {
            let committed = self.group.committed[place(partition)].clone();
            self.ledger.end(now, fetch.epoch, End::Crashed { is_told }, committed.as_ref());
        }
        let member = self.member(id);
        (member.is_alive, member.state) = (false, State::Closed);
    }
}

fn name(kind: Asked) -> &'static str {
    match kind {
        Asked::Assign => "assign",
        Asked::Revoke => "revoke",
        Asked::Lost => "lost",
    }
}

trait MaxByOffset {
    fn max_by_offset(self, other: Option<Committed>) -> Option<Committed>;
}

impl MaxByOffset for Option<Committed> {
    fn max_by_offset(self, other: Option<Committed>) -> Option<Committed> {
        match (&self, &other) {
            (Some(one), Some(two)) if two.offset >= one.offset => other,
            (None, _) => other,
            _ => self,
        }
    }
}
