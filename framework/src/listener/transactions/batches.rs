//! The loop of a function that takes a batch: one transaction a call.

use std::future::Future;
use std::sync::Arc;

use super::session::{Ended, Session, Undone};
use super::todo::{Todo, Verdict};
use crate::beans::AttemptScope;
use crate::error::ExtractError;
use crate::handler::{Completion, HandlerResult};
use crate::listener::handlers::{BatchHandler, Flow, begin};
use crate::listener::kept::Rest;
use crate::listener::lanes::Lane;
use crate::policy::Fault;
use crate::record::{BatchView, Chunk, Places};

/// Runs a handler over everything that its lane is given, until that ends.
pub(in crate::listener) async fn run_batches<F, Fut>(lane: &mut Lane, handler: &BatchHandler<F>)
where
    F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    let mut session = Session::new(lane);
    if !session.take_over().await {
        return;
    }
    while let Some(Rest { chunk, from }) = session.lane.next_chunk().await {
        let mut todo = Todo::new(from, chunk.records.len());
        while let Some(first) = todo.first() {
            if session.lane.is_stopping() {
                return;
            }
            let flow = match todo.take_settled() {
                Some(verdict) => session.settle(&chunk, first, verdict, &mut todo).await,
                None => session.batch(handler, &chunk, first, &mut todo).await,
            };
            match flow {
                Flow::Next | Flow::Back => {}
                Flow::End => return,
            }
        }
        session.lane.chunk_done(&chunk);
    }
}

impl Session<'_> {
    /// Handles records in one call and one transaction.
    async fn batch<F, Fut>(
        &mut self,
        handler: &BatchHandler<F>,
        chunk: &Arc<Chunk>,
        first: usize,
        todo: &mut Todo,
    ) -> Flow
    where
        F: Fn(&BatchView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let offset = |index: usize| chunk.records[index].offset();
        // Of records that wait for their time, those that are due are handled.
        let not_before = self.shared.policy.not_before(&chunk.records[first]);
        let to = self.shared.policy.due_together(&chunk.records, first..todo.end());
        if not_before.is_some()
            && let Some(flow) = self.lane.until_due(offset(first), offset(to - 1), not_before).await
        {
            return flow;
        }
        let attempt = todo.attempt(first);
        let delivery = self.shared.policy.delivery(attempt, &chunk.records[first]);
        let places = handler.wanted(self.lane, chunk, first..to, delivery);
        let new_from = todo.look(to);
        if new_from < to {
            self.lane.leave_out(chunk, new_from..to, &places);
        }
        if places.len() == 0 {
            return self.give_away_nothing(chunk, first..to, todo).await;
        }
        let Some(template) = self.begin().await else { return Flow::End };
        let scope = AttemptScope::new(Arc::clone(&template));
        let completion = Completion::Transaction(scope.clone());
        let view = BatchView::new(chunk, &places, &delivery, Some(&completion));
        let records = places.len();
        let outcome = match begin(|| (handler.call)(&view)) {
            Ok(handler) if self.lane.is_on_threads() => {
                self.lane.attempt(self.lane.on_a_thread(handler), records).await
            }
            Ok(handler) => self.lane.attempt(handler, records).await,
            Err(fault) => Err(fault),
        };
        let has_sent = scope.close().await;
        self.shared.interception.batch_ended(&view, &outcome);
        let fault = match outcome {
            Ok(()) => {
                self.lane.conclude(Ok(()), attempt, chunk, first..to).await;
                let error = match self.commit(&template, chunk, to - 1).await {
                    Ended::Committed => return self.done(chunk, first..to, todo).await,
                    Ended::Undone(Undone::Records(error)) => error,
                    Ended::Undone(Undone::Others) => return Flow::Next,
                    Ended::Over => return Flow::End,
                };
                return self.judge(chunk, first..to, places, todo, Fault::Handler(error)).await;
            }
            Err(Fault::Interrupted) => {
                self.abort(template.producer()).await;
                return Flow::End;
            }
            Err(fault) => fault,
        };
        if template.producer().fatal_error().is_some() {
            // The producer failed, and not a record.
            self.abort(template.producer()).await;
            return if self.pause().await { Flow::Next } else { Flow::End };
        }
        let named = fault.index_in(records).map(|index| places.get(index));
        match named {
            Some(at_fault) if at_fault > first => {
                let is_unread = matches!(fault, Fault::Extract(_));
                if has_sent || is_unread {
                    // What precedes it was not handled, or is handled again, on its own.
                    self.abort(template.producer()).await;
                } else if matches!(self.close(&template, chunk, first..at_fault, todo).await, Flow::End) {
                    return Flow::End;
                }
                if is_unread {
                    todo.judge(at_fault, Verdict::Attempt(1));
                    return Flow::Next;
                }
                let failed = at_fault..at_fault + 1;
                Self::judge_later(failed.clone(), Places::Range(failed), todo, fault)
            }
            Some(at_fault) => {
                self.abort(template.producer()).await;
                let failed = at_fault..at_fault + 1;
                self.judge(chunk, failed.clone(), Places::Range(failed), todo, fault).await
            }
            None => {
                self.abort(template.producer()).await;
                self.judge(chunk, first..to, places, todo, fault).await
            }
        }
    }
}
