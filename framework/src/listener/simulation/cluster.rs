//! The cluster of a simulation: its clock, its log, and what is under way between its group and the members.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_boot_client::{ClientError, ErrorCode, PartitionOffset, TopicPartition};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dice::Dice;
use super::group::{Claim, Group};
use super::history::Note;
use super::ledger::{Ledger, place};
use super::member::Member;
use super::plan::{Plan, TOPIC};

/// Everything that members, handlers and faults share.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    changed: Arc<Notify>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) ledger: Ledger,
    pub(super) group: Group,
    /// By number: every consumer that there was.
    pub(super) members: Vec<Member>,
    pub(super) logs: Vec<Log>,
    /// Nobody answers until then.
    pub(super) outage_until: Duration,
    /// Whether faults are over.
    pub(super) is_calm: bool,
    started: Instant,
    queue: BTreeMap<(Duration, u64), Event>,
    queued: u64,
    changed: Arc<Notify>,
}

/// One partition's records: those that are there, in order.
#[derive(Default)]
pub(super) struct Log {
    pub(super) records: Vec<(i64, Option<u64>)>,
    /// The offset of the next record.
    pub(super) end: i64,
}

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    Produce,
    /// A request arrives at the coordinator.
    Request(u32, Request),
    /// An answer arrives at a member.
    Answer(u32, Answer),
    /// A member's own clock.
    Heartbeat(u32),
    AutoCommit(u32),
    /// It tries again to reach the coordinator.
    Retry(u32, Retry),
    /// The coordinator's own clock.
    SessionCheck(u32),
    RebalanceDeadline(u64),
    Synced(i32),
    /// A member may be within reach again.
    Flush(u32),
}

#[derive(Debug)]
pub(super) enum Retry {
    Join,
    FetchOffset(i32, u32),
}

#[derive(Debug)]
pub(super) enum Request {
    Heartbeat { generation: i32 },
    Join(Claim),
    Leave,
    Commit(Commit),
    FetchOffset { partition: i32, epoch: u32 },
}

/// A commit on its way.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) number: usize,
    pub(super) generation: i32,
    /// Each with its assignment.
    pub(super) offsets: Vec<(PartitionOffset, Option<u32>)>,
    /// What becomes of it, unless nothing does.
    pub(super) fate: Fate,
    /// Nobody waits for the answer.
    pub(super) is_silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is answered as it deserves, after this time.
    Fair(Duration),
    /// It never arrives, and that is noticed after this time.
    Lost(Duration, ErrorCode),
    /// It is done, and the answer never arrives.
    AnswerLost(Duration, ErrorCode),
    /// The coordinator refuses it, all or the first partition alone.
    Refused(ErrorCode, bool),
}

#[derive(Debug)]
pub(super) enum Answer {
    Heartbeat(Result<(), ErrorCode>),
    /// The generation, and the number of the request that is answered.
    Joined(i32, u32),
    JoinRefused(u32),
    Rejoin(i32),
    Assigned(i32, Vec<i32>),
    Committed(Commit, Result<Vec<(usize, ErrorCode)>, ErrorCode>),
    Offset {
        partition: i32,
        epoch: u32,
        offset: i64,
    },
}

impl Cluster {
    pub(super) fn new(plan: Plan, is_verbose: bool) -> Self {
        let changed = Arc::new(Notify::new());
        let partitions = place(plan.partitions);
        let world = World {
            dice: Dice::new(plan.seed ^ 0x5151),
            ledger: Ledger::new(&plan, is_verbose),
            group: Group::new(partitions),
            members: Vec::new(),
            logs: (0..partitions).map(|_| Log::default()).collect(),
            outage_until: Duration::ZERO,
            is_calm: false,
            started: Instant::now(),
            queue: BTreeMap::new(),
            queued: 0,
            changed: Arc::clone(&changed),
            plan,
        };
        Self(Arc::new(Shared { world: Mutex::new(world), changed }))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A panic in here is a failure of the simulation, which its own result tells.
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets everything happen at its time.
    pub(super) async fn turn(self) {
        loop {
            let next = self.world().run_due();
            let wait = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.changed.notified() => {}
                () = wait => {}
            }
        }
    }
}

