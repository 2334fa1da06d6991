//! What compaction keeps, in memory and in files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::batch::tests::{batch_with, compressed, in_transaction};
use super::super::budget::Budget;
use super::super::partition::ReadFrom;
use super::super::settings::Settings;
use super::super::topics::Topics;
use super::*;
use crate::cluster::Cluster;
use crate::storage::{DataDirectory, Storage};
use crate::txn::ProducerIdentity;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// A compacted topic of one partition, and the directory that it may be in.
struct Log {
    topics: Topics,
    partition: Arc<Partition>,
    topic: Behaviour,
    budget: Arc<Budget>,
    directory: Option<tempfile::TempDir>,
}

impl Log {
    fn new(on_disk: bool, settings: &[(&str, &str)]) -> Self {
        let directory = on_disk.then(|| tempfile::tempdir().unwrap());
        let mut set = Settings::default();
        set.set("cleanup.policy", "compact").unwrap();
        set.set("min.cleanable.dirty.ratio", "0").unwrap();
        for (name, value) in settings {
            set.set(name, value).unwrap();
        }
        let mut log = Self::open(directory, None);
        let topic = log.topics.create("state", 1, set).unwrap();
        (log.partition, log.topic) = (topic.partition(0).unwrap(), topic.behaviour());
        log
    }

    fn open(directory: Option<tempfile::TempDir>, topic: Option<&str>) -> Self {
        let storage =
            directory.as_ref().map(|directory| Arc::new(DataDirectory::open(directory.path()).unwrap()));
        let budget = Arc::new(Budget::new(10_000_000));
        let topics = Topics::open(Arc::clone(&budget), Arc::new(Cluster::of(1)), Storage(storage)).unwrap();
        let found = topic.map(|name| topics.by_name(name).unwrap());
        let partition = found.as_ref().map_or_else(
            || Arc::new(Partition::new(Arc::clone(&budget), Cluster::of(1).new_leadership(Vec::new()))),
            |topic| topic.partition(0).unwrap(),
        );
        let topic = found.map_or_else(|| Settings::default().behaviour(), |topic| topic.behaviour());
        Self { topics, partition, topic, budget, directory }
    }

    /// Stops, and starts again on the same directory; in memory, goes on.
    fn restarted(mut self) -> Self {
        let Some(directory) = self.directory.take() else { return self };
        drop(self);
        Self::open(Some(directory), Some("state"))
    }

    fn append(&self, bytes: Bytes) -> i64 {
        self.partition.append(bytes, self.topic, 0, |_| Ok(())).unwrap().base_offset
    }

    fn put(&self, records: &[(&str, Option<&str>)]) -> i64 {
        self.append(batch_with(records, 1_000).freeze())
    }

    fn compact(&self, now_ms: i64) {
        self.topics.expire(now_ms);
    }

    fn batches(&self) -> Vec<Batch> {
        let from = ReadFrom { offset: 0, max_bytes: 10_000_000, oversized: true, committed_only: false };
        let mut bytes = self.partition.read(from).unwrap().bytes;
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let size = Batch::size_of_next(&bytes).unwrap();
            batches.push(Batch::stored(bytes.split_to(size)).unwrap());
        }
        batches
    }

    /// Offset, key and whether it is a tombstone, of all records.
    fn records(&self) -> Vec<(i64, String, bool)> {
        let batches = self.batches();
        let all = batches.iter().filter(|batch| !batch.is_control()).flat_map(|batch| {
            let read = |records: super::super::batch::RawRecords<'_>| -> Vec<_> {
                let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
                let told = records.map(Result::unwrap);
                told.map(|record| (record.offset, text(record.key.unwrap()), record.is_tombstone)).collect()
            };
            batch.look_at_raw(read).unwrap()
        });
        all.collect()
    }

    fn offsets(&self) -> Vec<i64> {
        self.records().into_iter().map(|record| record.0).collect()
    }

    fn markers(&self) -> usize {
        self.batches().iter().filter(|batch| batch.is_control()).count()
    }
}

