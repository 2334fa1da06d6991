//! A member's commits: sent, refused, lost, answered, and made by a timer.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_boot_client::{ClientError, CommitId, ConsumerEvent, ErrorCode, PartitionOffset, PartitionResults};

use super::State;
use crate::listener::simulation::cluster::{
    Answer, Commit, Event, Fate, Request, World, error, partition_name,
};
use crate::listener::simulation::history::Note;
use crate::listener::simulation::ledger::place;
use crate::listener::simulation::plan::AUTO_COMMIT_INTERVAL;

/// How many commits of one consumer may fail within a second.
const FAILING_COMMITS_MAX: usize = 20;

impl World {
    /// The owner commits.
    pub(in crate::listener::simulation) fn commit(
        &mut self,
        id: u32,
        offsets: &[PartitionOffset],
    ) -> Result<CommitId, ClientError> {
        let faults = !self.is_calm && self.plan.faults.commit;
        self.check_commit(id, offsets);
        if faults && self.dice.chance(4) {
            self.trouble(id, Duration::ZERO);
            self.count_failure(id);
            return Err(error(self.dice.pick(&[ErrorCode::WAIT_COORDINATOR, ErrorCode::TIMED_OUT])));
        }
        let number = self.member(id).commits + 1;
        self.member(id).commits = number;
        self.send_commit(id, number, offsets.to_vec(), false);
        Ok(CommitId::from_number(number))
    }

    fn check_commit(&mut self, id: u32, offsets: &[PartitionOffset]) {
        for offset in offsets {
            let partition = offset.partition.partition;
            let assignment = self.member(id).assignment.get(&partition).map(|fetch| fetch.epoch);
            match assignment {
                Some(epoch) => self.ledger.commits(epoch, offset.offset, offset.metadata.as_deref()),
                None => self.ledger.fail(|| {
                    format!(
                        "I5: consumer {id} commits {partition}@{}, which is not assigned to it",
                        offset.offset
                    )
                }),
            }
        }
    }

