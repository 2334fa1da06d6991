//! The poll thread: the only owner of a consumer.
//!
//! It takes records from librdkafka in batches, gives them to lanes, keeps the tracker, answers the group, and sends
//! commits. No user code ever runs here, so a slow handler never costs the membership.
//!
//! # Invariants
//! 1. The consumer is created, used and closed by this thread alone.
//! 2. The thread never waits longer than [`STALL_GRACE`] for a lane, and never for a commit.
//! 3. A record that belongs to no assigned slot is dropped, not handled: whoever owns its partition reads it from
//!    the committed offset.
//! 4. What a full lane cannot take is kept here in order; only when that lasts is the partition paused.

mod by_hand;
mod commit;
mod control;
mod deliver;
mod start;
mod telling;
mod watching;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kafka_boot_client::{
    ClientError, CommitId, ConsumerEvent, ErrorCode, ErrorKind, Protocol, TopicPartition,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::committer::Committer;
use super::consumer_state::{ConsumerShared, Control};
use super::events::ListenerEventKind;
use super::group_consumer::GroupConsumer;
use super::idle::Idle;
use super::lane_set::LaneSet;
use super::rebalance::{Action, Rebalance, RebalanceTimeouts};
use super::settlements::{LaneFailure, PollWaits, Reports, Settled, SettledBy};
use super::statistics::Statistics;
use super::tracker::{Slot, Tracker};
use super::watch::Watch;
use crate::record::Chunk;

/// How many records one turn takes from librdkafka at most.
const POLL_RECORDS_MAX: usize = 4096;
/// How long the thread lets a full lane hold back all partitions before it pauses that lane's partition: what is
/// prefetched stays with librdkafka meanwhile, and a pause would throw it away.
const STALL_GRACE: Duration = Duration::from_millis(25);
/// How long a commit may be under way before the log says so.
const COMMIT_WARN_AFTER: Duration = Duration::from_secs(10);

/// Why the poll thread ended.
#[derive(Debug)]
pub(crate) enum PollExit {
    /// It was told to.
    Stopped,
    /// A record's attempts are used up, and the policy says stop.
    Record { partition: TopicPartition, failure: LaneFailure },
    /// The client failed for good.
    Client(ClientError),
    /// Something in the engine itself broke.
    Broken(String),
}

impl PollExit {
    /// Whether to start again would be wrong: it would take the place back from the member that has it now, which would take
    /// it back in turn.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Client(error) if error.code() == Some(ErrorCode::FENCED_INSTANCE_ID))
    }
}

impl std::fmt::Display for PollExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Record { partition, failure } => {
                let LaneFailure { offset, attempts, error } = failure;
                if *attempts == 0 {
                    return write!(f, "the lane of {partition} failed: {}", error.chain());
                }
                write!(f, "record {partition}@{offset} failed {attempts} times: {}", error.chain())
            }
            Self::Client(error) => write!(f, "the Kafka client failed: {error}"),
            Self::Broken(text) => write!(f, "the engine failed: {text}"),
        }
    }
}

/// One consumer at work.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of one thing")]
pub(crate) struct Poller<C: GroupConsumer> {
    shared: Arc<ConsumerShared>,
    consumer: C,
    started: Instant,
    tracker: Tracker,
    rebalance: Rebalance<TopicPartition>,
    committer: Committer,
    lanes: LaneSet,
    /// The slot of (librdkafka's topic handle, partition): emptied whenever the assignment changes.
    routes: HashMap<(usize, i32), Option<Slot>>,
    partitions: HashMap<Slot, TopicPartition>,
    /// Those of slots that are over.
    #[cfg(feature = "seeded-bugs")]
    forgotten: HashMap<Slot, TopicPartition>,
    /// The chunks that hold open records, by their last offset, to find a record that is stuck. They keep nothing alive.
    chunks: HashMap<Slot, VecDeque<(i64, Weak<Chunk>)>>,
    watch: Watch,
    next_look: Duration,
    idle: Idle,
    /// How long the text of an offset map may be; zero after the broker refused one.
    map_bytes_max: usize,
    /// The size of a record of the last poll, on average.
    record_bytes: u64,
    exit: Option<PollExit>,
    drained: bool,
    /// What is given up now is lost.
    is_losing: bool,
    stalled_since: Option<Instant>,
    paused_by_user: bool,
    /// Where no group gives it partitions.
    by_hand: Option<by_hand::ByHand>,
    /// Partitions that are not read before it is committed where they start.
    pinning: BTreeSet<Slot>,
    seeks: Vec<control::Seeking>,
    confirming: Vec<control::Confirming>,
    /// The commit under way.
    commit_id: Option<CommitId>,
    warned_of_commit: bool,
    reports: Reports,
    actions: Vec<Action<TopicPartition>>,
}

