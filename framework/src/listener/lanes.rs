//! Lanes: where handlers run, one record after another, one lane a partition.
//!
//! A lane is a task for an `async fn` and a thread of its own for a plain `fn`; the code that runs is the same.
//!
//! # Invariants
//! 1. A lane starts a record only after its handler, or the error policy, is done with the record before it.
//! 2. A lane that is told to stop finishes the record, or the batch, in hand, and reports what it settled.
//! 3. However a lane ends, by return, panic or abort, its end is reported exactly once.
//! 4. A lane that is told that a record is not done goes back to it; what follows it is delivered again, in order.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::{Counter, Histogram};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::gate::{Gate, Pass, Ticket};
use super::handler_threads::HandlerThreads;
use super::handlers::{Flow, Handler};
use super::kept::Rest;
use super::lane_control::LaneControl;
use super::permits::Permits;
use super::recovery::Recovery;
use super::redelivery::Redelivery;
use super::settlements::{LaneEnd, LaneFailure, Settlements};
use super::tracker::Slot;
use super::transactions::LaneTransactions;
use super::turn::Turn;
use crate::config::model::{AckMode, Ordering as RecordOrder};
use crate::error::HandlerError;
use crate::handler::{AckTarget, Completion, HandlerResult, Interception};
use crate::policy::{Decision, ErrorPolicy, Fault};
use crate::record::{Chunk, Places};

/// What a plain `fn` on a thread of its own may run before its progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// How far ahead its next record's time must be for a lane to have its partition paused.
pub(super) const HOLD_MIN: Duration = Duration::from_millis(500);

/// What all lanes of one listener share.
#[derive(Debug)]
pub(crate) struct LaneShared {
    pub(crate) listener: String,
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) policy: ErrorPolicy,
    /// Where records go that could not be handled.
    pub(crate) recovery: Recovery,
    pub(crate) ordering: RecordOrder,
    pub(crate) ack: AckMode,
    /// Whether each record waits for its own commit before the next one of its lane, or of its key, starts.
    pub(crate) wait_for_commit: bool,
    pub(crate) blocking: bool,
    /// What is passed before the handler is called.
    pub(crate) gate: Arc<Gate>,
    /// How long one attempt may take.
    pub(crate) handler_timeout: Option<Duration>,
    /// How many handlers may be at work; without order by partition only.
    pub(crate) permits: Permits,
    /// Where plain `fn` handlers run; without order by partition, or with a time limit.
    pub(crate) threads: HandlerThreads,
    /// Sees records before and after their handler.
    pub(crate) interception: Interception,
    /// How many lanes wait out a backoff.
    pub(crate) retrying: AtomicUsize,
    pub(crate) metrics: LaneMetrics,
    /// Where records are consumed in transactions.
    pub(crate) transactions: Option<LaneTransactions>,
}

/// A listener's metric handles.
pub(crate) struct LaneMetrics {
    pub(crate) handled: Counter,
    pub(crate) failed: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) retried: Counter,
    pub(crate) skipped: Counter,
    pub(crate) filtered: Counter,
    pub(crate) nacked: Counter,
    /// Of transactions.
    pub(crate) commits: Counter,
    pub(crate) commit_failures: Counter,
    pub(crate) seconds: Histogram,
}

impl LaneShared {
    /// Whether handlers in order run on threads of their own, which a lane can leave behind: plain functions with a time
    /// limit.
    pub(crate) fn is_on_threads(&self) -> bool {
        self.blocking && self.handler_timeout.is_some()
    }

    /// How many handlers have been left behind, if they are too many to go on.
    pub(super) fn threads_left_behind(&self) -> Option<usize> {
        if self.is_on_threads() { self.threads.too_many_left_behind() } else { None }
    }
}

impl std::fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaneMetrics")
    }
}

/// One lane, as its handler sees it.
#[doc(hidden)]
pub struct Lane {
    pub(super) shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
    pass: Pass,
    slot: Slot,
    partition: String,
    chunks: mpsc::Receiver<Arc<Chunk>>,
    /// With manual acknowledgement.
    redelivery: Option<Redelivery>,
    /// Settled and not yet reported.
    unreported: Option<(i64, i64)>,
    reported_at: Instant,
    /// How many attempts of this chunk ended without waiting, and since when.
    chunk_started: Instant,
    measured: usize,
    pub(super) turn: Turn,
    /// How many records of this chunk the filter left out.
    left_out: u64,
    /// Nothing about the listener asks for more than the handler's result, as far as that never changes.
    is_plain: bool,
    end: EndReport,
}

