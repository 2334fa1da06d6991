//! The table of faults: what was done to a service, and what became of its records. One row a test, on standard error.

use std::sync::Once;
use std::time::Duration;

use crate::oracle::{Violation, assert_holds};
use crate::scenario::History;
use crate::seed::notice;

/// One row: a goal of the fault table, and how it was tried.
///
/// ```no_run
/// use kafka_boot_tests::fault_table::Row;
/// # let (history, took): (kafka_boot_tests::scenario::History, std::time::Duration) = unimplemented!();
///
/// let row = Row { goal: "R7", fault: "kill -9 of the service", faults: 10, repeats_each: 12 * 256 };
/// row.judge(&history, took);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The goal's number.
    pub goal: &'a str,
    /// What goes wrong.
    pub fault: &'a str,
    /// How often it did.
    pub faults: u64,
    /// How many records each noted disruption of the history may repeat.
    pub repeats_each: usize,
}

impl Row<'_> {
    /// Prints the row and fails the test if an invariant is violated.
    ///
    /// # Panics
    ///
    /// When something is.
    #[track_caller]
    pub fn judge(&self, history: &History, took: Duration) {
        self.judge_with(history, took, Vec::new());
    }

    /// The same, with what a test has found beside what every history is judged by.
    ///
    /// # Panics
    ///
    /// When something is violated.
    #[track_caller]
    pub fn judge_with(&self, history: &History, took: Duration, more: Vec<Violation>) {
        let violations = [history.judge(self.repeats_each), more].concat();
        let bound = history.disrupted_ns.len() * self.repeats_each;
        self.print(history.acked.len(), history.lost(), &format!("{} of {bound}", history.repeats()), took);
        assert_holds(&violations);
    }

    /// Prints the row of a test that judges by itself.
    pub fn print(&self, records: usize, lost: usize, repeats: &str, took: Duration) {
        static HEAD: Once = Once::new();
        HEAD.call_once(|| {
            notice("| goal | fault | records | faults | lost | repeats of bound | time |");
            notice("|---|---|---|---|---|---|---|");
        });
        let Self { goal, fault, faults, .. } = self;
        notice(&format!("| {goal} | {fault} | {records} | {faults} | {lost} | {repeats} | {took:.0?} |"));
    }
}