/// What the thread does next.
pub(crate) enum Turn {
    /// It polls, and waits so long for records.
    Poll(Duration),
    /// It waits so long for a lane that is full.
    Wait(Duration),
    /// It closes: everything is drained and committed.
    Close,
}

/// What a poll brought; kept between polls for its memory.
pub(crate) struct Polled<R> {
    records: Vec<R>,
    events: Vec<ConsumerEvent>,
}

impl<R> Polled<R> {
    pub(crate) fn new() -> Self {
        Self { records: Vec::with_capacity(POLL_RECORDS_MAX), events: Vec::new() }
    }
}

impl<C: GroupConsumer> Poller<C> {
    pub(crate) fn new(shared: Arc<ConsumerShared>, consumer: C) -> Self {
        let timeouts =
            RebalanceTimeouts { drain: shared.options.drain_timeout, commit: shared.options.commit_timeout };
        Self {
            consumer,
            started: Instant::now(),
            tracker: Tracker::default(),
            rebalance: Rebalance::new(timeouts),
            committer: Committer::new(shared.options.plan),
            lanes: LaneSet::new(&shared),
            routes: HashMap::new(),
            partitions: HashMap::new(),
            #[cfg(feature = "seeded-bugs")]
            forgotten: HashMap::new(),
            chunks: HashMap::new(),
            watch: Watch::default(),
            next_look: Duration::ZERO,
            idle: Idle::new(shared.options.idle_event_interval),
            map_bytes_max: shared.options.map_bytes_max,
            record_bytes: 0,
            exit: None,
            drained: false,
            is_losing: false,
            stalled_since: None,
            paused_by_user: false,
            by_hand: None,
            pinning: BTreeSet::new(),
            seeks: Vec::new(),
            confirming: Vec::new(),
            commit_id: None,
            warned_of_commit: false,
            reports: Reports::default(),
            actions: Vec::new(),
            shared,
        }
    }

    /// Works until told to stop or a failure ends it; then drains, commits, leaves the group and closes.
    pub(crate) fn run(mut self) -> PollExit {
        let mut polled = Polled::new();
        loop {
            match self.turn() {
                Turn::Poll(timeout) => self.poll(timeout, &mut polled),
                Turn::Wait(timeout) => self.shared.settlements.wait(timeout),
                Turn::Close => return self.close(),
            }
        }
    }

