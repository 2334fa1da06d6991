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
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::{Counter, Histogram};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

use super::answers::{Answer, Answers};
use super::handler_threads::HandlerThreads;
use super::kept::Rest;
use super::key_lane::{KeyLane, Permits};
use super::redelivery::Redelivery;
use super::settlements::{LaneEnd, LaneFailure, Settlements};
use super::tracker::Slot;
use crate::config::model::{AckMode, Ordering as RecordOrder};
use crate::error::{ExtractError, HandlerError};
use crate::handler::{AckTarget, Outcome};
use crate::policy::{Decision, ErrorPolicy, Fault};
use crate::record::{BatchView, Chunk, RecordView};

/// What a plain `fn` on a thread of its own may run before its progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// A listener's handler, as the attribute generated it.
pub trait Handler: Send + Sync {
    /// Runs the handler over everything that the lane is given, until the lane ends.
    #[doc(hidden)]
    fn run<'a>(&'a self, lane: &'a mut Lane) -> BoxFuture<'a, ()>;

    /// The same, where records need not wait for those of other keys.
    #[doc(hidden)]
    fn run_by_key<'a>(&'a self, lane: &'a mut KeyLane) -> BoxFuture<'a, ()>;
}

/// Makes the handler of a function that takes one record.
#[doc(hidden)]
pub fn record_handler<F, Fut>(call: F) -> Box<dyn Handler>
where
    F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    Box::new(RecordHandler { call })
}

/// Makes the handler of a function that takes a batch.
#[doc(hidden)]
pub fn batch_handler<F, Fut>(call: F) -> Box<dyn Handler>
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    Box::new(BatchHandler { call })
}

struct RecordHandler<F> {
    call: F,
}

struct BatchHandler<F> {
    call: F,
}

impl<F, Fut> Handler for RecordHandler<F>
where
    F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn run<'a>(&'a self, lane: &'a mut Lane) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            'chunks: while let Some(Rest { chunk, from }) = lane.next_chunk().await {
                for index in from..chunk.records.len() {
                    if lane.is_stopping() {
                        return;
                    }
                    match self.one(lane, &chunk, index).await {
                        Flow::Next => {}
                        Flow::Back => continue 'chunks,
                        Flow::End => return,
                    }
                }
                lane.chunk_done(&chunk);
            }
        })
    }

    fn run_by_key<'a>(&'a self, lane: &'a mut KeyLane) -> BoxFuture<'a, ()> {
        if lane.is_blocking() {
            Box::pin(lane.drive(|view, shared| {
                (self.call)(view).map(|handler| shared.threads.run(handler)).map_err(Fault::Extract)
            }))
        } else {
            Box::pin(lane.drive(|view, _| (self.call)(view).map_err(Fault::Extract)))
        }
    }
}

impl<F, Fut> RecordHandler<F>
where
    F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = Outcome> + Send,
{
    /// Handles one record to its end.
    async fn one(&self, lane: &mut Lane, chunk: &Arc<Chunk>, index: usize) -> Flow {
        let offset = chunk.records[index].offset();
        let ack = lane.ack_target(chunk, index..index + 1);
        if ack.is_some()
            && let Some(flow) = lane.until_due(offset, offset).await
        {
            return flow;
        }
        let mut attempt = 1;
        loop {
            let view = RecordView::new(chunk, index, attempt, ack.as_ref());
            let outcome = lane.attempt(|| (self.call)(&view)).await;
            if ack.is_some() && lane.is_answered(&outcome, offset, offset) {
                return lane.turn(offset);
            }
            let goes_on = match lane.conclude(outcome, attempt, offset).await {
                Conclusion::Handled => lane.settled(offset, offset, ack.is_some()).await,
                Conclusion::Skipped => lane.skipped(offset, offset).await,
                Conclusion::Again => {
                    attempt += 1;
                    continue;
                }
                Conclusion::End => false,
            };
            return if goes_on { lane.turn(offset) } else { Flow::End };
        }
    }
}

