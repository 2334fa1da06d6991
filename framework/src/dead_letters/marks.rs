//! Which letters of a partition are done with: replayed, or discarded.
//!
//! They are kept as what a consumer group has committed: an offset, and in the metadata beside it an [`OffsetMap`] of what
//! is done beyond it. So a second run leaves out what the first one did, wherever it runs, and no topic of its own is needed.

use std::ops::Range;

use crate::listener::OffsetMap;

/// How much metadata a broker keeps, unless it is told otherwise.
const METADATA_BYTES_MAX: usize = 4096;

/// One partition's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Runs of offsets, in order, apart from one another.
    done: Vec<Range<i64>>,
}

impl Marks {
    /// What was committed says, if it is ours. What somebody else wrote beside the offset is not.
    pub(super) fn read(offset: i64, metadata: &str) -> Self {
        let mut marks = Self::default();
        if offset > 0 {
            marks.done.push(0..offset);
        }
        if let Ok(Some(map)) = OffsetMap::decode(offset.max(0), metadata) {
            for run in map.done() {
                marks.mark_run(run);
            }
        }
        marks
    }

    pub(super) fn has(&self, offset: i64) -> bool {
        self.done.iter().any(|run| run.contains(&offset))
    }

    pub(super) fn mark(&mut self, offset: i64) {
        self.mark_run(offset..offset + 1);
    }

    fn mark_run(&mut self, run: Range<i64>) {
        self.done.push(run);
        self.done.sort_by_key(|run| run.start);
        let mut merged: Vec<Range<i64>> = Vec::with_capacity(self.done.len());
        for run in self.done.drain(..) {
            match merged.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => merged.push(run),
            }
        }
        self.done = merged;
    }

    /// What is to be committed, the first letter that is still there being `earliest`; `None` if that does not fit.
    pub(super) fn write(&self, earliest: i64) -> Option<(i64, String)> {
        let base = self.done.iter().find(|run| run.contains(&earliest)).map_or(earliest, |run| run.end);
        let map = OffsetMap::from_done(base, self.done.iter().cloned());
        let (text, is_whole) = map.encode(METADATA_BYTES_MAX);
        is_whole.then_some((base, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_done_in_the_order_of_offsets_is_one_offset() {
        let mut marks = Marks::read(-1, "");
        for offset in [7, 5, 6] {
            marks.mark(offset);
        }
        assert_eq!(marks.write(5), Some((8, String::new())));
        assert!(marks.has(6) && !marks.has(8) && !marks.has(4));
    }

    #[test]
    fn what_somebody_else_wrote_beside_the_offset_says_nothing() {
        let marks = Marks::read(3, "from another program");
        assert!(marks.has(2) && !marks.has(3));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(marked in proptest::collection::btree_set(0i64..300, 0..60), earliest in 0i64..40) {
            let mut marks = Marks::default();
            for offset in &marked {
                marks.mark(*offset);
            }
            let (base, text) = marks.write(earliest).expect("so few fit");
            let read = Marks::read(base, &text);
            for offset in earliest..320 {
                prop_assert_eq!(read.has(offset), marked.contains(&offset), "{}", offset);
            }
        }
    }
}