    /// Does everything that does not wait, and tells what to do then.
    pub(crate) fn turn(&mut self) -> Turn {
        if self.drained {
            return Turn::Close;
        }
        self.obey();
        self.assign_by_hand();
        self.absorb();
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::CommitsInsideRebalance)
            && self.committer.seeded_bug_last_call()
        {
            return Turn::Wait(STALL_GRACE);
        }
        self.lanes.dispatch(&self.tracker);
        self.act_on_time();
        self.look_around();
        self.send_commit();
        if self.drained {
            return Turn::Close;
        }
        self.relieve();
        self.poll_timeout().map_or(Turn::Wait(STALL_GRACE / 5), Turn::Poll)
    }

    /// Takes in records and events, waiting for them unless there is something else to do.
    pub(crate) fn poll(&mut self, timeout: Duration, polled: &mut Polled<C::Record>) {
        self.shared.settlements.set_poll_waits(self.waits());
        let timeout = if self.shared.has_news() { Duration::ZERO } else { timeout };
        let result = self.consumer.poll(self.poll_max(), timeout, &mut polled.records, &mut polled.events);
        self.shared.settlements.set_poll_waits(PollWaits::No);
        if let Err(error) = result {
            self.fail(PollExit::Client(error));
        }
        self.deliver(&mut polled.records);
        for event in polled.events.drain(..) {
            self.handle(event);
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Carries out what the container asked for.
    fn obey(&mut self) {
        self.serve_requests();
        let Some(control) = self.shared.take_control() else { return };
        match control {
            Control::Stop => self.begin_drain(PollExit::Stopped),
            Control::Pause => self.set_paused(true),
            Control::Resume => self.set_paused(false),
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if self.paused_by_user == paused {
            return;
        }
        self.paused_by_user = paused;
        // What is paused because its lane is full, or by itself, stays so.
        let concerned = self
            .rebalance
            .partitions()
            .filter(|(partition, slot)| paused || !self.lanes.is_paused(*slot) && !self.is_held(partition));
        let partitions: Vec<TopicPartition> = concerned.map(|(partition, _)| partition.clone()).collect();
        self.pause_or_resume(&partitions, paused);
        self.shared.set_paused(paused);
        self.tell_paused(partitions, paused);
    }

    fn pause_or_resume(&self, partitions: &[TopicPartition], pause: bool) {
        if partitions.is_empty() {
            return;
        }
        let result = if pause { self.consumer.pause(partitions) } else { self.consumer.resume(partitions) };
        if let Err(error) = result {
            let verb = if pause { "pause" } else { "resume" };
            warn!(listener = %self.shared.listener, %error, "could not {verb} partitions");
        }
    }

    /// Takes in what lanes and acknowledgements reported.
    fn absorb(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        self.shared.settlements.take(&mut reports);
        for run in &reports.settled {
            self.settle(run);
        }
        let now = self.now();
        for (slot, batches) in &reports.boundaries {
            self.committer.boundary(*slot, *batches, now);
        }
        for (slot, failure) in reports.failed.drain(..) {
            let Some(partition) = self.partitions.get(&slot).cloned() else { continue };
            self.fail(PollExit::Record { partition, failure });
        }
        for end in reports.ended.drain(..) {
            let was_told = self.lanes.ended(end.slot);
            self.rebalance.lane_ended(end.slot, now, &mut self.actions);
            let Some(partition) = self.partitions.get(&end.slot).cloned() else { continue };
            match end.failure {
                Some(failure) => self.fail(PollExit::Record { partition, failure }),
                None if was_told => {}
                None => self.fail(PollExit::Broken(format!("the lane of {partition} ended by itself"))),
            }
        }
        self.reports = reports;
        self.carry_out();
    }

    fn settle(&mut self, run: &Settled) {
        #[cfg(feature = "seeded-bugs")]
        let run = &self.seeded_bug_stale(*run);
        let freed = self.tracker.settle(run.slot, run.first, run.last);
        if freed.records == 0 {
            self.shared.metrics.stale.increment(1);
            return;
        }
        self.lanes.settled(run.slot, freed, &self.tracker);
        self.committer.settled(run.slot, freed.records, run.by == SettledBy::Ack);
    }

    /// The same result for the assignment that followed its own, if that is the seeded bug.
    #[cfg(feature = "seeded-bugs")]
    fn seeded_bug_stale(&self, run: Settled) -> Settled {
        if !crate::seeded::is(crate::seeded::Bug::AppliesStaleResults) {
            return run;
        }
        let partition = self.forgotten.get(&run.slot);
        let slot = partition.and_then(|partition| self.rebalance.slot(partition));
        Settled { slot: slot.unwrap_or(run.slot), ..run }
    }

    fn act_on_time(&mut self) {
        let now = self.now();
        self.rebalance.tick(now, &mut self.actions);
        if self.committer.take_last_call_done(&self.tracker) {
            self.rebalance.committed(now, &mut self.actions);
        }
        self.carry_out();
        self.advance_seeks();
        let overdue = self.committer.unconfirmed_since().is_some_and(|since| now > since + COMMIT_WARN_AFTER);
        if overdue && !self.warned_of_commit {
            warn!(listener = %self.shared.listener, group = %self.shared.group, "no commit is confirmed for 10 s");
        }
        self.warned_of_commit = overdue;
        self.shared.set_commit_overdue(overdue);
    }

    fn fail(&mut self, exit: PollExit) {
        if self.exit.is_none() {
            self.begin_drain(exit);
        }
    }

    fn begin_drain(&mut self, exit: PollExit) {
        if self.exit.is_some() {
            return;
        }
        self.exit = Some(exit);
        self.shared.set_draining();
        let now = self.now();
        self.rebalance.drain(now, &mut self.actions);
        self.carry_out();
    }

    /// Carries out what the rebalance machine decided, in order.
    fn carry_out(&mut self) {
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                self.apply(action);
            }
        }
    }

    fn apply(&mut self, action: Action<TopicPartition>) {
        match action {
            Action::Start { slot, partition } => {
                self.tracker.assign(slot);
                self.committer.assign(slot);
                self.lanes.start(slot, &partition);
                self.partitions.insert(slot, partition);
                self.routes.clear();
            }
            Action::Stop { slots } => {
                self.routes.clear();
                for slot in slots {
                    self.lanes.stop(slot);
                }
            }
            Action::Abandon { slots } => {
                self.routes.clear();
                for slot in slots {
                    let is_at_work = self.lanes.abandon(slot);
                    if is_at_work && matches!(self.exit, Some(PollExit::Stopped)) {
                        self.shared.state.left_behind();
                    }
                }
            }
            Action::Commit { slots } => {
                self.absorb_settled_only();
                #[cfg(feature = "seeded-bugs")]
                self.tracker.seeded_bug_at_shutdown(&slots);
                self.committer.last_call(slots);
            }
            Action::Forget { slots } => {
                for slot in slots {
                    self.stop_watching(slot);
                    self.tracker.forget(slot);
                    self.committer.forget(slot);
                    self.lanes.forget(slot);
                    self.pinning.remove(&slot);
                    let partition = self.partitions.remove(&slot);
                    #[cfg(feature = "seeded-bugs")]
                    self.forgotten.extend(partition.map(|partition| (slot, partition)));
                    #[cfg(not(feature = "seeded-bugs"))]
                    drop(partition);
                }
                self.routes.clear();
            }
            Action::AnswerAssign { partitions } => self.answer_assign(&partitions),
            Action::AnswerRevoke { partitions } => self.answer_revoke(&partitions),
            Action::Drained => self.drained = true,
        }
    }

    /// Takes in settled offsets that arrived since the last turn, without acting on the ends of lanes again.
    fn absorb_settled_only(&mut self) {
        for run in self.shared.settlements.take_settled() {
            self.settle(&run);
        }
    }

    fn answer_assign(&mut self, partitions: &[TopicPartition]) {
        let incremental = self.consumer.rebalance_protocol() == Protocol::Cooperative;
        #[cfg(feature = "seeded-bugs")]
        if incremental {
            self.lanes.seeded_bug_on_assign();
        }
        let start = self.start_offsets(partitions);
        let answered =
            if incremental { self.consumer.incremental_assign(&start) } else { self.consumer.assign(&start) };
        if let Err(error) = answered {
            self.fail(PollExit::Client(error));
            return;
        }
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        info!(listener = %self.shared.listener, group = %self.shared.group, consumer = self.shared.index, partitions = ?names, "partitions assigned");
        // librdkafka keeps its pause across assignments: a partition that was paused when it was given up would stay so.
        let (held, free): (Vec<_>, Vec<_>) =
            partitions.iter().cloned().partition(|partition| self.is_held(partition));
        self.pause_or_resume(&held, true);
        self.pause_or_resume(&free, false);
        let assigned = self.rebalance.partitions().map(|(partition, _)| partition.clone()).collect();
        self.shared.set_assigned(assigned, self.paused_by_user);
        self.tell(|consumer| ListenerEventKind::Assigned { consumer, partitions: partitions.to_vec() });
    }

    fn answer_revoke(&mut self, partitions: &[TopicPartition]) {
        let incremental = self.consumer.rebalance_protocol() == Protocol::Cooperative;
        let answered = if incremental {
            self.consumer.incremental_unassign(partitions)
        } else {
            self.consumer.unassign_all()
        };
        if let Err(error) = answered {
            warn!(listener = %self.shared.listener, %error, "could not give partitions up");
        }
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        info!(listener = %self.shared.listener, group = %self.shared.group, consumer = self.shared.index, partitions = ?names, "partitions revoked");
        self.shared
            .set_revoked(self.rebalance.partitions().map(|(partition, _)| partition.clone()).collect());
        self.tell_given_up(partitions.to_vec());
    }

    /// Frees what full lanes hold back: after a grace, pauses their partitions; resumes those that have room again.
    fn relieve(&mut self) {
        let held = self.lanes.take_held();
        if !held.is_empty() {
            debug!(listener = %self.shared.listener, partitions = held.len(), "records wait for their time: partitions paused");
            self.pause_or_resume(&held, true);
        }
        if !self.lanes.is_any_parked() {
            self.stalled_since = None;
        } else if self.stalled_since.get_or_insert_with(Instant::now).elapsed() >= STALL_GRACE {
            let full = self.lanes.take_to_pause();
            debug!(listener = %self.shared.listener, partitions = full.len(), "lanes full: partitions paused");
            self.pause_or_resume(&full, true);
        }
        let mut free = self.lanes.take_to_resume(&self.tracker);
        if !free.is_empty() {
            free.retain(|partition| !self.is_held(partition));
            self.pause_or_resume(&free, false);
        }
    }

    /// What is to end the wait for records. While a commit is under way or waits for its time no other can be sent, so what
    /// is settled meanwhile is worth no wake-up, unless it makes room for a partition that is paused: the answer or that
    /// time ends the wait soon enough.
    pub(crate) fn waits(&self) -> PollWaits {
        if self.committer.is_waiting(self.now()) && !self.lanes.is_any_paused() {
            PollWaits::ForAllButSettled
        } else {
            PollWaits::ForAll
        }
    }

    /// How many records to take: fewer where the bytes that may be in flight are nearly used up.
    fn poll_max(&self) -> usize {
        let fitting = self.lanes.bytes_left() / self.record_bytes.max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, POLL_RECORDS_MAX)
    }

    /// How long the next poll may wait for records; `None` while a full lane should be waited for instead.
    fn poll_timeout(&self) -> Option<Duration> {
        if self.lanes.is_any_parked() {
            return None;
        }
        let now = self.now();
        let deadlines = [
            self.rebalance.next_deadline(),
            self.committer.next_deadline(),
            Some(self.next_look),
            self.next_seek_deadline(),
            self.by_hand.as_ref().and_then(by_hand::ByHand::next_deadline),
        ];
        let next = deadlines.into_iter().flatten().map(|deadline| deadline.saturating_sub(now)).min();
        Some(next.map_or(self.shared.options.poll_timeout, |next| next.min(self.shared.options.poll_timeout)))
    }

    fn handle(&mut self, event: ConsumerEvent) {
        let now = self.now();
        match event {
            ConsumerEvent::Assign { partitions } => {
                self.rebalance.assigned(partitions, now, &mut self.actions);
            }
            ConsumerEvent::Revoke { partitions, lost: false } => {
                self.rebalance.revoked(partitions, now, &mut self.actions);
            }
            ConsumerEvent::Revoke { partitions, lost: true } => {
                warn!(listener = %self.shared.listener, group = %self.shared.group, count = partitions.len(), "partitions lost: the membership is over");
                self.shared.metrics.lost.increment(1);
                self.rebalance.lost(partitions, now, &mut self.actions);
                self.is_losing = true;
            }
            ConsumerEvent::Committed { id, result } if self.commit_id == Some(id) => {
                self.commit_id = None;
                self.commit_answered(&result);
            }
            ConsumerEvent::Statistics(json) => {
                if let Some(statistics) = Statistics::parse(&json) {
                    self.shared.observe(&statistics);
                }
            }
            ConsumerEvent::Error(error) => self.client_error(error),
            _ => {}
        }
        self.carry_out();
        self.is_losing = false;
    }

    fn client_error(&mut self, error: ClientError) {
        let ends_the_consumer = error.is_fatal()
            || matches!(
                error.kind(),
                ErrorKind::Fatal
                    | ErrorKind::Fenced
                    | ErrorKind::Authentication
                    | ErrorKind::Authorization
                    | ErrorKind::OffsetOutOfRange
                    | ErrorKind::PollExceeded
            );
        if ends_the_consumer {
            self.fail(PollExit::Client(error));
        } else {
            self.shared.client_error(&error);
        }
    }

    /// Leaves the group and closes the client, within its deadline.
    pub(crate) fn close(mut self) -> PollExit {
        self.lanes.join();
        let deadline = self.shared.options.close_timeout;
        let given_up = std::mem::take(&mut self.shared.view().assigned);
        if !given_up.is_empty() {
            self.tell_given_up(given_up);
        }
        if let Err(error) = self.consumer.close(deadline) {
            warn!(listener = %self.shared.listener, %error, "closing the consumer failed");
        }
        self.shared.set_revoked(Vec::new());
        self.exit.unwrap_or(PollExit::Stopped)
    }
}