impl<F, Fut> Handler for BatchHandler<F>
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = Outcome> + Send,
{
    fn run<'a>(&'a self, lane: &'a mut Lane) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            while let Some(rest) = lane.next_chunk().await {
                if lane.is_stopping() {
                    return;
                }
                match self.rest(lane, &rest).await {
                    Flow::Next => lane.chunk_done(&rest.chunk),
                    Flow::Back => {}
                    Flow::End => return,
                }
            }
        })
    }

    fn run_by_key<'a>(&'a self, _: &'a mut KeyLane) -> BoxFuture<'a, ()> {
        unreachable!("start-up refuses a batch listener with another ordering than `partition`")
    }
}

impl<F, Fut> BatchHandler<F>
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = Outcome> + Send,
{
    /// Handles a batch, or the rest of one, to its end: at once, unless a failure names one of its records.
    async fn rest(&self, lane: &mut Lane, rest: &Rest) -> Flow {
        let mut part = Part { from: rest.from, to: rest.chunk.records.len(), attempt: 1 };
        while part.from < rest.chunk.records.len() {
            match self.part(lane, &rest.chunk, &mut part).await {
                Flow::Next if lane.is_stopping() => return Flow::End,
                Flow::Next => {}
                other => return other,
            }
        }
        Flow::Next
    }

    /// Makes one attempt at a part of a batch, and moves the part on.
    async fn part(&self, lane: &mut Lane, chunk: &Arc<Chunk>, part: &mut Part) -> Flow {
        let offset = |index: usize| chunk.records[index].offset();
        let (first, last) = (offset(part.from), offset(part.to - 1));
        let ack = lane.ack_target(chunk, part.from..part.to);
        if ack.is_some()
            && let Some(flow) = lane.until_due(first, last).await
        {
            return flow;
        }
        let view = BatchView::new(chunk, part.from..part.to, part.attempt, ack.as_ref());
        let outcome = lane.attempt(|| (self.call)(&view)).await;
        if ack.is_some() && lane.is_answered(&outcome, first, last) {
            return lane.turn(last);
        }
        let named = outcome.as_ref().err().and_then(|fault| fault.index_in(part.to - part.from));
        match named {
            Some(index) if index > 0 && matches!(outcome, Err(Fault::Extract(_))) => {
                // What precedes a record that cannot be read was not handled yet.
                part.to = part.from + index;
                return Flow::Next;
            }
            Some(index) if index > 0 => {
                if !lane.preceding_settled(first, offset(part.from + index - 1)).await {
                    return Flow::End;
                }
                part.from += index;
                part.attempt = 1;
            }
            _ => {}
        }
        let first = offset(part.from);
        let (done_to, goes_on) = match lane.conclude(outcome, part.attempt, first).await {
            Conclusion::Handled => (part.to, lane.settled(first, last, ack.is_some()).await),
            Conclusion::Skipped if named.is_some() => (part.from + 1, lane.skipped(first, first).await),
            Conclusion::Skipped => (part.to, lane.skipped(first, last).await),
            Conclusion::Again => {
                part.attempt += 1;
                return Flow::Next;
            }
            Conclusion::End => return Flow::End,
        };
        let passed = offset(done_to - 1);
        *part = Part { from: done_to, to: chunk.records.len(), attempt: 1 };
        if goes_on { lane.turn(passed) } else { Flow::End }
    }
}

/// The part of a batch that is handled next.
struct Part {
    from: usize,
    to: usize,
    attempt: u32,
}

/// Where a lane goes after a record, or a batch.
enum Flow {
    /// To what follows.
    Next,
    /// Back, to a record that is not done.
    Back,
    /// Nowhere.
    End,
}

/// What all lanes of one listener share.
#[derive(Debug)]
pub(crate) struct LaneShared {
    pub(crate) listener: String,
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) policy: ErrorPolicy,
    pub(crate) ordering: RecordOrder,
    pub(crate) ack: AckMode,
    /// Whether each record waits for its own commit before the next one of its lane, or of its key, starts.
    pub(crate) wait_for_commit: bool,
    pub(crate) blocking: bool,
    /// How many handlers may be at work; without order by partition only.
    pub(crate) permits: Permits,
    /// Where plain `fn` handlers run; without order by partition only.
    pub(crate) threads: HandlerThreads,
    /// How many lanes wait out a backoff.
    pub(crate) retrying: AtomicUsize,
    pub(crate) metrics: LaneMetrics,
}

