//! What of a chunk is still to be done, and how, after attempts that failed.
//!
//! Sans-IO.
//!
//! # Invariants
//! 1. Records are done in order, each once: `first` only moves forward, and nothing is left out.
//! 2. What is known of a record, such as how often it was tried, is kept until it is done, however often what precedes it is
//!    repeated.

use std::collections::BTreeMap;

use crate::policy::Fault;
use crate::record::Places;

/// The rest of a chunk, by the places of its records.
#[derive(Debug)]
pub(super) struct Todo {
    first: usize,
    len: usize,
    /// Up to where records were looked at before.
    looked_to: usize,
    /// Up to where each record has a transaction of its own.
    alone_to: usize,
    verdicts: BTreeMap<usize, Verdict>,
}

/// What follows an attempt that has failed.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The attempt of this number.
    Attempt(u32),
    /// This one has failed, of the records from there up to `to`. What follows it is decided, and waited for, when all that
    /// precedes them is done.
    Failed { to: usize, places: Places, fault: Fault, attempt: u32 },
    /// The records from there up to `to` are given away, those among `places`.
    Leaves { to: usize, places: Places, fault: Fault, attempts: u32 },
    /// They count as done.
    Skip { to: usize },
}

impl Todo {
    pub(super) fn new(from: usize, len: usize) -> Self {
        Self { first: from, len, looked_to: from, alone_to: 0, verdicts: BTreeMap::new() }
    }

    /// The first record that is not done; `None` where all are.
    pub(super) fn first(&self) -> Option<usize> {
        (self.first < self.len).then_some(self.first)
    }

    /// Where the records end that may be handled together with the first one: before the next one that has failed.
    pub(super) fn end(&self) -> usize {
        self.verdicts.range(self.first + 1..).next().map_or(self.len, |(place, _)| *place)
    }

    /// Whether the first record is to have a transaction of its own.
    pub(super) fn is_alone(&self) -> bool {
        self.first < self.alone_to || self.verdicts.contains_key(&self.first)
    }

    /// The number of the next attempt at a record.
    pub(super) fn attempt(&self, place: usize) -> u32 {
        match self.verdicts.get(&place) {
            Some(Verdict::Attempt(number) | Verdict::Failed { attempt: number, .. }) => *number,
            _ => 1,
        }
    }

    /// What was said of the first record, if that is not another attempt.
    pub(super) fn take_settled(&mut self) -> Option<Verdict> {
        match self.verdicts.get(&self.first) {
            None | Some(Verdict::Attempt(_)) => None,
            Some(_) => self.verdicts.remove(&self.first),
        }
    }

    pub(super) fn judge(&mut self, place: usize, verdict: Verdict) {
        debug_assert!((self.first..self.len).contains(&place), "todo: only what is not done is judged");
        self.verdicts.insert(place, verdict);
    }

    /// Gives the records up to this one transactions of their own, to find the one at fault.
    pub(super) fn narrow(&mut self, to: usize) {
        self.alone_to = self.alone_to.max(to);
    }

    /// Everything before this one is done.
    pub(super) fn done(&mut self, to: usize) {
        debug_assert!(to > self.first, "todo: what is done is something");
        self.first = to;
        self.verdicts = self.verdicts.split_off(&to);
    }

    /// Whether records from here up to `to` are looked at for the first time; from where on they are.
    pub(super) fn look(&mut self, to: usize) -> usize {
        let from = self.looked_to.max(self.first);
        self.looked_to = self.looked_to.max(to);
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_precedes_a_record_that_failed_is_done_first_and_that_one_alone() {
        let mut todo = Todo::new(0, 10);
        assert_eq!((todo.first(), todo.end(), todo.is_alone()), (Some(0), 10, false));
        todo.judge(4, Verdict::Attempt(2));
        assert_eq!((todo.first(), todo.end(), todo.is_alone()), (Some(0), 4, false));
        // It fails again where it is repeated, further in front.
        todo.judge(1, Verdict::Attempt(2));
        assert_eq!(todo.end(), 1);
        todo.done(1);
        assert_eq!((todo.first(), todo.end(), todo.is_alone(), todo.attempt(1)), (Some(1), 4, true, 2));
        todo.done(2);
        assert_eq!((todo.first(), todo.end(), todo.is_alone(), todo.attempt(2)), (Some(2), 4, false, 1));
        todo.done(4);
        assert_eq!((todo.first(), todo.end(), todo.is_alone(), todo.attempt(4)), (Some(4), 10, true, 2));
        todo.done(5);
        assert!(!todo.is_alone());
        todo.done(10);
        assert_eq!(todo.first(), None);
    }

    #[test]
    fn a_record_whose_attempts_are_used_up_is_settled_when_its_turn_comes() {
        let mut todo = Todo::new(2, 5);
        todo.judge(3, Verdict::Skip { to: 4 });
        assert!(todo.take_settled().is_none());
        todo.done(3);
        assert!(matches!(todo.take_settled(), Some(Verdict::Skip { to: 4 })));
        todo.done(4);
        assert!(!todo.is_alone());
    }

    #[test]
    fn what_follows_a_failure_is_decided_when_what_precedes_it_is_done() {
        let mut todo = Todo::new(0, 5);
        todo.judge(3, Verdict::Attempt(2));
        let fault = Fault::Handler("no".into());
        let attempt = todo.attempt(3);
        todo.judge(3, Verdict::Failed { to: 4, places: Places::Range(3..4), fault, attempt });
        assert_eq!((todo.end(), todo.attempt(3), todo.take_settled().is_none()), (3, 2, true));
        todo.done(3);
        assert!(matches!(todo.take_settled(), Some(Verdict::Failed { to: 4, attempt: 2, .. })));
    }

    #[test]
    fn transactions_are_narrowed_up_to_a_record_and_no_further() {
        let mut todo = Todo::new(0, 4);
        todo.narrow(2);
        assert!(todo.is_alone());
        todo.done(1);
        assert!(todo.is_alone());
        todo.done(2);
        assert!(!todo.is_alone());
    }

    #[test]
    fn a_record_is_looked_at_for_the_first_time_once() {
        let mut todo = Todo::new(0, 4);
        assert_eq!(todo.look(3), 0);
        assert_eq!(todo.look(4), 3);
        assert_eq!(todo.look(4), 4);
    }
}