pub(super) enum Conclusion {
    /// The handler succeeded; with manual acknowledgement, the rest is up to its `Ack`.
    Handled,
    /// The policy counts it as done, whether it was acknowledged or not: nobody else would ever do it.
    Skipped,
    /// It goes to another topic, and is done when that has it.
    Leaves(Fault),
    /// Another attempt, unless this one does not count.
    Again {
        counts: bool,
    },
    End,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("slot", &self.slot)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// Counts a record that waits for another attempt, also if its lane is ended meanwhile.
struct Retrying(Arc<LaneShared>);

impl Retrying {
    fn new(shared: &Arc<LaneShared>) -> Self {
        shared.retrying.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    pub(crate) fn new(
        shared: Arc<LaneShared>,
        control: Arc<LaneControl>,
        slot: Slot,
        partition: String,
        chunks: mpsc::Receiver<Arc<Chunk>>,
    ) -> Self {
        let end = EndReport::new(Arc::clone(&shared.settlements), slot);
        let now = Instant::now();
        let is_plain = !shared.ack.is_manual()
            && shared.ack != AckMode::Record
            && !shared.blocking
            && !shared.interception.is_there()
            && !shared.policy.is_delayed();
        Self {
            redelivery: shared.ack.is_manual().then(Redelivery::default),
            pass: Pass::new(&shared.gate),
            shared,
            control,
            slot,
            partition,
            chunks,
            unreported: None,
            reported_at: now,
            chunk_started: now,
            measured: 0,
            turn: Turn::new(),
            left_out: 0,
            is_plain,
            end,
        }
    }

    /// Runs the handler until the lane ends, and reports the end.
    pub(crate) async fn run(mut self, handler: Arc<dyn Handler>) {
        let outcome = AssertUnwindSafe(handler.run(&mut self)).catch_unwind().await;
        self.report_progress(true);
        if let Err(payload) = outcome {
            let error = HandlerError::from_panic(payload.as_ref());
            error!(listener = %self.shared.listener, partition = %self.partition, %error, "a lane broke");
            self.end.failure = Some(LaneFailure { offset: -1, attempts: 0, error });
        }
    }

    pub(super) async fn next_chunk(&mut self) -> Option<Rest> {
        if self.is_stopping() {
            return None;
        }
        self.hear();
        let rest = match self.take_chunk() {
            Ok(rest) => rest,
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => {
                self.report_progress(false);
                self.shared.settlements.boundary(self.slot, 0, true);
                let rest = self.wait_for_chunk().await?;
                self.turn.begin();
                rest
            }
        };
        self.chunk_started = Instant::now();
        self.measured = 0;
        self.left_out = 0;
        Some(rest)
    }

    /// Lets others have their turn at the worker, if this one is over. Says whether one of them has called the lane back to a
    /// record, which is then the next one.
    pub(super) async fn give_way(&mut self) -> bool {
        self.turn.give_way().await && self.redelivery.is_some() && self.hear()
    }

    fn take_chunk(&mut self) -> Result<Rest, mpsc::error::TryRecvError> {
        if let Some(rest) = self.redelivery.as_mut().and_then(Redelivery::next) {
            return Ok(rest);
        }
        let chunk = self.chunks.try_recv()?;
        Ok(self.given(chunk))
    }

    fn given(&mut self, chunk: Arc<Chunk>) -> Rest {
        if let Some(redelivery) = &mut self.redelivery {
            redelivery.given(&chunk, self.control.lowest_open());
        }
        Rest { chunk, from: 0 }
    }

    async fn wait_for_chunk(&mut self) -> Option<Rest> {
        loop {
            tokio::select! {
                biased;
                () = self.control.changed() => {
                    if self.is_stopping() {
                        return None;
                    }
                    if self.hear() && let Some(rest) = self.redelivery.as_mut().and_then(Redelivery::next) {
                        return Some(rest);
                    }
                }
                chunk = self.chunks.recv() => return chunk.map(|chunk| self.given(chunk)),
            }
        }
    }

    /// Takes in what `Ack`s said; whether the lane has to go back.
    fn hear(&mut self) -> bool {
        let Some(redelivery) = self.redelivery.as_mut().filter(|_| self.control.answers().is_any()) else {
            return false;
        };
        let heard = redelivery.hear(self.control.answers().take(), self.control.lowest_open());
        let (listener, partition) = (&self.shared.listener, &self.partition);
        for (offset, last) in heard.dropped {
            warn!(%listener, %partition, offset, last, "an `Ack` was dropped unused: its record stays undone until the next restart or rebalance, and nothing behind it is committed");
        }
        for offset in heard.nacked {
            info!(%listener, %partition, offset, "not done, says its `Ack`: to be delivered again");
            self.shared.metrics.nacked.increment(1);
        }
        heard.is_back
    }

    /// Everything up to this offset has been handled: says where the lane goes next.
    pub(super) fn turn(&mut self, passed: i64) -> Flow {
        if let Some(redelivery) = &mut self.redelivery {
            redelivery.passed(passed);
            if self.hear() {
                return Flow::Back;
            }
        }
        Flow::Next
    }

    /// Waits until records may be delivered; tells where the lane goes instead, if it does.
    pub(super) async fn until_due(
        &mut self,
        first: i64,
        last: i64,
        not_before: Option<tokio::time::Instant>,
    ) -> Option<Flow> {
        let flow = self.wait_until_due(first, last, not_before).await;
        self.control.hold(false, &self.shared.settlements, self.slot);
        flow
    }

    async fn wait_until_due(
        &mut self,
        first: i64,
        last: i64,
        not_before: Option<tokio::time::Instant>,
    ) -> Option<Flow> {
        if not_before.is_some() {
            self.report_progress(true);
        }
        loop {
            let due = self.redelivery.as_ref().and_then(|redelivery| redelivery.due(first, last));
            let Some(due) = due.max(not_before) else { break };
            let now = tokio::time::Instant::now();
            if due <= now {
                break;
            }
            if not_before.is_some_and(|due| due > now + HOLD_MIN) {
                self.control.hold(true, &self.shared.settlements, self.slot);
            }
            let waits = Retrying::new(&self.shared);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => {}
                () = self.control.changed() => {}
            }
            drop(waits);
            if self.is_stopping() {
                return Some(Flow::End);
            }
            if self.hear() {
                return Some(Flow::Back);
            }
        }
        if let Some(redelivery) = &mut self.redelivery {
            redelivery.release(first, last);
        }
        None
    }

