//! Lanes: where handlers run, one record after another, one lane a partition.
//!
//! A lane is a task for an `async fn` and a thread of its own for a plain `fn`; the code that runs is the same.
//!
//! # Invariants
//! 1. A lane starts a record only after the record before it is settled or the lane has ended.
//! 2. A lane that is told to stop finishes the record, or the batch, in hand, and reports what it settled.
//! 3. However a lane ends, by return, panic or abort, its end is reported exactly once.

use std::any::Any;
use std::future::{Future, poll_fn};
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
use tracing::{error, warn};

use super::handler_threads::HandlerThreads;
use super::key_lane::{KeyLane, Permits};
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
            while let Some(chunk) = lane.next_chunk().await {
                for index in 0..chunk.records.len() {
                    if lane.is_stopping() || !self.one(lane, &chunk, index).await {
                        return;
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
    /// Handles one record to its end; `false` if the lane ends with it.
    async fn one(&self, lane: &mut Lane, chunk: &Arc<Chunk>, index: usize) -> bool {
        let offset = chunk.records[index].offset();
        let ack = lane.ack_target(offset, offset);
        let mut attempt = 1;
        loop {
            let view = RecordView::new(chunk, index, attempt, ack.as_ref());
            let outcome = lane.attempt(|| (self.call)(&view)).await;
            match lane.conclude(outcome, attempt, offset).await {
                Conclusion::Handled => return lane.settled(offset, offset, ack.is_some()).await,
                Conclusion::Skipped => return lane.skipped(offset, offset).await,
                Conclusion::Again => attempt += 1,
                Conclusion::End => return false,
            }
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
            while let Some(chunk) = lane.next_chunk().await {
                if lane.is_stopping() || !self.one(lane, &chunk).await {
                    return;
                }
                lane.chunk_done(&chunk);
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
    /// Handles one batch to its end; `false` if the lane ends with it.
    async fn one(&self, lane: &mut Lane, chunk: &Arc<Chunk>) -> bool {
        let (Some(first), Some(last)) = (chunk.records.first(), chunk.records.last()) else { return true };
        let (first, last) = (first.offset(), last.offset());
        let ack = lane.ack_target(first, last);
        let mut attempt = 1;
        loop {
            let view = BatchView::new(chunk, attempt, ack.as_ref());
            let outcome = lane.attempt(|| (self.call)(&view)).await;
            match lane.conclude(outcome, attempt, first).await {
                Conclusion::Handled => return lane.settled(first, last, ack.is_some()).await,
                Conclusion::Skipped => return lane.skipped(first, last).await,
                Conclusion::Again => attempt += 1,
                Conclusion::End => return false,
            }
        }
    }
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
    changed: Notify,
}

impl LaneControl {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn confirmed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Waits until the poll thread has told something.
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
    /// Settled and not yet reported.
    unreported: Option<(i64, i64)>,
    reported_at: Instant,
    /// How many attempts of this chunk ended without waiting, and since when.
    chunk_started: Instant,
    measured: usize,
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
            shared,
            control,
            slot,
            partition,
            chunks,
            unreported: None,
            reported_at: now,
            chunk_started: now,
            measured: 0,
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

    async fn next_chunk(&mut self) -> Option<Arc<Chunk>> {
        if self.is_stopping() {
            return None;
        }
        let chunk = match self.chunks.try_recv() {
            Ok(chunk) => chunk,
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => {
                self.report_progress(true);
                self.shared.settlements.boundary(self.slot, 0, true);
                self.wait_for_chunk().await?
            }
        };
        self.chunk_started = Instant::now();
        self.measured = 0;
        Some(chunk)
    }

    async fn wait_for_chunk(&mut self) -> Option<Arc<Chunk>> {
        loop {
            tokio::select! {
                biased;
                () = self.control.changed.notified() => {
                    if self.is_stopping() {
                        return None;
                    }
                }
                chunk = self.chunks.recv() => return chunk,
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.control.is_stopping()
    }

    fn ack_target(&self, first_offset: i64, last_offset: i64) -> Option<AckTarget> {
        self.shared.ack.is_manual().then(|| AckTarget {
            settlements: Arc::clone(&self.shared.settlements),
            slot: self.slot.0,
            first_offset,
            last_offset,
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

    fn chunk_done(&mut self, chunk: &Chunk) {
        self.shared.metrics.handled.increment(chunk.records.len() as u64);
        self.record_measured();
        self.report_progress(false);
        self.shared.settlements.boundary(self.slot, 1, false);
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
