//! The batches that a lane with manual acknowledgement keeps, because their records may have to be delivered again.
//!
//! Sans-IO. What is kept is bounded by what may be in flight: a batch is kept until all of it is settled.
//!
//! # Invariants
//! 1. A batch that holds an open record is kept, from when the lane was given it.
//! 2. A batch counts as handled once, however often it is delivered.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::{Chunk, Stored};

/// A lane's batches with open records, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Kept {
    batches: VecDeque<Batch>,
}

#[derive(Debug)]
struct Batch {
    chunk: Arc<Chunk>,
    is_counted: bool,
}

/// A batch, or what is left of it.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub(super) chunk: Arc<Chunk>,
    /// The place of the first record to handle.
    pub(super) from: usize,
}

impl Kept {
    /// Keeps a batch that the lane was given; lets go of those that are settled, up to the offset `settled_to`.
    pub(super) fn keep(&mut self, chunk: &Arc<Chunk>, settled_to: i64) {
        while self.batches.front().is_some_and(|batch| last_offset(&batch.chunk) < settled_to) {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch { chunk: Arc::clone(chunk), is_counted: false });
    }

    /// Everything that was given from this offset on, in order; empty if the record is not kept, so is settled.
    pub(super) fn rest_from(&self, offset: i64) -> VecDeque<Rest> {
        let start = self.batches.partition_point(|batch| last_offset(&batch.chunk) < offset);
        let is_known = self.batches.get(start).is_some_and(|batch| index_of(&batch.chunk, offset).is_some());
        if !is_known {
            return VecDeque::new();
        }
        let rest = self.batches.range(start..).map(|batch| Rest {
            chunk: Arc::clone(&batch.chunk),
            from: batch.chunk.records.partition_point(|record| record.offset() < offset),
        });
        rest.collect()
    }

    /// The batch that holds this offset, and the record's place in it.
    pub(super) fn find(&self, offset: i64) -> Option<(&Arc<Chunk>, usize)> {
        let place = self.batches.partition_point(|batch| last_offset(&batch.chunk) < offset);
        let chunk = &self.batches.get(place)?.chunk;
        index_of(chunk, offset).map(|index| (chunk, index))
    }

    /// Notes a batch as handled; `false` if it had been before.
    pub(super) fn count(&mut self, chunk: &Arc<Chunk>) -> bool {
        let batch = self.batches.iter_mut().rev().find(|batch| Arc::ptr_eq(&batch.chunk, chunk));
        batch.is_none_or(|batch| !std::mem::replace(&mut batch.is_counted, true))
    }
}

fn last_offset(chunk: &Chunk) -> i64 {
    chunk.records.last().map_or(-1, Stored::offset)
}

fn index_of(chunk: &Chunk, offset: i64) -> Option<usize> {
    chunk.records.binary_search_by_key(&offset, Stored::offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offsets: &[i64]) -> Arc<Chunk> {
        let records = offsets.iter().map(|offset| Stored::made_at(*offset)).collect();
        Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })
    }

    fn offsets(rest: &VecDeque<Rest>) -> Vec<i64> {
        rest.iter().flat_map(|rest| rest.chunk.records[rest.from..].iter().map(Stored::offset)).collect()
    }

    #[test]
    fn everything_from_an_open_record_on_is_found_again_in_order() {
        let mut kept = Kept::default();
        for offsets in [[1, 2, 5], [6, 8, 9], [10, 11, 12]] {
            kept.keep(&chunk(&offsets), 0);
        }
        assert_eq!(offsets(&kept.rest_from(5)), [5, 6, 8, 9, 10, 11, 12]);
        assert_eq!(offsets(&kept.rest_from(6)), [6, 8, 9, 10, 11, 12]);
        assert_eq!(offsets(&kept.rest_from(12)), [12]);
        assert!(kept.rest_from(7).is_empty(), "there is no such record");
        assert!(kept.rest_from(13).is_empty());
        assert_eq!(kept.find(8).map(|(chunk, index)| chunk.records[index].offset()), Some(8));
        assert!(kept.find(3).is_none());
    }

    #[test]
    fn what_is_settled_is_let_go_batch_by_batch() {
        let mut kept = Kept::default();
        kept.keep(&chunk(&[1, 2]), 0);
        kept.keep(&chunk(&[3, 4]), 2);
        assert_eq!(kept.batches.len(), 2, "2 is open");
        kept.keep(&chunk(&[5, 6]), 4);
        assert_eq!(kept.batches.len(), 2);
        assert!(kept.rest_from(2).is_empty());
        assert_eq!(offsets(&kept.rest_from(3)), [3, 4, 5, 6]);
    }

    #[test]
    fn a_batch_counts_once() {
        let (first, second) = (chunk(&[1]), chunk(&[2]));
        let mut kept = Kept::default();
        kept.keep(&first, 0);
        kept.keep(&second, 0);
        assert!(kept.count(&first));
        assert!(!kept.count(&first));
        assert!(kept.count(&second));
    }
}