    /// Whether the records of a failed attempt are to be delivered again anyway, because their `Ack` says so. If not, the
    /// error policy decides, and an `Ack` that the failure dropped says nothing.
    pub(super) fn is_answered(&self, outcome: &Result<(), Fault>, first: i64, last: i64) -> bool {
        let Err(fault) = outcome else { return false };
        let is_answered = self.control.answers().failed(first, last);
        if is_answered {
            self.shared.metrics.failed.increment(1);
            warn!(listener = %self.shared.listener, partition = %self.partition, offset = first, error = %fault, "attempt failed after its `Ack` had said that the record is not done");
        }
        is_answered
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.control.is_stopping()
    }

    pub(super) fn ack_target(&self, chunk: &Arc<Chunk>, places: &Places) -> Option<Completion> {
        self.shared.ack.is_manual().then(|| {
            Completion::Ack(AckTarget {
                settlements: Arc::clone(&self.shared.settlements),
                control: Arc::clone(&self.control),
                slot: self.slot.0,
                chunk: Arc::clone(chunk),
                places: places.clone(),
                from: 0,
            })
        })
    }

    /// Counts the records of a batch that its function is not given. Where only `Ack`s settle, they are done.
    pub(super) fn leave_out(&mut self, chunk: &Arc<Chunk>, range: Range<usize>, places: &Places) {
        if matches!(places, Places::Range(_)) && places.len() > 0 {
            return;
        }
        for index in range.filter(|index| !places.contains(*index)) {
            self.left_out += 1;
            self.shared.metrics.filtered.increment(1);
            if self.shared.ack.is_manual() {
                let offset = chunk.records[index].offset();
                self.shared.settlements.acknowledge(self.slot.0, offset, offset);
            }
        }
    }

    pub(super) fn is_on_threads(&self) -> bool {
        self.shared.is_on_threads()
    }

    /// Whether a record may be handled with nothing to ask before and nothing to tell but that it is done.
    pub(super) fn is_direct(&self) -> bool {
        self.is_plain && !self.pass.is_guarded()
    }

