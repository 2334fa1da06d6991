//! What became of the records: each outcome is taken, in the order of the lines.

use std::collections::VecDeque;

use futures_util::FutureExt;
use kafka_boot_client::{Delivered, Delivery, SendError};

use crate::output::Output;

/// How many records may wait for their outcome to be taken; the producer itself holds fewer.
const WAITING_MAX: usize = 40_000;

#[derive(Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<(u64, Delivery)>,
    written: u64,
    not_written: u64,
    run: Option<Run>,
}

/// Lines one after another that failed alike: a broker that is gone fails many.
struct Run {
    first: u64,
    last: u64,
    error: String,
}

impl Outcomes {
    /// How many records were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many were not, as far as is known.
    pub(super) fn not_written(&self) -> u64 {
        self.not_written
    }

    /// The outcome of the record of line `line` is to come.
    pub(super) async fn wait_for(&mut self, line: u64, delivery: Delivery, output: &mut Output<'_>) {
        self.waiting.push_back((line, delivery));
        if self.waiting.len() > WAITING_MAX
            && let Some((line, delivery)) = self.waiting.pop_front()
        {
            self.judge(line, delivery.await, output);
        }
    }

    /// Takes the outcomes that are there, up to the first that is not.
    pub(super) fn take_ready(&mut self, output: &mut Output<'_>) {
        while let Some((line, delivery)) = self.waiting.front_mut() {
            let (line, Some(outcome)) = (*line, delivery.now_or_never()) else { return };
            self.waiting.pop_front();
            self.judge(line, outcome, output);
        }
    }

    /// Waits for every outcome.
    pub(super) async fn finish(&mut self, output: &mut Output<'_>) {
        while let Some((line, delivery)) = self.waiting.pop_front() {
            self.judge(line, delivery.await, output);
        }
        self.tell(output);
    }

    /// The record of line `line` was not even accepted. Those before it have their outcomes first.
    pub(super) fn failed(&mut self, line: u64, error: &SendError, output: &mut Output<'_>) {
        self.take_ready(output);
        self.fail(line, error, output);
    }

    fn fail(&mut self, line: u64, error: &SendError, output: &mut Output<'_>) {
        self.not_written += 1;
        let text = if error.is_possibly_written() {
            format!("{error}; it may be in the topic all the same")
        } else {
            error.to_string()
        };
        match &mut self.run {
            Some(run) if run.last + 1 == line && run.error == text => run.last = line,
            _ => {
                self.tell(output);
                self.run = Some(Run { first: line, last: line, error: text });
            }
        }
    }

    fn judge(&mut self, line: u64, outcome: Result<Delivered, SendError>, output: &mut Output<'_>) {
        match outcome {
            Ok(_) => self.written += 1,
            Err(error) => self.fail(line, &error, output),
        }
    }

    fn tell(&mut self, output: &mut Output<'_>) {
        let Some(Run { first, last, error }) = self.run.take() else { return };
        let lines = if first == last { format!("line {first}") } else { format!("lines {first}-{last}") };
        output.note(&format!("{lines}: {error}"));
    }
}
