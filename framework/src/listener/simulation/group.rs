//! The coordinator of the simulated group: Kafka's classic protocol, with members that hold their partitions over a
//! rebalance (cooperative) or give them up before it (eager).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use kafka_boot_client::ErrorCode;

use super::cluster::{Answer, Commit, Event, Fate, Request, World};
use super::history::Note;
use super::ledger::{Committed, place};
use super::plan::{REBALANCE_TIMEOUT, SESSION_TIMEOUT};

pub(super) struct Group {
    state: State,
    generation: i32,
    /// Numbers rebalances, so that a deadline knows its own.
    round: u64,
    /// What the assignment is made of, beside the members: another one whenever they are others.
    turn: u64,
    members: BTreeMap<u32, Joined>,
    /// Who has each partition, as far as the group knows.
    owners: BTreeMap<i32, u32>,
    pub(super) committed: Vec<Option<Committed>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    /// Waits for every member to join.
    Preparing,
    /// Everybody has joined, and nobody knows the assignment yet.
    Completing,
    Stable,
}

struct Joined {
    /// Of all joins of the member, the last one.
    number: u32,
    seen: Duration,
    /// Whether it waits for the generation to come.
    is_in: bool,
    owned: BTreeSet<i32>,
}

/// What a member says that it owns, when it joins.
#[derive(Debug)]
pub(super) struct Claim {
    /// Of all joins of the member, which one this is.
    pub(super) number: u32,
    pub(super) generation: Option<i32>,
    pub(super) owned: BTreeSet<i32>,
}

impl Group {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            round: 0,
            turn: 0,
            members: BTreeMap::new(),
            owners: BTreeMap::new(),
            committed: vec![None; partitions],
        }
    }

    pub(super) fn owner(&self, partition: i32) -> Option<u32> {
        self.owners.get(&partition).copied()
    }

    pub(super) fn members(&self) -> Vec<u32> {
        self.members.keys().copied().collect()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.members();
        write!(
            f,
            "generation {} is {:?}, members {members:?}, owners {:?}",
            self.generation, self.state, self.owners
        )
    }
}

