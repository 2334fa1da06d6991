//! How far long work is: one line on a terminal, written over and over.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::output::Output;

const INTERVAL: Duration = Duration::from_millis(200);
/// The width of the bar, in characters.
const BAR: u64 = 24;

pub(crate) struct Progress {
    began: Instant,
    shown: Option<Instant>,
    /// How much there is to do, where that is known.
    total: Option<u64>,
    enabled: bool,
}

impl Progress {
    /// Of work of which `total` is known, and only where somebody looks and sees nothing else meanwhile.
    pub(crate) fn new(total: Option<u64>, sees_else: bool, output: &Output<'_>) -> Self {
        let enabled = output.terminals.errors && !sees_else;
        Self { began: Instant::now(), shown: None, total: total.filter(|total| *total > 0), enabled }
    }

    /// The work turns out to be so much.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = Some(total).filter(|total| *total > 0);
    }

    /// Shows it, unless it was shown just now: how much of the total is done, and how many records that were.
    pub(crate) fn show(&mut self, done: impl FnOnce() -> u64, records: u64, output: &mut Output<'_>) {
        if !self.enabled {
            return;
        }
        let now = Instant::now();
        if now - self.shown.unwrap_or(self.began) < INTERVAL {
            return;
        }
        self.shown = Some(now);
        let line = line(done(), self.total, records, now - self.began);
        // Whoever closed the stream does not want to know.
        let _ = write!(output.errors, "\r\x1b[K{line}").and_then(|()| output.errors.flush());
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self, output: &mut Output<'_>) {
        if self.shown.take().is_some() {
            let _ = write!(output.errors, "\r\x1b[K");
        }
    }
}

fn line(done: u64, total: Option<u64>, records: u64, elapsed: Duration) -> String {
    let mut line = String::new();
    if let Some(total) = total {
        let filled = (done.min(total) * BAR) / total;
        let bar: String = (0..BAR).map(|at| if at < filled { '=' } else { ' ' }).collect();
        // Writing to a string cannot fail.
        let _ = write!(line, "[{bar}] {:>3} %  ", done.min(total) * 100 / total);
    }
    let rate = u128::from(records) * 1000 / elapsed.as_millis().max(1);
    let _ = write!(line, "{records} records, {rate}/s");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_end_gives_a_bar() {
        let second = Duration::from_secs(1);
        assert_eq!(line(50, Some(100), 7, second), "[============            ]  50 %  7 records, 7/s");
        assert_eq!(line(50, None, 7, second), "7 records, 7/s");
    }
}
