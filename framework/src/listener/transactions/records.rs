//! The loop of a function that takes one record at a time: several of them share a transaction.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session::{Ended, Session, Undone};
use super::todo::{Todo, Verdict};
use crate::beans::{AttemptScope, KafkaTemplate};
use crate::config::model::AckMode;
use crate::error::ExtractError;
use crate::handler::{Completion, HandlerResult};
use crate::listener::handlers::{Flow, begin};
use crate::listener::kept::Rest;
use crate::listener::lanes::{Conclusion, Lane};
use crate::policy::Fault;
use crate::record::{Chunk, Places, RecordView};

/// How long records are added to a transaction: who reads committed records waits for it.
const WINDOW_MAX: Duration = Duration::from_millis(500);

/// Runs a handler over everything that its lane is given, until that ends.
pub(in crate::listener) async fn run_records<F, Fut>(lane: &mut Lane, call: &F)
where
    F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
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
                None => session.window(call, &chunk, first, &mut todo).await,
            };
            match flow {
                Flow::Next | Flow::Back => {}
                Flow::End => return,
            }
        }
        session.lane.chunk_done(&chunk);
    }
}

/// How an attempt at a record ended.
enum Tried {
    Handled,
    /// The lane is told to stop, and the handler was not called.
    NotCalled,
    Failed {
        fault: Fault,
        /// Whether it sent something, which must not be committed.
        has_sent: bool,
    },
}