impl World {
    pub(super) fn coordinator_gets(&mut self, member: u32, request: Request) {
        match request {
            Request::Heartbeat { generation } => {
                let now = self.now();
                let result = match self.group.members.get_mut(&member) {
                    None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
                    Some(_) if generation != self.group.generation => Err(ErrorCode::ILLEGAL_GENERATION),
                    Some(joined) => {
                        joined.seen = now;
                        let is_preparing = self.group.state == State::Preparing;
                        if is_preparing { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
                    }
                };
                self.answer(member, Duration::ZERO, Answer::Heartbeat(result));
            }
            Request::Join(claim) => self.joins(member, claim),
            Request::Leave => self.remove(member),
            Request::Commit(commit) => self.commits(member, commit),
            Request::FetchOffset { partition, epoch } => {
                let log = &self.logs[place(partition)];
                let reset = if self.plan.starts_at_latest() { log.end } else { 0 };
                let committed = self.group.committed[place(partition)].as_ref();
                let offset = committed.map_or(reset, |committed| committed.offset);
                self.answer(member, Duration::ZERO, Answer::Offset { partition, epoch, offset });
            }
        }
    }

    fn joins(&mut self, member: u32, claim: Claim) {
        let owned = claim.owned.iter().copied().collect();
        self.note(Note::Joins { consumer: member, generation: claim.generation, owned });
        let now = self.now();
        let is_known = self.group.members.contains_key(&member);
        if claim.generation.is_some() && !is_known {
            self.answer(member, Duration::ZERO, Answer::JoinRefused(claim.number));
            return;
        }
        // Only what was assigned by the last generation counts, as with Kafka's assignor.
        let is_current = claim.generation == Some(self.group.generation);
        let owned = if is_current { claim.owned } else { BTreeSet::new() };
        self.group.owners.retain(|partition, owner| *owner != member || owned.contains(partition));
        self.group.members.insert(member, Joined { number: claim.number, seen: now, is_in: true, owned });
        if !is_known {
            self.group.turn = self.dice.number();
            self.after(SESSION_TIMEOUT, Event::SessionCheck(member));
        }
        match self.group.state {
            State::Empty => {
                self.prepare(Some(member));
                return;
            }
            State::Stable | State::Completing => self.prepare(Some(member)),
            State::Preparing => {}
        }
        self.complete_if_all_joined();
    }

    /// Begins a rebalance; all members but one have to join again.
    pub(super) fn prepare(&mut self, but: Option<u32>) {
        let was_completing = self.group.state == State::Completing;
        if self.group.members.is_empty() {
            self.group.state = State::Empty;
            return;
        }
        // A group that is new waits a moment for others.
        let deadline =
            if self.group.state == State::Empty { self.dice.millis(0, 1000) } else { REBALANCE_TIMEOUT };
        self.group.state = State::Preparing;
        self.group.round += 1;
        let (round, generation) = (self.group.round, self.group.generation);
        for joined in
            self.group.members.iter_mut().filter(|(id, _)| Some(**id) != but).map(|(_, joined)| joined)
        {
            joined.is_in = false;
        }
        if was_completing {
            for member in self.group.members().into_iter().filter(|id| Some(*id) != but) {
                self.answer(member, Duration::ZERO, Answer::Rejoin(generation));
            }
        }
        self.after(deadline, Event::RebalanceDeadline(round));
    }

    /// Shares the partitions out anew, for a reason that no member knows.
    pub(super) fn share_out_anew(&mut self) {
        if self.group.state == State::Stable {
            self.group.turn = self.dice.number();
            self.prepare(None);
        }
    }

    pub(super) fn rebalance_deadline(&mut self, round: u64) {
        if self.group.state != State::Preparing || self.group.round != round {
            return;
        }
        self.group.members.retain(|_, joined| joined.is_in);
        self.group.owners.retain(|_, owner| self.group.members.contains_key(owner));
        if self.group.members.is_empty() {
            self.group.state = State::Empty;
        } else {
            self.complete();
        }
    }

    fn complete_if_all_joined(&mut self) {
        let has_started = self.group.generation > 0;
        let all = self.group.members.values().all(|joined| joined.is_in);
        if self.group.state == State::Preparing && has_started && all && !self.group.members.is_empty() {
            self.complete();
        }
    }

    fn complete(&mut self) {
        self.group.generation += 1;
        self.group.state = State::Completing;
        self.note(Note::Generation { generation: self.group.generation, is_assigned: false });
        let (now, generation) = (self.now(), self.group.generation);
        for member in self.group.members() {
            if let Some(joined) = self.group.members.get_mut(&member) {
                joined.is_in = false;
                joined.seen = now;
            }
            let number = self.group.members.get(&member).map_or(0, |joined| joined.number);
            self.answer(member, Duration::ZERO, Answer::Joined(generation, number));
        }
        let delay = self.latency() + self.latency();
        self.after(delay, Event::Synced(generation));
    }

    /// The leader has told the assignment.
    pub(super) fn synced(&mut self, generation: i32) {
        if self.group.state != State::Completing || self.group.generation != generation {
            return;
        }
        self.group.state = State::Stable;
        self.note(Note::Generation { generation, is_assigned: true });
        let members = self.group.members();
        let mut given: BTreeMap<u32, Vec<i32>> = members.iter().map(|member| (*member, Vec::new())).collect();
        let turn = self.group.turn;
        for partition in 0..self.plan.partitions {
            let owner = self.group.owners.get(&partition).copied();
            let owner = owner.filter(|owner| {
                self.group.members.get(owner).is_some_and(|joined| joined.owned.contains(&partition))
            });
            let target = match owner {
                // Sticky, but for the sake of balance, which here is thrown for.
                Some(owner) if self.plan.is_cooperative && is_sticky(turn, partition) => owner,
                _ => members[(place(partition) + place(i32::from(turn.to_be_bytes()[0]))) % members.len()],
            };
            if !self.plan.is_cooperative || owner.is_none_or(|owner| owner == target) {
                given.entry(target).or_default().push(partition);
                self.group.owners.insert(partition, target);
            }
        }
        for (member, partitions) in given {
            self.answer(member, Duration::ZERO, Answer::Assigned(generation, partitions));
        }
    }

    pub(super) fn check_session(&mut self, member: u32) {
        let (now, outage) = (self.now(), self.outage_until);
        let is_preparing = self.group.state == State::Preparing;
        let Some(joined) = self.group.members.get(&member) else { return };
        if is_preparing && joined.is_in {
            self.after(SESSION_TIMEOUT, Event::SessionCheck(member));
            return;
        }
        // A coordinator that was away gives everybody a whole session.
        let due = joined.seen.max(outage) + SESSION_TIMEOUT;
        if due > now {
            self.at(due, Event::SessionCheck(member));
        } else {
            self.remove(member);
        }
    }

    /// A member has left, or is taken for dead.
    pub(super) fn remove(&mut self, member: u32) {
        let Some(joined) = self.group.members.remove(&member) else { return };
        // If it waits for an answer to its join, that is one.
        self.answer(member, Duration::ZERO, Answer::JoinRefused(joined.number));
        self.group.owners.retain(|_, owner| *owner != member);
        self.group.turn = self.dice.number();
        match self.group.state {
            State::Stable | State::Completing => self.prepare(None),
            State::Preparing | State::Empty => {}
        }
        if self.group.members.is_empty() {
            self.group.state = State::Empty;
        }
        self.complete_if_all_joined();
    }

    fn commits(&mut self, member: u32, commit: Commit) {
        let verdict = match commit.fate {
            Fate::Refused(code, false) => Err(code),
            _ if !self.group.members.contains_key(&member) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ if commit.generation != self.group.generation => Err(ErrorCode::ILLEGAL_GENERATION),
            _ if self.group.state == State::Completing => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            Fate::Refused(code, true) => Ok(vec![(0, code)]),
            _ => Ok(Vec::new()),
        };
        if let Ok(refused) = &verdict {
            for (index, (offset, assignment)) in commit.offsets.iter().enumerate() {
                if !refused.iter().any(|(refused, _)| *refused == index) {
                    self.accept(member, *assignment, offset);
                }
            }
        }
        let delay = match commit.fate {
            Fate::Fair(delay) | Fate::AnswerLost(delay, _) => delay,
            Fate::Lost(..) | Fate::Refused(..) => Duration::ZERO,
        };
        self.answer(member, delay, Answer::Committed(commit, verdict));
    }

    fn accept(&mut self, member: u32, assignment: Option<u32>, offset: &kafka_boot_client::PartitionOffset) {
        let partition = offset.partition.partition;
        self.note(Note::CommitAccepted { consumer: member, assignment, partition, offset: offset.offset });
        if let Some(owner) = self.group.owners.get(&partition).filter(|owner| **owner != member) {
            let owner = *owner;
            self.ledger.fail(|| {
                format!(
                    "I5: consumer {member} committed {partition}@{}, which is consumer {owner}'s",
                    offset.offset
                )
            });
        }
        let before = self.group.committed[place(partition)].as_ref().map(|committed| committed.offset);
        let may_go_back = assignment.is_some_and(|epoch| self.ledger.is_by_seek(epoch));
        if before > Some(offset.offset) && !may_go_back {
            self.ledger.fail(|| {
                format!("I2: the commit of {partition} goes back from {before:?} to {}", offset.offset)
            });
        }
        if before.is_none() && self.plan.starts_at_latest() {
            // Where a group begins that begins at the end: what is there before is not owed.
            let now = self.now();
            self.ledger.excuse_unseen(now, partition, offset.offset);
        }
        let committed = Committed { offset: offset.offset, metadata: offset.metadata.clone() };
        self.group.committed[place(partition)] = Some(committed);
    }
}

fn is_sticky(turn: u64, partition: i32) -> bool {
    super::dice::Dice::of([turn, u64::from(partition.unsigned_abs()), 0, 0]).chance(60)
}