/// In memory and in files, since both have to come to the same.
fn everywhere(test: impl Fn(bool)) {
    test(false);
    test(true);
}

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    everywhere(|on_disk| {
        let log = Log::new(on_disk, &[]);
        log.put(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
        log.put(&[("b", Some("2"))]);
        log.put(&[("c", Some("1")), ("c", Some("2"))]);
        log.put(&[("b", Some("3"))]);
        log.compact(2_000);
        // The newest batch is left alone, and its keys are not known yet.
        assert_eq!(log.offsets(), [2, 3, 5, 6]);
        let spans: Vec<_> =
            log.batches().iter().map(|batch| (batch.base_offset, batch.last_offset)).collect();
        assert_eq!(spans, [(0, 2), (3, 3), (4, 5), (6, 6)], "a batch keeps its offsets");
        log.put(&[("d", None)]);
        log.compact(2_000);
        let log = log.restarted();
        assert_eq!(log.offsets(), [2, 5, 6, 7]);
        assert_eq!(log.partition.span().end, 8);
        let offset = log.put(&[("e", None)]);
        assert_eq!(offset, 8, "offsets go on");
        let read = |offset| {
            let from = ReadFrom { offset, max_bytes: 1, oversized: true, committed_only: false };
            Batch::stored(log.partition.read(from).unwrap().bytes).unwrap().base_offset
        };
        assert_eq!((read(1), read(3), read(4)), (0, 4, 4), "a gap is read over");
    });
}

#[test]
fn tombstones_go_when_their_time_has_come_and_not_before() {
    everywhere(|on_disk| {
        let log = Log::new(on_disk, &[("delete.retention.ms", "1000")]);
        log.put(&[("a", Some("1")), ("b", Some("1"))]);
        log.put(&[("a", None)]);
        log.put(&[("end", None)]);
        log.compact(10_000);
        assert_eq!(log.offsets(), [1, 2, 3]);
        let tombstone = log.batches().into_iter().find(|batch| batch.base_offset == 2).unwrap();
        assert_eq!(tombstone.delete_horizon(), Some(11_000));
        let times =
            tombstone.look(|records| records.flatten().map(|record| record.timestamp).collect::<Vec<_>>());
        assert_eq!(times.unwrap(), [1_000], "a record keeps its time");
        log.compact(10_999);
        assert_eq!(log.offsets(), [1, 2, 3]);
        let log = log.restarted();
        log.compact(11_000);
        assert_eq!(log.offsets(), [1, 3]);
        let before = log.batches().len();
        log.compact(11_000 + HOUR_MS);
        assert_eq!(log.batches().len(), before, "the newest batch stays, whatever is in it");
    });
}

#[test]
fn a_tombstone_that_is_not_retained_goes_with_the_next_turn() {
    everywhere(|on_disk| {
        let log = Log::new(on_disk, &[("delete.retention.ms", "0")]);
        log.put(&[("a", None)]);
        log.put(&[("end", None)]);
        log.compact(10_000);
        assert_eq!(log.offsets(), [0, 1]);
        log.compact(10_000);
        assert_eq!(log.offsets(), [1]);
        assert_eq!(log.partition.compactable(log.topic, 10_000), None, "there is nothing more to do");
    });
}

#[test]
fn aborted_records_go_and_a_marker_stays_as_long_as_its_records() {
    everywhere(|on_disk| {
        let log = Log::new(on_disk, &[("delete.retention.ms", "1000")]);
        let producer = |id| ProducerIdentity { id, epoch: 0 };
        let send = |id, sequence, key: &str| {
            let batch = batch_with(&[(key, Some("x"))], 1_000);
            log.append(in_transaction(batch, id, sequence).freeze())
        };
        send(1, 0, "a");
        log.partition.end_transaction(1_000, producer(1), true);
        send(2, 0, "a");
        send(2, 1, "b");
        log.partition.end_transaction(1_000, producer(2), false);
        send(3, 0, "open");
        log.put(&[("a", Some("later"))]);
        log.put(&[("end", None)]);
        log.compact(10_000);
        // The aborted value is not what `a` is now; and what follows the open transaction is not decided.
        assert_eq!(log.offsets(), [0, 5, 6, 7]);
        assert_eq!(log.markers(), 2);
        log.compact(12_000);
        assert_eq!((log.markers(), log.partition.stable_end()), (1, 5), "of the aborted, nothing is left");
        let log = log.restarted();
        assert_eq!(log.partition.stable_end(), 5);
        log.partition.end_transaction(12_000, producer(3), true);
        log.put(&[("end", None)]);
        log.compact(12_000);
        assert_eq!(log.offsets(), [5, 6, 7, 9]);
        assert_eq!(log.markers(), 2, "that of the superseded record has its time to stay");
        log.compact(13_000);
        assert_eq!(log.markers(), 1);
    });
}