impl World {
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn note(&mut self, note: Note) {
        let now = self.now();
        self.ledger.note(now, note);
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        let at = self.now() + delay;
        self.at(at, event);
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        let is_first = self.queue.first_key_value().is_none_or(|((first, _), _)| at < *first);
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Lets happen what is due; returns when the next thing is.
    fn run_due(&mut self) -> Option<Instant> {
        loop {
            let now = self.now();
            let ((at, _), _) = self.queue.first_key_value()?;
            if *at > now {
                return Some(self.started + *at);
            }
            let (_, event) = self.queue.pop_first()?;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Produce => self.produce_somewhere(),
            Event::Request(member, request) => self.coordinator_gets(member, request),
            Event::Answer(member, answer) => self.member_gets(member, answer),
            Event::Heartbeat(member) => self.heartbeat(member),
            Event::AutoCommit(member) => self.auto_commit_due(member),
            Event::Retry(member, Retry::Join) => self.join_at_last(member),
            Event::Retry(member, Retry::FetchOffset(partition, epoch)) => {
                self.fetch_offset(member, partition, epoch);
            }
            Event::SessionCheck(member) => self.check_session(member),
            Event::RebalanceDeadline(round) => self.rebalance_deadline(round),
            Event::Synced(generation) => self.synced(generation),
            Event::Flush(member) => self.flush(member),
        }
    }

    pub(super) fn produce_somewhere(&mut self) {
        let partition = self.dice.index(self.logs.len());
        self.produce(i32::try_from(partition).unwrap_or_default());
    }

    /// Writes one record, and tells whoever reads its partition.
    pub(super) fn produce(&mut self, partition: i32) {
        let key = (self.dice.chance(85)).then(|| self.dice.below(self.plan.keys));
        let (has_gap, gap_behind) = (self.dice.chance(20), self.dice.chance(10));
        let (gap, behind) = (1 + self.dice.below(5), 1 + self.dice.below(3));
        let log = &mut self.logs[place(partition)];
        if self.plan.faults.gaps && has_gap {
            log.end += i64::try_from(gap).unwrap_or_default();
        }
        let offset = log.end;
        log.records.push((offset, key));
        log.end += 1;
        if self.plan.faults.gaps && gap_behind {
            log.end += i64::try_from(behind).unwrap_or_default();
        }
        let now = self.now();
        self.ledger.produced(now, partition, offset, key);
        for member in &self.members {
            if member.reads(partition) {
                member.notify.notify_one();
            }
        }
    }

    /// Until when requests between a member and the group do not arrive.
    pub(super) fn unreachable_until(&self, member: u32) -> Option<Duration> {
        let until = self.members[member as usize].cut_until.max(self.outage_until);
        (until > self.now()).then_some(until)
    }

    /// Lets a request arrive behind those that were sent before it.
    pub(super) fn send(&mut self, member: u32, request: Request) {
        let delay = self.latency();
        let now = self.now();
        let last = &mut self.members[member as usize].last_request;
        let at = (now + delay).max(*last);
        *last = at;
        self.at(at, Event::Request(member, request));
    }

    /// Lets an answer arrive behind those that were given before it.
    pub(super) fn answer(&mut self, member: u32, delay: Duration, answer: Answer) {
        let delay = delay + self.latency();
        let now = self.now();
        let last = &mut self.members[member as usize].last_answer;
        let at = (now + delay).max(*last);
        *last = at;
        self.at(at, Event::Answer(member, answer));
    }

    pub(super) fn latency(&mut self) -> Duration {
        if self.dice.chance(5) { self.dice.millis(20, 300) } else { self.dice.millis(0, 15) }
    }

    /// Whether all that is there has been committed.
    pub(super) fn is_committed(&self) -> bool {
        let may_be_none = self.plan.starts_at_latest();
        self.logs.iter().zip(&self.group.committed).all(|(log, committed)| {
            let last = log.records.last().map(|(offset, _)| *offset);
            committed
                .as_ref()
                .map_or(may_be_none || last.is_none(), |committed| Some(committed.offset) > last)
        })
    }
}

pub(super) fn partition_name(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

pub(super) fn error(code: ErrorCode) -> ClientError {
    ClientError::from_code("simulated", code)
}

/// Queues of events that a member has not been told yet.
pub(super) type Told = VecDeque<kafka_boot_client::ConsumerEvent>;
