//! A partition, from its first record to its last.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::super::batch::tests::{batch_of, sequenced, transactional};
use super::super::settings::Settings;
use super::*;
use crate::cluster::Cluster;

const ROOM: u64 = 100_000;

fn partition(room: u64) -> (Partition, Arc<Budget>) {
    let budget = Arc::new(Budget::new(room));
    (
        Partition::new(Arc::clone(&budget), Cluster::of(2).new_leadership(vec![BrokerId(1), BrokerId(2)])),
        budget,
    )
}

fn topic(settings: &[(&str, &str)]) -> Behaviour {
    let mut set = Settings::default();
    for (name, value) in settings {
        set.set(name, value).unwrap();
    }
    set.behaviour()
}

fn append(partition: &Partition, topic: Behaviour, timestamps: &[i64]) -> Result<Appended, Refused> {
    let records: Vec<_> = timestamps.iter().map(|timestamp| (Some("key"), *timestamp)).collect();
    partition.append(batch_of(&records).freeze(), topic, 0, |_| Ok(()))
}

fn read(partition: &Partition, offset: i64, max_bytes: usize, oversized: bool) -> Option<Read> {
    partition.read(ReadFrom { offset, max_bytes, oversized, committed_only: false }).ok()
}

fn offsets(mut bytes: Bytes) -> Vec<i64> {
    let mut offsets = Vec::new();
    while !bytes.is_empty() {
        offsets.push(Batch::split_from(&mut bytes).unwrap().base_offset);
    }
    offsets
}

#[test]
fn batches_follow_one_another_and_are_read_from_the_one_that_holds_the_offset() {
    let (partition, _) = partition(ROOM);
    for _ in 0..3 {
        append(&partition, topic(&[]), &[1, 2, 3]).unwrap();
    }
    assert_eq!(partition.span(), Span { start: 0, end: 9 });
    let one = batch_of(&[(Some("key"), 1), (Some("key"), 2), (Some("key"), 3)]).len();
    let cases = [
        (0, 10_000, false, Some(vec![0, 3, 6])),
        (2, 2 * one, false, Some(vec![0, 3])),
        (3, one, false, Some(vec![3])),
        (8, one - 1, false, Some(vec![])),
        (8, one - 1, true, Some(vec![6])),
        (9, 10_000, true, Some(vec![])),
        (10, 10_000, true, None),
        (-1, 10_000, true, None),
    ];
    for (offset, max_bytes, oversized, expected) in cases {
        let read = read(&partition, offset, max_bytes, oversized).map(|read| offsets(read.bytes));
        assert_eq!(read, expected, "from {offset}, at most {max_bytes}");
    }
}

#[test]
fn a_batch_that_is_sent_twice_is_stored_once() {
    let (partition, _) = partition(ROOM);
    let send = |sequence| partition.append(sequenced(4, 0, sequence, 2).freeze(), topic(&[]), 0, |_| Ok(()));
    assert_eq!(send(0).unwrap().base_offset, 0);
    assert_eq!(send(2).unwrap().base_offset, 2);
    assert_eq!(send(0).unwrap().base_offset, 0);
    assert_eq!(send(9).unwrap_err().error, ResponseError::OutOfOrderSequenceNumber);
    assert_eq!(partition.span().end, 4);
}

#[test]
fn what_may_not_be_stored_is_refused_with_kafkas_error() {
    let (partition, _) = partition(ROOM);
    let keyless = batch_of(&[(None, 1)]);
    let mut two = keyless.clone();
    two.extend_from_slice(&keyless);
    let mut old = keyless.clone();
    old[16] = 1;
    let mut damaged = keyless.clone();
    damaged[40] ^= 1;
    let cases = [
        (keyless.clone(), topic(&[("cleanup.policy", "compact")]), ResponseError::InvalidRecord),
        (keyless, topic(&[("max.message.bytes", "50")]), ResponseError::MessageTooLarge),
        (two, topic(&[]), ResponseError::InvalidRecord),
        (old, topic(&[]), ResponseError::InvalidRecord),
        (damaged, topic(&[]), ResponseError::CorruptMessage),
        (BytesMut::new(), topic(&[]), ResponseError::CorruptMessage),
    ];
    for (bytes, topic, expected) in cases {
        assert_eq!(partition.append(bytes.freeze(), topic, 0, |_| Ok(())).unwrap_err().error, expected);
    }
    assert_eq!(partition.span().end, 0);
}