    /// Notes a record as done that was handled without a wait.
    pub(super) fn handled_directly(&mut self, offset: i64) {
        self.measured += 1;
        self.done_directly(offset);
    }

    /// Notes a record as done that the filter left out.
    pub(super) fn left_out_directly(&mut self, offset: i64) {
        self.left_out += 1;
        self.shared.metrics.filtered.increment(1);
        self.done_directly(offset);
    }

    fn done_directly(&mut self, offset: i64) {
        self.unreported = Some((self.unreported.map_or(offset, |(first, _)| first), offset));
    }

    /// A handler on a thread of its own, which goes on there if the lane does not wait for it any more.
    pub(super) fn on_a_thread<Fut>(&self, handler: Fut) -> BoxFuture<'static, HandlerResult>
    where
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        // The thread has it from when this is first polled, which may be after a wait for permission.
        async move { shared.threads.run(handler).await }.boxed()
    }

    /// Runs the handler once over so many records; a panic is an error like any other.
    pub(super) async fn attempt<Fut>(&mut self, handler: Fut, records: usize) -> Result<(), Fault>
    where
        Fut: Future<Output = HandlerResult> + Send,
    {
        let ticket = if self.pass.is_guarded() {
            Some(self.admitted(records).await.ok_or(Fault::Interrupted)?)
        } else {
            None
        };
        let mut future = pin!(Some(handler));
        let poll_once = |context: &mut Context<'_>| {
            let polled = catch_unwind(AssertUnwindSafe(|| poll_some(future.as_mut(), context)));
            Poll::Ready(
                polled.unwrap_or_else(|panic| Poll::Ready(Err(HandlerError::from_panic(panic.as_ref())))),
            )
        };
        let outcome = match poll_fn(poll_once).await {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => self.until_ended(future.as_mut()).await,
        };
        concluded(&self.shared.policy, ticket, outcome)
    }

    /// Waits for a handler that was called without a permission, for it needs none.
    pub(super) async fn rest_of_attempt<Fut>(&mut self, future: Pin<&mut Option<Fut>>) -> Result<(), Fault>
    where
        Fut: Future<Output = HandlerResult> + Send,
    {
        self.until_ended(future).await.map_err(Fault::Handler)
    }

    /// Waits for the end of a handler that has begun, or for that of its time.
    async fn until_ended<Fut>(&mut self, mut future: Pin<&mut Option<Fut>>) -> HandlerResult
    where
        Fut: Future<Output = HandlerResult> + Send,
    {
        // Let the poll thread see what is done, and time this record on its own.
        self.report_progress(true);
        self.record_measured();
        let started = Instant::now();
        let rest = AssertUnwindSafe(poll_fn(|context| poll_some(future.as_mut(), context))).catch_unwind();
        let outcome = match self.shared.handler_timeout {
            None => rest.await,
            Some(limit) => match tokio::time::timeout(limit, rest).await {
                Ok(outcome) => outcome,
                Err(_) => Ok(Err(self.timed_out(limit, || future.set(None)))),
            },
        };
        self.shared.metrics.seconds.record(started.elapsed());
        self.chunk_started = Instant::now();
        outcome.unwrap_or_else(|panic| Err(HandlerError::from_panic(panic.as_ref())))
    }

    /// Waits until the handler may be called; `None` if the lane is to stop instead.
    async fn admitted(&mut self, records: usize) -> Option<Ticket> {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let mut has_reported = false;
        loop {
            if self.is_stopping() {
                return None;
            }
            let until = match self.pass.ask(records, tokio::time::Instant::now()) {
                Ok(ticket) => return Some(ticket),
                Err(until) => until,
            };
            if !std::mem::replace(&mut has_reported, true) {
                self.report_progress(true);
            }
            tokio::select! {
                () = self.pass.until(until) => {}
                () = self.control.changed() => {}
            }
        }
    }

    /// Ends an attempt that takes too long; ending it may panic, which says nothing more.
    fn timed_out(&self, limit: Duration, end: impl FnOnce()) -> HandlerError {
        self.shared.metrics.timed_out.increment(1);
        drop(catch_unwind(AssertUnwindSafe(end)));
        HandlerError::timed_out(limit)
    }

    /// Decides what follows an attempt, and waits out the backoff if it is another one.
    /// The records are those at fault.
    pub(super) async fn conclude(
        &mut self,
        outcome: Result<(), Fault>,
        attempt: u32,
        chunk: &Chunk,
        records: Range<usize>,
    ) -> Conclusion {
        let record = &chunk.records[records.start];
        let offset = record.offset();
        let Err(fault) = outcome else {
            self.measured += 1;
            return Conclusion::Handled;
        };
        if fault.is_filtered() {
            self.left_out += 1;
            self.shared.metrics.filtered.increment(1);
            return Conclusion::Skipped;
        }
        if matches!(fault, Fault::Interrupted) {
            return Conclusion::End;
        }
        self.shared.metrics.failed.increment(1);
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::ErrorIsDone) {
            return Conclusion::Skipped;
        }
        self.report_progress(true);
        let (listener, partition) = (&self.shared.listener, &self.partition);
        if let Some(count) = self.shared.threads_left_behind() {
            self.end.failure = Some(LaneFailure::left_behind(offset, attempt, count, fault));
            return Conclusion::End;
        }
        if let Fault::Outage(error) = &fault {
            info!(%listener, %partition, offset, attempt, %error, "attempt failed while the circuit is open: it does not count");
            self.shared.metrics.retried.increment(1);
            return Conclusion::Again { counts: false };
        }
        match self.shared.policy.decide(&fault, attempt, record) {
            Decision::Retry(delay) => {
                warn!(%listener, %partition, offset, attempt, error = %fault, retry_in = ?delay, "attempt failed");
                self.shared.metrics.retried.increment(1);
                if self.wait_for_retry(delay).await {
                    Conclusion::Again { counts: true }
                } else {
                    Conclusion::End
                }
            }
            Decision::Leave(_) if self.shared.recovery.is_there() => Conclusion::Leaves(fault),
            // Those that failed with it may have deliveries left.
            Decision::Skip if records.len() > 1 && self.shared.policy.has_retry_topics() => {
                Conclusion::Leaves(fault)
            }
            Decision::Skip => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "record skipped: its attempts are used up");
                self.shared.metrics.skipped.increment(1);
                Conclusion::Skipped
            }
            Decision::Stop | Decision::Leave(_) => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "listener stops: a record's attempts are used up");
                self.end.failure = Some(LaneFailure { offset, attempts: attempt, error: fault.into_error() });
                Conclusion::End
            }
        }
    }

    /// Whether it consumes in transactions.
    pub(super) fn is_transactional(&self) -> bool {
        self.shared.transactions.is_some()
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    pub(super) fn partition(&self) -> &str {
        &self.partition
    }

    /// Whether a call of the handler may have to wait for a permission.
    pub(super) fn is_guarded(&self) -> bool {
        self.pass.is_guarded()
    }

    /// Says why the lane ends, if it does before it is told to: the consumer starts again at what is committed.
    pub(super) fn fail(&mut self, error: HandlerError) {
        self.end.failure = Some(LaneFailure { offset: -1, attempts: 0, error });
    }

    pub(super) fn shared(&self) -> Arc<LaneShared> {
        Arc::clone(&self.shared)
    }

    /// Waits out a backoff; `false` if the lane is told to stop meanwhile.
    pub(super) async fn wait_for_retry(&self, delay: Duration) -> bool {
        let _waits = Retrying::new(&self.shared);
        self.interruptible_sleep(delay).await
    }

    /// Returns when the lane has been told to stop for this long.
    pub(super) async fn told_to_stop_for(&self, grace: Duration) {
        while !self.is_stopping() {
            self.control.changed().await;
        }
        tokio::time::sleep(grace).await;
    }

    /// Sleeps unless the lane is told to stop; `false` if it was.
    async fn interruptible_sleep(&self, delay: Duration) -> bool {
        let sleep = pin!(tokio::time::sleep(delay));
        let mut sleep = sleep;
        loop {
            if self.is_stopping() {
                return false;
            }
            tokio::select! {
                biased;
                () = sleep.as_mut() => return !self.is_stopping(),
                () = self.control.changed() => {}
            }
        }
    }

    /// Notes records as done; `false` if the lane ends instead of going on.
    pub(super) async fn settled(&mut self, first: i64, last: i64, acknowledged_by_user: bool) -> bool {
        if !acknowledged_by_user {
            self.unreported = Some((self.unreported.map_or(first, |(first, _)| first), last));
        }
        if self.shared.wait_for_commit && !acknowledged_by_user {
            self.report_progress(true);
            return self.until_committed(last + 1).await;
        }
        let due = self.shared.ack == AckMode::Record
            || (self.shared.blocking && self.reported_at.elapsed() >= PROGRESS_INTERVAL);
        if due {
            self.report_progress(self.shared.blocking);
        }
        true
    }

    /// Notes records as done that the policy skipped; `false` if the lane ends instead of going on.
    pub(super) async fn skipped(&mut self, first: i64, last: i64) -> bool {
        if self.shared.ack.is_manual() {
            // A lane's own runs are merged on their way, which would count what lies between two skipped records as done,
            // although nobody acknowledged it. Acknowledgements stay apart.
            self.shared.settlements.acknowledge(self.slot.0, first, last);
            return true;
        }
        self.settled(first, last, false).await
    }

    /// Notes the records of a batch as done that precede one that failed; `false` if the lane ends instead of going on.
    pub(super) async fn preceding_settled(&mut self, first: i64, last: i64) -> bool {
        if self.shared.ack.is_manual() {
            self.shared.settlements.acknowledge(self.slot.0, first, last);
        } else if !self.settled(first, last, false).await {
            return false;
        }
        self.report_progress(true);
        // The rest of the batch may take long: what precedes it does not wait for it.
        self.shared.settlements.boundary(self.slot, 0, true);
        true
    }

    async fn until_committed(&self, offset: i64) -> bool {
        loop {
            if self.control.confirmed() >= offset {
                return true;
            }
            if self.is_stopping() {
                return false;
            }
            self.control.changed().await;
        }
    }

    pub(super) fn chunk_done(&mut self, chunk: &Arc<Chunk>) {
        let is_first_time = self.redelivery.as_mut().is_none_or(|redelivery| redelivery.count(chunk));
        if is_first_time {
            let handled = (chunk.records.len() as u64).saturating_sub(self.left_out);
            self.shared.metrics.handled.increment(handled);
        }
        self.record_measured();
        self.report_progress(false);
        self.shared.settlements.boundary(self.slot, u32::from(is_first_time), false);
    }

    fn record_measured(&mut self) {
        let measured = std::mem::take(&mut self.measured);
        if measured > 0 {
            let divisor = u32::try_from(measured).unwrap_or(u32::MAX);
            let each = self.chunk_started.elapsed() / divisor;
            self.shared.metrics.seconds.record_many(each, measured);
            self.turn.takes(each);
        }
    }

    fn report_progress(&mut self, urgent: bool) {
        if let Some((first, last)) = self.unreported.take() {
            self.shared.settlements.settle(self.slot, first, last, urgent);
        }
        if self.shared.blocking {
            self.reported_at = Instant::now();
        }
    }
}

