//! Short ways to write histories down, for the tests of the oracle. Partition 0 of topic `t`, where uid is offset.

use std::ops::Range;

use crate::ledger::{Entry, Event, EventKind, Outcome, Produced};
use crate::observer::Sample;

pub(super) fn produced(partition: i32, offset: i64) -> Produced {
    let uid = u64::try_from(offset).unwrap() + 1_000_000 * u64::try_from(partition).unwrap();
    Produced { uid, topic: "t".to_owned(), partition, offset, key: None, seq: uid }
}

pub(super) fn attempt(offset: i64, time_ns: Range<u64>, outcome: Outcome) -> Entry {
    let uid = u64::try_from(offset).unwrap();
    Entry {
        run: "run".to_owned(),
        instance: "a".to_owned(),
        generation: 1,
        topic: "t".to_owned(),
        partition: 0,
        offset,
        key: None,
        seq: uid,
        uid,
        attempt: 1,
        start_ns: time_ns.start,
        end_ns: time_ns.end,
        outcome,
    }
}

pub(super) fn done(offset: i64, time_ns: Range<u64>) -> Entry {
    attempt(offset, time_ns, Outcome::Done)
}

impl Entry {
    pub(super) fn by(mut self, instance: &str, generation: i64) -> Self {
        instance.clone_into(&mut self.instance);
        self.generation = generation;
        self
    }

    pub(super) fn keyed(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }
}

pub(super) fn sample(at_ns: u64, committed: Option<i64>, end: i64) -> Sample {
    Sample { at_ns, topic: "t".to_owned(), partition: 0, committed, finished: None, end }
}

pub(super) fn event(at_ns: u64, generation: i64, kind: EventKind) -> Event {
    Event { at_ns, instance: "a".to_owned(), generation, topic: "t".to_owned(), partition: 0, kind }
}
