//! The loops that run a listener's handler over what its lane is given: records one by one, and batches.
//!
//! They are generic over the function that the attribute generated, so each listener has its own, without a boxed future for
//! each record.

use std::future::{Future, poll_fn};
use std::iter;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use super::kept::Rest;
use super::key_lane::KeyLane;
use super::lanes::{Conclusion, Lane, panicked, poll_some};
use super::transactions;
use crate::error::ExtractError;
use crate::handler::HandlerResult;
use crate::policy::Fault;
use crate::record::{BatchView, Chunk, Delivery, Places, RecordView};

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
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Box::new(RecordHandler { call })
}

/// Makes the handler of a function that takes a batch.
#[doc(hidden)]
pub fn batch_handler<F, Fut>(call: F) -> Box<dyn Handler>
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Box::new(BatchHandler { call, filter: None })
}

/// The same, with a filter: the function is not given the records that it refuses.
#[doc(hidden)]
pub fn filtered_batch_handler<F, Fut>(filter: fn(&RecordView<'_>) -> bool, call: F) -> Box<dyn Handler>
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    Box::new(BatchHandler { call, filter: Some(filter) })
}

struct RecordHandler<F> {
    call: F,
}

pub(super) struct BatchHandler<F> {
    pub(super) call: F,
    filter: Option<fn(&RecordView<'_>) -> bool>,
}

impl<F, Fut> Handler for RecordHandler<F>
where
    F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    fn run<'a>(&'a self, lane: &'a mut Lane) -> BoxFuture<'a, ()> {
        if lane.is_transactional() {
            return Box::pin(transactions::run_records(lane, &self.call));
        }
        Box::pin(async move {
            let mut waiting = pin!(None);
            while let Some(rest) = lane.next_chunk().await {
                match self.rest(lane, &rest, waiting.as_mut()).await {
                    Flow::Next => lane.chunk_done(&rest.chunk),
                    Flow::Back => {}
                    Flow::End => return,
                }
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
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    /// Handles a chunk, or the rest of one, to its end. `waiting` is a place for the future of a handler that waits.
    async fn rest(&self, lane: &mut Lane, rest: &Rest, mut waiting: Pin<&mut Option<Fut>>) -> Flow {
        let (chunk, mut index) = (&rest.chunk, rest.from);
        while index < chunk.records.len() {
            if lane.is_stopping() {
                return Flow::End;
            }
            let mut first = None;
            if lane.is_direct() {
                let came = poll_fn(|context| {
                    Poll::Ready(self.go_through(lane, chunk, &mut index, waiting.as_mut(), context))
                });
                first = match came.await {
                    Came::AsFarAsItMay => {
                        if lane.give_way().await {
                            return Flow::Back;
                        }
                        continue;
                    }
                    Came::ToOneThatFailed(fault) => Some(Err(fault)),
                    Came::ToOneThatWaits => Some(lane.rest_of_attempt(waiting.as_mut()).await),
                };
            }
            match self.one(lane, chunk, index, first).await {
                Flow::Next => index += 1,
                other => return other,
            }
            if lane.give_way().await {
                return Flow::Back;
            }
        }
        Flow::Next
    }

    /// Handles some records for as long as nothing has to be waited for, in one go: the way of nearly all records. A panic is
    /// that of the record at `index`.
    fn go_through(
        &self,
        lane: &mut Lane,
        chunk: &Arc<Chunk>,
        index: &mut usize,
        mut waiting: Pin<&mut Option<Fut>>,
        context: &mut Context<'_>,
    ) -> Came {
        let gone = catch_unwind(AssertUnwindSafe(|| {
            let end = chunk.records.len().min(*index + lane.turn.at_a_time());
            let records = &chunk.records[..end];
            while let Some(record) = records.get(*index) {
                if !lane.is_direct() || lane.is_stopping() {
                    return Came::AsFarAsItMay;
                }
                let delivery = lane.shared.policy.delivery(1, record);
                match (self.call)(&RecordView::new(chunk, *index, &delivery, None)) {
                    Ok(handler) => waiting.set(Some(handler)),
                    Err(error) if error.is_filtered() => {
                        lane.left_out_directly(record.offset());
                        *index += 1;
                        continue;
                    }
                    Err(error) => return Came::ToOneThatFailed(Fault::Extract(error)),
                }
                match poll_some(waiting.as_mut(), context) {
                    Poll::Pending => return Came::ToOneThatWaits,
                    Poll::Ready(Ok(())) => lane.handled_directly(record.offset()),
                    Poll::Ready(Err(error)) => return Came::ToOneThatFailed(Fault::Handler(error)),
                }
                *index += 1;
            }
            Came::AsFarAsItMay
        }));
        gone.unwrap_or_else(|panic| Came::ToOneThatFailed(panicked(panic.as_ref())))
    }

    /// Handles one record to its end. `first` is what came of its first attempt, if that has been made.
    async fn one(
        &self,
        lane: &mut Lane,
        chunk: &Arc<Chunk>,
        index: usize,
        mut first: Option<Result<(), Fault>>,
    ) -> Flow {
        let offset = chunk.records[index].offset();
        let ack = lane.ack_target(chunk, &Places::Range(index..index + 1));
        let not_before = lane.shared.policy.not_before(&chunk.records[index]);
        if (ack.is_some() || not_before.is_some())
            && let Some(flow) = lane.until_due(offset, offset, not_before).await
        {
            return flow;
        }
        let mut attempt = 1;
        loop {
            let delivery = lane.shared.policy.delivery(attempt, &chunk.records[index]);
            let view = RecordView::new(chunk, index, &delivery, ack.as_ref());
            let outcome = match first.take() {
                Some(outcome) => outcome,
                None => match begin(|| lane.shared.interception.call(&view, &self.call)) {
                    Ok(handler) if lane.is_on_threads() => lane.attempt(lane.on_a_thread(handler), 1).await,
                    Ok(handler) => lane.attempt(handler, 1).await,
                    Err(fault) => Err(fault),
                },
            };
            lane.shared.interception.ended(&view, &outcome);
            if ack.is_some() && lane.is_answered(&outcome, offset, offset) {
                return lane.turn(offset);
            }
            let goes_on = match lane.conclude(outcome, attempt, chunk, index..index + 1).await {
                Conclusion::Handled => lane.settled(offset, offset, ack.is_some()).await,
                Conclusion::Skipped => lane.skipped(offset, offset).await,
                Conclusion::Leaves(fault) => {
                    lane.hand_over(chunk, iter::once(index), &fault, attempt).await
                        && lane.skipped(offset, offset).await
                }
                Conclusion::Again { counts } => {
                    attempt += u32::from(counts);
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
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    fn run<'a>(&'a self, lane: &'a mut Lane) -> BoxFuture<'a, ()> {
        if lane.is_transactional() {
            return Box::pin(transactions::run_batches(lane, self));
        }
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
                lane.turn.give_way().await;
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
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    /// Handles a batch, or the rest of one, to its end: at once, unless a failure names one of its records.
    async fn rest(&self, lane: &mut Lane, rest: &Rest) -> Flow {
        let mut part =
            Part { from: rest.from, to: rest.chunk.records.len(), attempt: 1, looked_to: rest.from };
        while part.from < rest.chunk.records.len() {
            match self.part(lane, &rest.chunk, &mut part).await {
                Flow::Next if lane.is_stopping() => return Flow::End,
                Flow::Next => {}
                other => return other,
            }
        }
        Flow::Next
    }

    /// The records that the function is given.
    pub(super) fn wanted(
        &self,
        lane: &Lane,
        chunk: &Arc<Chunk>,
        range: Range<usize>,
        delivery: Delivery,
    ) -> Places {
        if self.filter.is_none() && !lane.shared.interception.is_there() {
            return Places::Range(range);
        }
        let is_wanted = |index: &usize| {
            let view = RecordView::new(chunk, *index, &delivery, None);
            // A filter that panics leaves nothing out: the function is called, and what it does decides.
            let judge = || {
                lane.shared.interception.lets_through(&view)
                    && self.filter.is_none_or(|is_wanted| is_wanted(&view))
            };
            catch_unwind(AssertUnwindSafe(judge)).unwrap_or(true)
        };
        Places::of(range.clone(), range.filter(is_wanted).collect())
    }

    /// Makes one attempt at a part of a batch, and moves the part on.
    async fn part(&self, lane: &mut Lane, chunk: &Arc<Chunk>, part: &mut Part) -> Flow {
        let offset = |index: usize| chunk.records[index].offset();
        // Of records that wait for their time, those that are due are handled.
        let not_before = lane.shared.policy.not_before(&chunk.records[part.from]);
        part.to = lane.shared.policy.due_together(&chunk.records, part.from..part.to);
        let (first, last) = (offset(part.from), offset(part.to - 1));
        let delivery = lane.shared.policy.delivery(part.attempt, &chunk.records[part.from]);
        let places = self.wanted(lane, chunk, part.from..part.to, delivery);
        if (lane.shared.ack.is_manual() || not_before.is_some())
            && let Some(flow) = lane.until_due(first, last, not_before).await
        {
            return flow;
        }
        // Each record is left out once, however often its part is tried.
        lane.leave_out(chunk, part.looked_to.max(part.from)..part.to, &places);
        part.looked_to = part.looked_to.max(part.to);
        if places.len() == 0 {
            let goes_on = lane.settled(first, last, lane.shared.ack.is_manual()).await;
            part.go_on(part.to, chunk);
            return if goes_on { lane.turn(last) } else { Flow::End };
        }
        let ack = lane.ack_target(chunk, &places);
        let view = BatchView::new(chunk, &places, &delivery, ack.as_ref());
        let records = places.len();
        let outcome = match begin(|| (self.call)(&view)) {
            Ok(handler) if lane.is_on_threads() => lane.attempt(lane.on_a_thread(handler), records).await,
            Ok(handler) => lane.attempt(handler, records).await,
            Err(fault) => Err(fault),
        };
        lane.shared.interception.batch_ended(&view, &outcome);
        if ack.is_some() && lane.is_answered(&outcome, first, last) {
            return lane.turn(last);
        }
        let named = outcome.as_ref().err().and_then(|fault| fault.index_in(records));
        let named = named.map(|index| places.get(index) - part.from);
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
        let at_fault = if named.is_some() { part.from + 1 } else { part.to };
        // What the function was not given cannot be at fault.
        let failed = if named.is_some() { part.from } else { places.get(0) }..at_fault;
        let (done_to, goes_on) = match lane.conclude(outcome, part.attempt, chunk, failed.clone()).await {
            Conclusion::Handled => (part.to, lane.settled(first, last, ack.is_some()).await),
            Conclusion::Skipped => (at_fault, lane.skipped(first, offset(at_fault - 1)).await),
            Conclusion::Leaves(fault) => {
                let is_taken = lane
                    .hand_over(chunk, failed.filter(|index| places.contains(*index)), &fault, part.attempt)
                    .await;
                (at_fault, is_taken && lane.skipped(first, offset(at_fault - 1)).await)
            }
            Conclusion::Again { counts } => {
                part.attempt += u32::from(counts);
                return Flow::Next;
            }
            Conclusion::End => return Flow::End,
        };
        let passed = offset(done_to - 1);
        part.go_on(done_to, chunk);
        if goes_on { lane.turn(passed) } else { Flow::End }
    }
}

/// The part of a batch that is handled next.
struct Part {
    from: usize,
    to: usize,
    attempt: u32,
    /// Up to where records were left out that are not wanted.
    looked_to: usize,
}

impl Part {
    /// What precedes `from` is done: the rest of the batch is next.
    fn go_on(&mut self, from: usize, chunk: &Chunk) {
        self.from = from;
        self.to = chunk.records.len();
        self.attempt = 1;
    }
}

/// How far a lane came without having to wait.
enum Came {
    /// To the end of the chunk, or to where something has to be asked first.
    AsFarAsItMay,
    /// To a record whose handler waits.
    ToOneThatWaits,
    /// To a record whose attempt failed.
    ToOneThatFailed(Fault),
}

/// Where a lane goes after a record, or a batch.
pub(super) enum Flow {
    /// To what follows.
    Next,
    /// Back, to a record that is not done.
    Back,
    /// Nowhere.
    End,
}

/// Extracts the arguments and makes the handler's future; a panic of that is an error like any other.
pub(super) fn begin<Fut>(call: impl FnOnce() -> Result<Fut, ExtractError>) -> Result<Fut, Fault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(made) => made.map_err(Fault::Extract),
        Err(payload) => Err(panicked(payload.as_ref())),
    }
}
