//! Records that leave their listener: what is written elsewhere, and their offset, are one transaction.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kafka_boot_client::ErrorKind;

use super::session::{Ended, Session, Undone};
use super::todo::{Todo, Verdict};
use crate::listener::handlers::Flow;
use crate::listener::recovery::LAST_ANSWER;
use crate::policy::Fault;
use crate::record::Chunk;

impl Session<'_> {
    /// Settles the record at `first`, and those that failed with it, as was decided.
    pub(super) async fn settle(
        &mut self,
        chunk: &Arc<Chunk>,
        first: usize,
        verdict: Verdict,
        todo: &mut Todo,
    ) -> Flow {
        match verdict {
            Verdict::Leaves { to, places, fault, attempts } => {
                let records = (first..to).filter(|index| places.contains(*index));
                self.give_away(chunk, records.collect(), first..to, &fault, attempts, todo).await
            }
            Verdict::Failed { to, places, fault, attempt } => {
                todo.judge(first, Verdict::Attempt(attempt));
                self.judge(chunk, first..to, places, todo, fault).await
            }
            Verdict::Skip { to } => self.give_away_nothing(chunk, first..to, todo).await,
            Verdict::Attempt(_) => unreachable!("todo: another attempt settles nothing"),
        }
    }

    /// Commits the offset of records that nothing is sent for.
    pub(super) async fn give_away_nothing(
        &mut self,
        chunk: &Arc<Chunk>,
        records: std::ops::Range<usize>,
        todo: &mut Todo,
    ) -> Flow {
        loop {
            let Some(template) = self.begin().await else { return Flow::End };
            match self.commit(&template, chunk, records.end - 1).await {
                Ended::Committed => return self.done(chunk, records, todo).await,
                Ended::Undone(Undone::Records(_)) if !self.pause().await => return Flow::End,
                Ended::Undone(_) => {}
                Ended::Over => return Flow::End,
            }
        }
    }

    async fn give_away(
        &mut self,
        chunk: &Arc<Chunk>,
        leaving: Vec<usize>,
        records: std::ops::Range<usize>,
        fault: &Fault,
        attempts: u32,
        todo: &mut Todo,
    ) -> Flow {
        let shared = Arc::clone(&self.shared);
        let mut leaving = shared.recovery.leave(&shared, chunk, leaving.into_iter(), fault, attempts);
        loop {
            let Some(template) = self.begin().await else { return Flow::End };
            for leaving in &mut leaving {
                leaving.record.via = Some(template.producer().clone());
            }
            let answers = join_all(leaving.iter().map(|leaving| shared.recovery.attempt(leaving)));
            let answers = tokio::select! {
                answers = answers => answers,
                // What is left open is aborted by the partition's next owner.
                () = self.lane.told_to_stop_for(LAST_ANSWER) => return Flow::End,
            };
            let mut delay = None;
            for (leaving, answer) in leaving.iter_mut().zip(&answers) {
                let Err(refusal) = answer else { continue };
                if refusal.error.kind() == &ErrorKind::MessageTooLarge && !leaving.record.is_slim {
                    // The record itself was not too large for its own topic.
                    leaving.record.is_slim = true;
                    delay = delay.max(Some(Duration::ZERO));
                } else {
                    delay = delay.max(Some(shared.recovery.refused(&shared.listener, leaving, refusal)));
                }
            }
            if let Some(delay) = delay {
                self.abort(template.producer()).await;
                if !self.lane.wait_for_retry(delay).await {
                    return Flow::End;
                }
                continue;
            }
            match self.commit(&template, chunk, records.end - 1).await {
                Ended::Committed => {
                    for (leaving, to) in leaving.iter().zip(answers.iter().flatten()) {
                        shared.recovery.taken(&shared.listener, leaving, to);
                    }
                    return self.done(chunk, records, todo).await;
                }
                Ended::Undone(Undone::Records(_)) if !self.pause().await => return Flow::End,
                Ended::Undone(_) => {}
                Ended::Over => return Flow::End,
            }
        }
    }
}