/// A listener's metric handles.
pub(crate) struct LaneMetrics {
    pub(crate) handled: Counter,
    pub(crate) failed: Counter,
    pub(crate) retried: Counter,
    pub(crate) skipped: Counter,
    pub(crate) filtered: Counter,
    pub(crate) nacked: Counter,
    pub(crate) seconds: Histogram,
}

impl std::fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaneMetrics")
    }
}

/// The poll thread's side of a lane: tells it to stop, and when its offset is committed.
#[derive(Debug, Default)]
pub(crate) struct LaneControl {
    stopping: AtomicBool,
    /// What is confirmed: the next offset to read, or, where records are settled in any order, how many of them are.
    committed: AtomicI64,
    /// The lowest offset that is not settled; with manual acknowledgement.
    settled_to: AtomicI64,
    /// What `Ack`s say.
    answers: Answers,
    changed: Notify,
}

impl LaneControl {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn confirmed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// User code says something of records, through an `Ack`.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.give(answer);
        self.changed.notify_one();
    }

    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(crate) fn settled_to(&self, offset: i64) {
        self.settled_to.store(offset, Ordering::Release);
    }

    pub(super) fn lowest_open(&self) -> i64 {
        self.settled_to.load(Ordering::Acquire)
    }

    /// Waits until the poll thread, or an `Ack`, has told something.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    pub(crate) fn committed(&self, reached: i64) {
        self.committed.fetch_max(reached, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

/// One lane, as its handler sees it.
#[doc(hidden)]
pub struct Lane {
    shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
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
    /// How many records of this chunk the filter left out.
    left_out: u64,
    end: EndReport,
}

enum Conclusion {
    /// The handler succeeded; with manual acknowledgement, the rest is up to its `Ack`.
    Handled,
    /// The policy counts it as done, whether it was acknowledged or not: nobody else would ever do it.
    Skipped,
    Again,
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
        Self {
            redelivery: shared.ack.is_manual().then(Redelivery::default),
            shared,
            control,
            slot,
            partition,
            chunks,
            unreported: None,
            reported_at: now,
            chunk_started: now,
            measured: 0,
            left_out: 0,
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

    async fn next_chunk(&mut self) -> Option<Rest> {
        if self.is_stopping() {
            return None;
        }
        self.hear();
        let rest = match self.take_chunk() {
            Ok(rest) => rest,
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => {
                self.report_progress(true);
                self.shared.settlements.boundary(self.slot, 0, true);
                self.wait_for_chunk().await?
            }
        };
        self.chunk_started = Instant::now();
        self.measured = 0;
        self.left_out = 0;
        Some(rest)
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
                () = self.control.changed.notified() => {
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
        let Some(redelivery) = self.redelivery.as_mut().filter(|_| self.control.answers.is_any()) else {
            return false;
        };
        let heard = redelivery.hear(self.control.answers.take(), self.control.lowest_open());
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
    fn turn(&mut self, passed: i64) -> Flow {
        if let Some(redelivery) = &mut self.redelivery {
            redelivery.passed(passed);
            if self.hear() {
                return Flow::Back;
            }
        }
        Flow::Next
    }

    /// Waits until records may be delivered; tells where the lane goes instead, if it does.
    async fn until_due(&mut self, first: i64, last: i64) -> Option<Flow> {
        while let Some(due) = self.redelivery.as_ref().and_then(|redelivery| redelivery.due(first, last)) {
            if due <= tokio::time::Instant::now() {
                break;
            }
            self.shared.retrying.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => {}
                () = self.control.changed.notified() => {}
            }
            self.shared.retrying.fetch_sub(1, Ordering::Relaxed);
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
    fn is_answered(&self, outcome: &Result<(), Fault>, first: i64, last: i64) -> bool {
        let Err(fault) = outcome else { return false };
        let is_answered = self.control.answers.failed(first, last);
        if is_answered {
            self.shared.metrics.failed.increment(1);
            warn!(listener = %self.shared.listener, partition = %self.partition, offset = first, error = %fault, "attempt failed after its `Ack` had said that the record is not done");
        }
        is_answered
    }

    fn is_stopping(&self) -> bool {
        self.control.is_stopping()
    }

    fn ack_target(&self, chunk: &Arc<Chunk>, records: Range<usize>) -> Option<AckTarget> {
        self.shared.ack.is_manual().then(|| AckTarget {
            settlements: Arc::clone(&self.shared.settlements),
            control: Arc::clone(&self.control),
            slot: self.slot.0,
            chunk: Arc::clone(chunk),
            from: records.start,
            to: records.end,
        })
    }

    /// Extracts the arguments and runs the handler once; a panic of either is an error like any other.
    async fn attempt<Fut>(&mut self, call: impl FnOnce() -> Result<Fut, ExtractError>) -> Result<(), Fault>
    where
        Fut: Future<Output = Outcome> + Send,
    {
        let future = match std::panic::catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(future)) => future,
            Ok(Err(error)) => return Err(Fault::Extract(error)),
            Err(payload) => return Err(panicked(payload.as_ref())),
        };
        let mut future = pin!(AssertUnwindSafe(future).catch_unwind());
        let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        let outcome = match at_once {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                // The handler waits: let the poll thread see what is done, and time this record on its own.
                self.report_progress(true);
                self.record_measured();
                let started = Instant::now();
                let outcome = future.await;
                self.shared.metrics.seconds.record(started.elapsed());
                self.chunk_started = Instant::now();
                outcome
            }
        };
        match outcome {
            Ok(result) => result.map_err(Fault::Handler),
            Err(payload) => Err(panicked(payload.as_ref())),
        }
    }

    /// Decides what follows an attempt, and waits out the backoff if it is another one.
    async fn conclude(&mut self, outcome: Result<(), Fault>, attempt: u32, offset: i64) -> Conclusion {
        let Err(fault) = outcome else {
            self.measured += 1;
            return Conclusion::Handled;
        };
        if fault.is_filtered() {
            self.left_out += 1;
            self.shared.metrics.filtered.increment(1);
            return Conclusion::Skipped;
        }
        self.shared.metrics.failed.increment(1);
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::ErrorIsDone) {
            return Conclusion::Skipped;
        }
        self.report_progress(true);
        let (listener, partition) = (&self.shared.listener, &self.partition);
        match self.shared.policy.decide(&fault, attempt) {
            Decision::Retry(delay) => {
                warn!(%listener, %partition, offset, attempt, error = %fault, retry_in = ?delay, "attempt failed");
                self.shared.metrics.retried.increment(1);
                self.shared.retrying.fetch_add(1, Ordering::Relaxed);
                let goes_on = self.interruptible_sleep(delay).await;
                self.shared.retrying.fetch_sub(1, Ordering::Relaxed);
                if goes_on { Conclusion::Again } else { Conclusion::End }
            }
            Decision::Skip => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "record skipped: its attempts are used up");
                self.shared.metrics.skipped.increment(1);
                Conclusion::Skipped
            }
            Decision::Stop => {
                error!(%listener, %partition, offset, attempts = attempt, error = %fault, "listener stops: a record's attempts are used up");
                self.end.failure = Some(LaneFailure { offset, attempts: attempt, error: fault.into_error() });
                Conclusion::End
            }
        }
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
                () = self.control.changed.notified() => {}
            }
        }
    }

    /// Notes records as done; `false` if the lane ends instead of going on.
    async fn settled(&mut self, first: i64, last: i64, acknowledged_by_user: bool) -> bool {
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
    async fn skipped(&mut self, first: i64, last: i64) -> bool {
        if self.shared.ack.is_manual() {
            // A lane's own runs are merged on their way, which would count what lies between two skipped records as done,
            // although nobody acknowledged it. Acknowledgements stay apart.
            self.shared.settlements.acknowledge(self.slot.0, first, last);
            return true;
        }
        self.settled(first, last, false).await
    }

    /// Notes the records of a batch as done that precede one that failed; `false` if the lane ends instead of going on.
    async fn preceding_settled(&mut self, first: i64, last: i64) -> bool {
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
            self.control.changed.notified().await;
        }
    }

    fn chunk_done(&mut self, chunk: &Arc<Chunk>) {
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