    fn send_commit(&mut self, id: u32, number: usize, offsets: Vec<PartitionOffset>, is_silent: bool) {
        let fate = self.fate(id);
        let generation = self.member(id).generation.unwrap_or(-1);
        let mut list = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let partition = offset.partition.partition;
            let assignment = self.member(id).assignment.get(&partition).map(|fetch| fetch.epoch);
            self.note(Note::CommitSent { consumer: id, assignment, partition, offset: offset.offset });
            list.push((offset, assignment));
        }
        let commit = Commit { number, generation, offsets: list, fate, is_silent };
        match fate {
            Fate::Lost(delay, _) => {
                self.trouble(id, delay);
                self.answer(id, delay, Answer::Committed(commit, Ok(Vec::new())));
            }
            Fate::AnswerLost(delay, _) | Fate::Fair(delay) => {
                if fate != Fate::Fair(Duration::ZERO) {
                    self.trouble(id, delay);
                }
                self.send(id, Request::Commit(commit));
            }
            Fate::Refused(..) => {
                self.trouble(id, Duration::ZERO);
                self.send(id, Request::Commit(commit));
            }
        }
    }

    /// Notes that commits cannot be expected to succeed until then.
    pub(super) fn trouble(&mut self, id: u32, delay: Duration) {
        // What is under way for a while takes a moment longer, for its way.
        let until = self.now() + if delay.is_zero() { delay } else { delay + Duration::from_millis(700) };
        let member = self.member(id);
        member.troubled_until = member.troubled_until.max(until);
    }

    fn fate(&mut self, id: u32) -> Fate {
        let lost = [ErrorCode::TIMED_OUT, ErrorCode::TRANSPORT, ErrorCode::REQUEST_TIMED_OUT];
        if self.unreachable_until(id).is_some() {
            return Fate::Lost(self.dice.millis(100, 3000), self.dice.pick(&lost));
        }
        if self.is_calm || !self.plan.faults.commit || self.dice.chance(75) {
            return Fate::Fair(Duration::ZERO);
        }
        let refusals = [
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::OFFSET_METADATA_TOO_LARGE,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
            ErrorCode::UNKNOWN,
        ];
        match self.dice.below(10) {
            0..2 => Fate::Lost(self.dice.millis(100, 3000), self.dice.pick(&lost)),
            2..4 => Fate::AnswerLost(self.dice.millis(100, 3000), self.dice.pick(&lost)),
            4..6 => Fate::Fair(self.dice.millis(50, 8000)),
            6..8 => Fate::Refused(self.dice.pick(&refusals), false),
            _ => Fate::Refused(self.dice.pick(&refusals), true),
        }
    }

    pub(super) fn commit_answered(
        &mut self,
        id: u32,
        commit: &Commit,
        verdict: Result<Vec<(usize, ErrorCode)>, ErrorCode>,
    ) {
        let is_done = verdict.as_ref().is_ok_and(Vec::is_empty);
        let verdict = match commit.fate {
            Fate::Lost(_, code) | Fate::AnswerLost(_, code) => Err(code),
            Fate::Fair(_) | Fate::Refused(..) => verdict,
        };
        let text = match (&verdict, commit.fate) {
            (Err(code), Fate::AnswerLost(..)) if is_done => format!("{code}, and it is done"),
            (Err(code), _) => code.to_string(),
            (Ok(refused), _) => {
                refused.iter().map(|(_, code)| code.to_string()).collect::<Vec<_>>().join(", ")
            }
        };
        self.note(Note::CommitAnswered { consumer: id, number: commit.number, answer: text });
        if verdict.is_err() || verdict.as_ref().is_ok_and(|refused| !refused.is_empty()) {
            self.trouble(id, Duration::ZERO);
            self.count_failure(id);
        }
        if !commit.is_silent {
            let result = verdict.clone().map_err(error).map(|refused| results(commit, &refused));
            let event = ConsumerEvent::Committed { id: CommitId::from_number(commit.number), result };
            let member = self.member(id);
            member.told.push_back(event);
            member.notify.notify_one();
        }
        let is_too_large = |code: &ErrorCode| *code == ErrorCode::OFFSET_METADATA_TOO_LARGE;
        self.member(id).is_without_maps |= match &verdict {
            Err(code) => is_too_large(code),
            Ok(refused) => refused.iter().any(|(_, code)| is_too_large(code)),
        };
        let is_current = self.member(id).generation == Some(commit.generation);
        let ends_it = match verdict {
            Err(ErrorCode::UNKNOWN_MEMBER_ID) => true,
            // An injected one is of no generation.
            Err(ErrorCode::ILLEGAL_GENERATION) => is_current || self.dice.chance(50),
            _ => false,
        };
        if ends_it && matches!(self.member(id).state, State::Steady) {
            self.lose(id);
        }
    }

    /// Fails if commits are tried again in a tight loop.
    pub(super) fn count_failure(&mut self, id: u32) {
        let now = self.now();
        let failing = &mut self.member(id).failing_at;
        failing.retain(|at| *at + Duration::from_secs(1) > now);
        failing.push(now);
        if failing.len() > FAILING_COMMITS_MAX {
            self.ledger.fail(|| format!("consumer {id} tries failing commits again in a tight loop"));
        }
    }

    /// The owner lets librdkafka commit offsets by and by.
    pub(in crate::listener::simulation) fn store(
        &mut self,
        id: u32,
        offsets: &[PartitionOffset],
    ) -> PartitionResults {
        let mut results = Vec::new();
        for offset in offsets {
            let partition = offset.partition.partition;
            let assignment = self.member(id).assignment.get(&partition).map(|fetch| fetch.epoch);
            let result = match assignment {
                Some(epoch) => {
                    self.ledger.commits(epoch, offset.offset, None);
                    self.member(id).stored.insert(partition, offset.offset);
                    Ok(())
                }
                None => Err(error(ErrorCode::STATE)),
            };
            results.push((offset.clone(), result));
        }
        results
    }

    pub(in crate::listener::simulation) fn auto_commit_due(&mut self, id: u32) {
        if self.member(id).is_alive {
            self.auto_commit(id, None);
            self.after(AUTO_COMMIT_INTERVAL, Event::AutoCommit(id));
        }
    }

    /// librdkafka commits what is stored: of some partitions, or of all.
    pub(super) fn auto_commit(&mut self, id: u32, of: Option<&BTreeSet<i32>>) {
        let is_meant = |partition: &i32| of.is_none_or(|of| of.contains(partition));
        let stored: Vec<(i32, i64)> = self.members[id as usize]
            .stored
            .iter()
            .filter(|(partition, _)| is_meant(partition))
            .map(|(partition, offset)| (*partition, *offset))
            .collect();
        let news = stored.into_iter().filter(|(partition, offset)| {
            self.group.committed[place(*partition)]
                .as_ref()
                .is_none_or(|committed| committed.offset < *offset)
        });
        let list: Vec<PartitionOffset> =
            news.map(|(partition, offset)| PartitionOffset::new(partition_name(partition), offset)).collect();
        if !list.is_empty() && self.plan.is_auto() {
            self.send_commit(id, 0, list, true);
        }
    }
}

fn results(commit: &Commit, refused: &[(usize, ErrorCode)]) -> PartitionResults {
    let outcome = |index: usize| {
        let code = refused.iter().find(|(refused, _)| *refused == index).map(|(_, code)| *code);
        code.map_or(Ok(()), |code| Err(error(code)))
    };
    commit.offsets.iter().enumerate().map(|(index, (offset, _))| (offset.clone(), outcome(index))).collect()
}