/// Polls a future that is there until it has ended.
pub(super) fn poll_some<F: Future>(
    future: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    future.as_pin_mut().map_or(Poll::Pending, |future| future.poll(context))
}

/// Tells the gate how a call went, and what that means for its record.
pub(super) fn concluded(
    policy: &ErrorPolicy,
    ticket: Option<Ticket>,
    outcome: HandlerResult,
) -> Result<(), Fault> {
    let Some(ticket) = ticket else { return outcome.map_err(Fault::Handler) };
    let fault = match outcome {
        Ok(()) => {
            ticket.succeeded();
            return Ok(());
        }
        Err(error) => Fault::Handler(error),
    };
    if !policy.may_retry(&fault) {
        // The record is to blame, and not what the handler depends on.
        ticket.spent();
        return Err(fault);
    }
    let is_attempt = ticket.failed(|| fault.to_string());
    Err(if is_attempt { fault } else { Fault::Outage(fault.into_error()) })
}

pub(super) fn panicked(payload: &(dyn Any + Send)) -> Fault {
    Fault::Handler(HandlerError::from_panic(payload))
}

/// Reports a lane's end when it is dropped, which a return, a panic and an abort have in common.
pub(super) struct EndReport {
    settlements: Arc<Settlements>,
    slot: Slot,
    failure: Option<LaneFailure>,
}

impl EndReport {
    pub(super) fn new(settlements: Arc<Settlements>, slot: Slot) -> Self {
        Self { settlements, slot, failure: None }
    }
}

impl Drop for EndReport {
    fn drop(&mut self) {
        self.settlements.ended(LaneEnd { slot: self.slot, failure: self.failure.take() });
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "limits_tests.rs"]
mod limits_tests;