#[test]
fn records_are_found_by_time() {
    let (partition, _) = partition(ROOM);
    append(&partition, topic(&[]), &[10, 30, 20]).unwrap();
    append(&partition, topic(&[]), &[50, 40]).unwrap();
    let cases = [(0, Some((0, 10))), (11, Some((1, 30))), (31, Some((3, 50))), (51, None)];
    for (timestamp, expected) in cases {
        let found = partition.first_since(timestamp).map(|found| (found.offset, found.timestamp));
        assert_eq!(found, expected, "at {timestamp}");
    }
    assert_eq!(partition.latest_timestamp(), Some(Position { offset: 3, timestamp: 50 }));
    partition.delete_until(4).unwrap();
    assert_eq!(partition.first_since(0), Some(Position { offset: 4, timestamp: 40 }));
}

#[test]
fn what_is_deleted_is_gone_and_its_room_free() {
    let (partition, budget) = partition(ROOM);
    append(&partition, topic(&[]), &[1, 2]).unwrap();
    append(&partition, topic(&[]), &[3]).unwrap();
    assert!(!budget.reserve(ROOM));
    assert_eq!(partition.delete_until(1), Ok(1));
    assert!(read(&partition, 0, 100, true).is_none());
    assert_eq!(partition.delete_until(3), Ok(3));
    assert_eq!(partition.delete_until(4), Err(ResponseError::OffsetOutOfRange));
    assert_eq!(partition.delete_until(0), Ok(3));
    assert!(budget.reserve(ROOM));
}

#[test]
fn a_topic_retains_what_its_settings_say() {
    let cases: [(&[(&str, &str)], i64); 5] = [
        (&[("retention.ms", "-1")], 0),
        (&[("retention.ms", "70")], 2),
        (&[("retention.ms", "0")], 4),
        (&[("retention.ms", "-1"), ("retention.bytes", "1")], 3),
        (&[("retention.ms", "0"), ("cleanup.policy", "compact")], 0),
    ];
    for (settings, start) in cases {
        let (partition, _) = partition(ROOM);
        for timestamp in [10, 20, 30, 40] {
            append(&partition, topic(settings), &[timestamp]).unwrap();
        }
        partition.expire(topic(settings), 100);
        assert_eq!(partition.span().start, start, "{settings:?}");
    }
}

#[test]
fn a_full_broker_says_so_and_takes_records_again_once_there_is_room() {
    let (partition, _) = partition(600);
    let refused = loop {
        if let Err(refused) = append(&partition, topic(&[("retention.ms", "-1")]), &[1]) {
            break refused;
        }
    };
    assert_eq!(refused.error, ResponseError::PolicyViolation);
    assert!(refused.message.contains("memory limit of 600 bytes"), "{}", refused.message);
    partition.delete_until(1).unwrap();
    append(&partition, topic(&[("retention.ms", "-1")]), &[1]).unwrap();
}

