//! The part of the client's statistics that tells how far it has fetched.

use std::collections::HashMap;

use serde::Deserialize;

/// How often the client tells, in milliseconds.
pub(super) const STATISTICS_MS: &str = "100";

#[derive(Deserialize)]
pub(super) struct Fetched {
    #[serde(default)]
    topics: HashMap<String, FetchedTopic>,
}

#[derive(Deserialize)]
struct FetchedTopic {
    #[serde(default)]
    partitions: HashMap<String, FetchedPartition>,
}

#[derive(Deserialize)]
struct FetchedPartition {
    #[serde(default)]
    fetchq_cnt: i64,
    #[serde(default)]
    next_offset: i64,
    /// Where the partition ends; negative before the first fetch.
    #[serde(default = "unknown")]
    hi_offset: i64,
    /// Where committed records end. Before the first fetch it is 0, which says nothing.
    #[serde(default)]
    ls_offset: i64,
}

fn unknown() -> i64 {
    -1
}

impl Fetched {
    pub(super) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether all before `end` is fetched and handed out, as far as it can be read: not behind a transaction that is open.
    pub(super) fn is_at(&self, topic: &str, partition: i32, end: i64) -> bool {
        let figures = self.topics.get(topic).and_then(|topic| topic.partitions.get(&partition.to_string()));
        figures.is_some_and(|figures| figures.are_at(end))
    }
}

impl FetchedPartition {
    fn are_at(&self, end: i64) -> bool {
        let is_read_through = self.hi_offset >= 0 && self.next_offset >= end.min(self.ls_offset);
        self.fetchq_cnt == 0 && is_read_through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_at_its_end_when_all_that_can_be_read_is_handed_out() {
        let at = |fetchq_cnt, next_offset, hi_offset, ls_offset| {
            FetchedPartition { fetchq_cnt, next_offset, hi_offset, ls_offset }.are_at(10)
        };
        assert!(at(0, 10, 10, 10));
        assert!(!at(1, 10, 10, 10));
        assert!(!at(0, 9, 10, 10));
        assert!(at(0, 7, 10, 7), "a transaction is open from 7 on");
        assert!(!at(0, 0, -1001, 0), "nothing was fetched yet");
        assert!(at(0, 12, 12, 12));
    }
}
