//! What a lane in order delivers again, and not before when, because an `Ack` said so.
//!
//! Sans-IO, but for the log.
//!
//! # Invariants
//! 1. The lane goes back to a record that it has passed, never ahead to one that it has not: nothing is left out.
//! 2. A record is not delivered again before its time.
//! 3. What is said of a settled record changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::answers::Answer;
use super::kept::{Kept, Rest};
use crate::record::Chunk;

/// A lane's deliveries.
#[derive(Debug, Default)]
pub(super) struct Redelivery {
    kept: Kept,
    /// What comes before all that the lane is given anew.
    again: VecDeque<Rest>,
    /// The records that must not be delivered yet.
    held: BTreeMap<i64, Instant>,
    /// The next offset to handle: all given records below it were.
    position: i64,
}

/// What `hear` made of the answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Records to deliver again.
    pub(super) nacked: Vec<i64>,
    /// Open records whose `Ack` is gone.
    pub(super) dropped: Vec<(i64, i64)>,
    /// The lane has to go back.
    pub(super) is_back: bool,
}

impl Redelivery {
    /// The lane was given a batch.
    pub(super) fn given(&mut self, chunk: &Arc<Chunk>, settled_to: i64) {
        self.kept.keep(chunk, settled_to);
    }

    /// The next batch to deliver again.
    pub(super) fn next(&mut self) -> Option<Rest> {
        self.again.pop_front()
    }

    /// The lane has handled everything up to and with this offset.
    pub(super) fn passed(&mut self, last: i64) {
        self.position = last + 1;
    }

    /// The lane has handled a batch to its end; `false` if it had before.
    pub(super) fn count(&mut self, chunk: &Arc<Chunk>) -> bool {
        self.kept.count(chunk)
    }

    /// When these records may be delivered, if that may still be ahead.
    pub(super) fn due(&self, first: i64, last: i64) -> Option<Instant> {
        self.held.range(first..=last).map(|(_, due)| *due).max()
    }

    /// These records are delivered now.
    pub(super) fn release(&mut self, first: i64, last: i64) {
        self.held.retain(|offset, _| *offset < first || *offset > last);
    }

    /// Takes in what was said since the last time.
    pub(super) fn hear(&mut self, answers: Vec<Answer>, settled_to: i64) -> Heard {
        let mut heard = Heard::default();
        let mut back_to = None;
        for answer in answers.into_iter().filter(|answer| answer.first() >= settled_to) {
            match answer {
                Answer::Dropped { first, last } => heard.dropped.push((first, last)),
                Answer::NotDone { first, due } => {
                    heard.nacked.push(first);
                    self.held.insert(first, due);
                    if first < self.position {
                        back_to = Some(back_to.map_or(first, |back_to: i64| back_to.min(first)));
                    }
                }
            }
        }
        let Some(offset) = back_to else { return heard };
        let rest = self.kept.rest_from(offset);
        if !rest.is_empty() {
            self.again = rest;
            self.position = offset;
            heard.is_back = true;
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stored;
    use std::time::Duration;

    fn given(batches: &[&[i64]]) -> Redelivery {
        let mut redelivery = Redelivery::default();
        for offsets in batches {
            let records: Vec<_> = offsets.iter().map(|offset| Stored::made_at(*offset)).collect();
            let chunk = Chunk { topic: "t".into(), partition: 0, records, bytes: 0 };
            redelivery.given(&Arc::new(chunk), 0);
            redelivery.passed(offsets[offsets.len() - 1]);
        }
        redelivery
    }

    fn again(redelivery: &mut Redelivery) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(rest) = redelivery.next() {
            offsets.extend(rest.chunk.records[rest.from..].iter().map(Stored::offset));
        }
        offsets
    }

    fn not_done(first: i64, seconds: u64) -> Answer {
        Answer::NotDone { first, due: now() + Duration::from_secs(seconds) }
    }

    fn now() -> Instant {
        static NOW: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *NOW.get_or_init(Instant::now)
    }

    #[test]
    fn the_lane_goes_back_to_the_first_record_that_is_not_done() {
        let mut redelivery = given(&[&[1, 2], &[4, 5, 6]]);
        let heard = redelivery.hear(vec![not_done(5, 1), not_done(2, 9)], 0);
        assert_eq!((heard.is_back, heard.nacked), (true, vec![5, 2]));
        assert_eq!(again(&mut redelivery), [2, 4, 5, 6]);
        assert_eq!(redelivery.due(2, 2), Some(now() + Duration::from_secs(9)));
        assert_eq!(redelivery.due(4, 4), None);
        assert_eq!(redelivery.due(4, 6), Some(now() + Duration::from_secs(1)), "a batch waits for all of it");
        redelivery.release(2, 2);
        assert_eq!(redelivery.due(2, 2), None);
    }

    #[test]
    fn what_is_still_ahead_is_held_and_nothing_before_it_left_out() {
        let mut redelivery = given(&[&[1, 2, 3, 4]]);
        assert!(redelivery.hear(vec![not_done(1, 0)], 0).is_back);
        redelivery.passed(1);
        let heard = redelivery.hear(vec![not_done(3, 5)], 0);
        assert!(!heard.is_back, "2 comes before it");
        assert_eq!(redelivery.due(3, 3), Some(now() + Duration::from_secs(5)));
        assert_eq!(again(&mut redelivery), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_said_of_settled_records_changes_nothing() {
        let mut redelivery = given(&[&[1, 2], &[3, 4]]);
        let dropped = |first, last| Answer::Dropped { first, last };
        let heard = redelivery.hear(vec![not_done(2, 0), dropped(1, 1), dropped(3, 4)], 3);
        assert_eq!(heard, Heard { nacked: vec![], dropped: vec![(3, 4)], is_back: false });
        assert!(again(&mut redelivery).is_empty());
    }
}