#[test]
fn an_append_wakes_only_fetches_that_still_wait() {
    let (partition, _) = partition(ROOM);
    let (waits, gave_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    partition.wake_on_append(&gave_up);
    drop(gave_up);
    partition.wake_on_append(&waits);
    assert_eq!(partition.log().waiting.len(), 1);
    append(&partition, topic(&[]), &[1]).unwrap();
    let notified = std::pin::pin!(waits.notified());
    let polled = notified.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(polled.is_ready());
}

#[test]
fn who_reads_committed_records_stops_before_what_is_open_and_is_told_what_to_skip() {
    let (partition, _) = partition(ROOM);
    let send = |id, sequence| {
        let bytes = transactional(sequenced(id, 0, sequence, 2)).freeze();
        partition.append(bytes, topic(&[]), 0, |_| Ok(())).unwrap().base_offset
    };
    let committed = |offset| {
        let from = ReadFrom { offset, max_bytes: 10_000, oversized: true, committed_only: true };
        let read = partition.read(from).unwrap();
        let aborted: Vec<_> = read.aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect();
        (read.bytes.len(), read.stable_end, aborted)
    };
    assert_eq!((send(1, 0), send(2, 0)), (0, 2));
    assert_eq!(committed(0), (0, 0, vec![]));
    let producer = |id| ProducerIdentity { id, epoch: 0 };
    partition.end_transaction(9, producer(1), true);
    let (bytes, stable_end, _) = committed(0);
    assert_eq!((bytes > 0, stable_end), (true, 2));
    partition.end_transaction(9, producer(2), false);
    let (_, stable_end, aborted) = committed(0);
    assert_eq!((stable_end, aborted), (6, vec![(2, 2)]));
    assert_eq!(committed(6), (0, 6, vec![]));
    partition.delete_until(6).unwrap();
    assert_eq!(committed(6).2, []);
}

#[test]
fn the_marker_of_a_newer_epoch_fences_the_older() {
    let (partition, _) = partition(ROOM);
    let send = |epoch| {
        let bytes = transactional(sequenced(1, epoch, 0, 1)).freeze();
        partition.append(bytes, topic(&[]), 0, |_| Ok(())).map(|appended| appended.base_offset)
    };
    assert_eq!(send(0), Ok(0));
    partition.end_transaction(9, ProducerIdentity { id: 1, epoch: 1 }, false);
    assert_eq!(send(0).unwrap_err().error, ResponseError::InvalidProducerEpoch);
    assert_eq!(send(1), Ok(2));
}

#[test]
fn records_are_of_the_epoch_of_the_leader_who_stored_them() {
    let (partition, _) = partition(ROOM);
    append(&partition, topic(&[]), &[1, 2]).unwrap();
    assert_eq!(partition.move_leader(BrokerId(2)), 1);
    append(&partition, topic(&[]), &[3]).unwrap();
    partition.elect(|_| false);
    partition.end_transaction(9, ProducerIdentity { id: 1, epoch: 0 }, true);
    let epochs: Vec<i32> = partition
        .log()
        .entries
        .iter()
        .map(|entry| match &entry.place {
            Place::Memory(bytes) => i32::from_be_bytes(bytes[12..16].try_into().unwrap()),
            Place::File(_) => unreachable!("there is no data directory"),
        })
        .collect();
    assert_eq!(epochs, [0, 1, 2]);
    let leadership = partition.leadership();
    assert_eq!([0, 2, 3].map(|offset| leadership.epoch_at(offset)), epochs[..]);
    assert_eq!((leadership.leader(), leadership.epoch()), (None, 2));
}

#[test]
fn a_new_leader_wakes_fetches_that_wait_at_the_old_one() {
    let (partition, _) = partition(ROOM);
    let waits = Arc::new(Notify::new());
    partition.wake_on_append(&waits);
    partition.elect(|_| true);
    assert_eq!(partition.log().waiting.len(), 1, "the leader is live, and stays");
    partition.elect(|node| node == BrokerId(2));
    assert!(partition.log().waiting.is_empty());
}

#[test]
fn producers_are_described_with_their_open_transactions() {
    let (partition, _) = partition(ROOM);
    let describe = || {
        let all = partition.producers();
        all.iter()
            .map(|one| (one.producer.epoch, one.last_sequence, one.has_ended, one.open_since_offset))
            .collect::<Vec<_>>()
    };
    assert_eq!(describe(), []);
    let store = |epoch| {
        let records = transactional(sequenced(7, epoch, 0, 2)).freeze();
        partition.append(records, topic(&[]), 0, |_| Ok(())).unwrap();
    };
    store(0);
    assert_eq!(describe(), [(0, Some(1), false, Some(0))]);
    partition.end_transaction(5, ProducerIdentity { id: 7, epoch: 1 }, true);
    assert_eq!(describe(), [(1, None, true, None)]);
    assert_eq!(partition.producers()[0].last_timestamp, 5);
    store(1);
    assert_eq!(describe(), [(1, Some(1), true, Some(3))]);
    store(2);
    assert_eq!(describe(), [(2, Some(1), true, Some(3))]);
}
