//! Who has room for what.

use super::*;
use crate::record::Stored;
use proptest::prelude::*;

const SLOT: Slot = Slot(1);

fn chunk(offsets: std::ops::Range<i64>, bytes: u64) -> Chunk {
    Chunk { topic: "t".into(), partition: 0, records: offsets.map(Stored::made_at).collect(), bytes }
}

fn tracker(delivered: std::ops::Range<i64>) -> Tracker {
    let mut tracker = Tracker::default();
    tracker.assign(SLOT);
    tracker.deliver(SLOT, delivered.map(|offset| (offset, 1)));
    tracker
}

fn lane(own: (usize, u64), parked: usize, all_bytes: u64) -> Lane {
    let load = |(records, bytes)| Load { records, bytes };
    Lane { slot: SLOT, own: load(own), parked, all: load((own.0, all_bytes)), lanes: 4 }
}

#[test]
fn an_idle_lane_has_room_whatever_others_hold() {
    let room = Room { records_max: 10, bytes_max: 1_000, map_bytes_max: Some(64) };
    assert!(room.has_for(&lane((0, 0), 50, 5_000), &chunk(0..50, 900), &tracker(0..50)));
}

#[test]
fn records_of_one_partition_are_bounded() {
    let room = Room { records_max: 10, bytes_max: u64::MAX, map_bytes_max: None };
    let tracker = tracker(0..14);
    assert!(room.has_for(&lane((5, 5), 9, 5), &chunk(5..10, 0), &tracker));
    assert!(!room.has_for(&lane((10, 10), 4, 10), &chunk(10..14, 0), &tracker));
    assert!(room.has_half(&lane((5, 5), 0, 5), &self::tracker(0..5)));
    assert!(!room.has_half(&lane((6, 6), 0, 6), &self::tracker(0..6)));
}

#[test]
fn bytes_are_shared_and_nobody_is_starved() {
    let room = Room { records_max: 1_000, bytes_max: 800, map_bytes_max: None };
    let tracker = tracker(0..4);
    let has =
        |own: u64, all: u64, bytes: u64| room.has_for(&lane((2, own), 2, all), &chunk(2..4, bytes), &tracker);
    assert!(has(300, 300, 100), "half of it is anybody's");
    assert!(!has(300, 301, 100));
    assert!(has(50, 700, 50), "an eighth is its own, whatever others hold");
    assert!(!has(60, 700, 50));
    assert!(!room.has_half(&lane((2, 60), 0, 400), &tracker));
    assert!(room.has_half(&lane((2, 50), 0, 700), &tracker));
    assert!(room.has_half(&lane((2, 200), 0, 200), &tracker));
}

#[test]
fn an_open_record_lets_others_go_as_far_ahead_as_the_map_can_tell() {
    let max = 64;
    let room = Room { records_max: 1_000_000, bytes_max: u64::MAX, map_bytes_max: Some(max) };
    let mut tracker = tracker(0..5_000);
    let mut reached = 0;
    for first in (0..5_000).step_by(10) {
        let view = lane((usize::try_from(first).unwrap(), 0), 5_000 - usize::try_from(first).unwrap(), 0);
        if !room.has_for(&view, &chunk(first..first + 10, 0), &tracker) {
            break;
        }
        reached = first + 10;
    }
    assert!((200..400).contains(&reached), "{reached}");
    // Every other one is done: the map is as long as it can become.
    for offset in (1..reached).step_by(2) {
        tracker.settle(SLOT, offset, offset);
    }
    let (text, is_whole) = tracker.settled_beyond(SLOT).unwrap().encode(usize::try_from(max).unwrap());
    assert!(is_whole && !text.is_empty());
    // All but the first are done: there is little to tell, so others may go on.
    tracker.settle(SLOT, 1, reached);
    let view = lane((1, 0), 5_000 - usize::try_from(reached).unwrap(), 0);
    assert!(room.has_for(&view, &chunk(reached..reached + 10, 0), &tracker));
}

proptest! {
    /// Chunks are given as there is room, and records settled in any order: the map always fits.
    #[test]
    fn what_is_let_in_always_fits_the_metadata(
        steps in prop::collection::vec((any::<u16>(), 1i64..40), 1..150), max in 48u64..200,
    ) {
        let room = Room { records_max: 300, bytes_max: u64::MAX, map_bytes_max: Some(max) };
        let total = 2_000i64;
        let mut tracker = tracker(0..total);
        let mut given = 0i64;
        let mut open: Vec<i64> = Vec::new();
        for (which, count) in steps {
            let next = chunk(given..(given + count).min(total), 0);
            let view = lane((open.len(), 0), usize::try_from(total - given).unwrap(), 0);
            if !next.records.is_empty() && room.has_for(&view, &next, &tracker) {
                // The one exception is a lane that has nothing open: it always goes on.
                let end = next.records.last().map_or(given, |last| last.offset() + 1);
                open.extend(given..end);
                given = end;
            }
            for _ in 0..2 {
                if !open.is_empty() {
                    let offset = open.swap_remove(usize::from(which) % open.len());
                    tracker.settle(SLOT, offset, offset);
                }
                let map = tracker.settled_beyond(SLOT);
                let (text, is_whole) =
                    map.map_or((String::new(), true), |map| map.encode(usize::try_from(max).unwrap()));
                prop_assert!(is_whole, "{} open of {given}", open.len());
                prop_assert!(text.len() as u64 <= max);
            }
        }
    }
}