#[test]
fn a_compressed_batch_is_compacted_and_keeps_its_codec() {
    for codec in 1..=4 {
        let log = Log::new(codec % 2 == 0, &[]);
        let batch = batch_with(&[("a", Some("1")), ("b", Some("1"))], 1_000);
        log.append(compressed(&batch, codec).freeze());
        log.put(&[("a", Some("2"))]);
        log.put(&[("end", None)]);
        log.compact(2_000);
        assert_eq!(log.offsets(), [1, 2, 3], "codec {codec}");
        assert_eq!(log.batches()[0].bytes[22] & 7, u8::try_from(codec).unwrap());
    }
}

#[test]
fn a_log_is_compacted_only_when_its_settings_say_so() {
    type Case = (&'static [(&'static str, &'static str)], &'static [i64]);
    let cases: [Case; 5] = [
        (&[], &[2, 3]),
        (&[("cleanup.policy", "delete"), ("retention.ms", "-1")], &[0, 1, 2, 3]),
        (&[("min.compaction.lag.ms", "1000")], &[0, 1, 2, 3]),
        (&[("min.cleanable.dirty.ratio", "1")], &[0, 1, 2, 3]),
        (&[("min.cleanable.dirty.ratio", "1"), ("max.compaction.lag.ms", "10")], &[2, 3]),
    ];
    everywhere(|on_disk| {
        for (settings, expected) in cases {
            let log = Log::new(on_disk, settings);
            for value in ["1", "2", "3"] {
                log.put(&[("a", Some(value))]);
            }
            log.put(&[("end", None)]);
            log.compact(1_100);
            assert_eq!(log.offsets(), expected, "{settings:?}");
        }
    });
}

#[test]
fn compaction_of_files_merges_segments_and_gives_back_all_room() {
    let log = Log::new(true, &[("segment.bytes", "300")]);
    for round in 0..40 {
        log.put(&[("a", Some(&round.to_string())), (&format!("key-{}", round % 4), Some("x"))]);
    }
    let path = log.directory.as_ref().unwrap().path().join("state-0");
    let files = || std::fs::read_dir(&path).unwrap().count();
    let before = files();
    for _ in 0..3 {
        log.compact(2_000);
    }
    assert!(before > 10 && files() < 5, "{before} files became {}", files());
    let log = log.restarted();
    assert_eq!(log.records().len(), 5 + 2, "one of each key, and the newest batch");
    log.topics.delete(&log.topics.by_name("state").unwrap()).unwrap();
    assert!(!path.exists());
    drop((log.partition, log.topics));
    assert!(log.budget.reserve(10_000_000), "all memory has come back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A reader of the whole log comes to the same state before and after, in memory, in files and after a restart.
    #[test]
    fn the_state_that_a_log_describes_is_not_changed_by_compaction(
        story in prop::collection::vec(prop::collection::vec((0_u8..6, prop::option::of(0_u8..9)), 1..5), 1..30),
        compacted_at in prop::collection::vec(any::<bool>(), 30),
        on_disk: bool,
    ) {
        let mut log = Log::new(on_disk, &[("segment.bytes", "400"), ("delete.retention.ms", "3000")]);
        let mut expected = BTreeMap::new();
        let mut offset = 0;
        for (number, batch) in story.iter().enumerate() {
            let texts: Vec<_> = batch.iter().map(|(key, value)| (key.to_string(), value.map(|value| value.to_string()))).collect();
            let records: Vec<_> = texts.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            prop_assert_eq!(log.put(&records), offset);
            for (key, value) in texts {
                expected.insert(key, value.is_some().then_some(offset));
                offset += 1;
            }
            if compacted_at[number] {
                log.compact(1_000 * i64::try_from(number).unwrap());
            }
        }
        log.compact(30_000);
        log = log.restarted();
        let mut found = BTreeMap::new();
        let mut last = -1;
        for (offset, key, is_tombstone) in log.records() {
            prop_assert!(offset > last, "offsets rise");
            last = offset;
            found.insert(key, (!is_tombstone).then_some(offset));
        }
        let present = |state: BTreeMap<String, Option<i64>>| -> Vec<_> {
            state.into_iter().filter(|(_, offset)| offset.is_some()).collect()
        };
        prop_assert_eq!(present(found), present(expected));
        prop_assert_eq!(log.partition.span().end, offset);
    }
}