impl Session<'_> {
    /// Handles records in one transaction, as far as they go together.
    async fn window<F, Fut>(&mut self, call: &F, chunk: &Arc<Chunk>, first: usize, todo: &mut Todo) -> Flow
    where
        F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let offset = chunk.records[first].offset();
        let not_before = self.shared.policy.not_before(&chunk.records[first]);
        if not_before.is_some()
            && let Some(flow) = self.lane.until_due(offset, offset, not_before).await
        {
            return flow;
        }
        let Some(template) = self.begin().await else { return Flow::End };
        let opened = Instant::now();
        // A permission may be long in coming, and a transaction may not take that long.
        let is_alone = todo.is_alone() || self.shared.ack == AckMode::Record || self.lane.is_guarded();
        let end = if is_alone { first + 1 } else { todo.end() };
        let mut index = first;
        while index < end {
            let is_over = index > first
                && (opened.elapsed() >= WINDOW_MAX
                    || self.lane.is_stopping()
                    || self.shared.policy.not_before(&chunk.records[index]).is_some());
            if is_over {
                break;
            }
            match self.attempt(call, &template, chunk, index, todo).await {
                Tried::Handled => index += 1,
                Tried::NotCalled => break,
                Tried::Failed { fault, has_sent } => {
                    return self.failed(&template, chunk, first..index, todo, fault, has_sent).await;
                }
            }
        }
        if index == first {
            self.abort(template.producer()).await;
            return Flow::End;
        }
        self.close(&template, chunk, first..index, todo).await
    }

    /// Makes one attempt at a record.
    async fn attempt<F, Fut>(
        &mut self,
        call: &F,
        template: &Arc<KafkaTemplate>,
        chunk: &Arc<Chunk>,
        index: usize,
        todo: &mut Todo,
    ) -> Tried
    where
        F: Fn(&RecordView<'_>) -> Result<Fut, ExtractError> + Send + Sync,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let is_first_look = todo.look(index + 1) == index;
        let attempt = todo.attempt(index);
        let delivery = self.shared.policy.delivery(attempt, &chunk.records[index]);
        let scope = AttemptScope::new(Arc::clone(template));
        let completion = Completion::Transaction(scope.clone());
        let view = RecordView::new(chunk, index, &delivery, Some(&completion));
        let outcome = match begin(|| self.shared.interception.call(&view, call)) {
            Ok(handler) if self.lane.is_on_threads() => {
                self.lane.attempt(self.lane.on_a_thread(handler), 1).await
            }
            Ok(handler) => self.lane.attempt(handler, 1).await,
            Err(fault) => Err(fault),
        };
        let has_sent = scope.close().await;
        self.shared.interception.ended(&view, &outcome);
        match outcome {
            Err(Fault::Interrupted) => Tried::NotCalled,
            Err(fault) if !fault.is_filtered() => Tried::Failed { fault, has_sent },
            outcome => {
                // It is counted once, however often it is repeated.
                if is_first_look {
                    self.lane.conclude(outcome, attempt, chunk, index..index + 1).await;
                }
                Tried::Handled
            }
        }
    }

    /// An attempt at the record behind `done` has failed: keeps what precedes it, and decides what follows, or lets that be
    /// decided.
    async fn failed(
        &mut self,
        template: &Arc<KafkaTemplate>,
        chunk: &Arc<Chunk>,
        done: std::ops::Range<usize>,
        todo: &mut Todo,
        fault: Fault,
        has_sent: bool,
    ) -> Flow {
        let (index, is_first) = (done.end, done.is_empty());
        if template.producer().fatal_error().is_some() {
            // The producer failed, and not the record.
            self.abort(template.producer()).await;
            return if self.pause().await { Flow::Next } else { Flow::End };
        }
        if has_sent || is_first {
            self.abort(template.producer()).await;
        } else if matches!(self.close(template, chunk, done, todo).await, Flow::End) {
            return Flow::End;
        }
        let failed = index..index + 1;
        if is_first {
            return self.judge(chunk, failed.clone(), Places::Range(failed), todo, fault).await;
        }
        Self::judge_later(failed.clone(), Places::Range(failed), todo, fault)
    }

    /// Has what follows the failure of records decided when what precedes them is done.
    pub(super) fn judge_later(
        failed: std::ops::Range<usize>,
        places: Places,
        todo: &mut Todo,
        fault: Fault,
    ) -> Flow {
        let attempt = todo.attempt(failed.start);
        todo.judge(failed.start, Verdict::Failed { to: failed.end, places, fault, attempt });
        Flow::Next
    }

    /// Decides what follows the failure of records, and waits out the backoff if that is another attempt.
    pub(super) async fn judge(
        &mut self,
        chunk: &Arc<Chunk>,
        failed: std::ops::Range<usize>,
        places: Places,
        todo: &mut Todo,
        fault: Fault,
    ) -> Flow {
        let (first, to) = (failed.start, failed.end);
        let attempt = todo.attempt(first);
        let verdict = match self.lane.conclude(Err(fault), attempt, chunk, failed).await {
            Conclusion::Again { counts } => Verdict::Attempt(attempt + u32::from(counts)),
            Conclusion::Leaves(fault) => Verdict::Leaves { to, places, fault, attempts: attempt },
            Conclusion::Skipped | Conclusion::Handled => Verdict::Skip { to },
            Conclusion::End => return Flow::End,
        };
        todo.judge(first, verdict);
        Flow::Next
    }

    /// Commits the transaction of these records, and settles them.
    pub(super) async fn close(
        &mut self,
        template: &Arc<KafkaTemplate>,
        chunk: &Arc<Chunk>,
        records: std::ops::Range<usize>,
        todo: &mut Todo,
    ) -> Flow {
        match self.commit(template, chunk, records.end - 1).await {
            Ended::Committed => self.done(chunk, records, todo).await,
            Ended::Undone(Undone::Records(error)) if records.len() == 1 => {
                let fault = Fault::Handler(error);
                self.judge(chunk, records.clone(), Places::Range(records), todo, fault).await
            }
            Ended::Undone(Undone::Records(_)) => {
                todo.narrow(records.end);
                Flow::Next
            }
            Ended::Undone(Undone::Others) => Flow::Next,
            Ended::Over => Flow::End,
        }
    }

    /// Settles records whose transaction is committed.
    pub(super) async fn done(
        &mut self,
        chunk: &Chunk,
        records: std::ops::Range<usize>,
        todo: &mut Todo,
    ) -> Flow {
        let offset = |index: usize| chunk.records[index].offset();
        todo.done(records.end);
        if self.lane.preceding_settled(offset(records.start), offset(records.end - 1)).await {
            Flow::Next
        } else {
            Flow::End
        }
    }
}
