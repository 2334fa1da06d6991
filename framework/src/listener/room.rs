//! How much a consumer takes in: records, bytes, and what the offset map can tell of.
//!
//! Sans-IO. A chunk of records waits with the poll thread until its lane has room for it, and when that lasts the
//! partition is paused.
//!
//! # Invariants
//! 1. A lane without records at work has room for a chunk, whatever others hold: no partition starves another.
//! 2. Half of the bytes are shared by whoever needs them, the other half is divided evenly; beyond that there is one
//!    chunk a lane at most.
//! 3. What is settled beyond an open record always fits the commit's metadata.

use super::offset_map::worst_case_bytes;
use super::tracker::{Slot, Tracker};
use crate::record::Chunk;

/// How far beyond the first open record others may be handled, in records: what is kept of each takes memory.
const WINDOW_RECORDS_MAX: usize = 1 << 17;
/// The largest part of the bytes that one chunk may hold, unless it is a single record.
const CHUNK_SHARE: u64 = 16;

/// The limits of one consumer.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "each is a limit, named as such")]
pub(crate) struct Room {
    /// Records of one partition dispatched and not settled.
    pub(crate) records_max: usize,
    /// Bytes of key and payload of all records dispatched and not settled.
    pub(crate) bytes_max: u64,
    /// The longest text of an offset map; none where records are settled in order.
    pub(crate) map_bytes_max: Option<u64>,
}

/// What a lane, or all lanes of a consumer, have been given and not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) records: usize,
    pub(crate) bytes: u64,
}

impl Load {
    pub(crate) fn of(chunk: &Chunk) -> Self {
        Self { records: chunk.records.len(), bytes: chunk.bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }

    pub(crate) fn remove(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// One lane's view of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) slot: Slot,
    /// Its own load.
    pub(crate) own: Load,
    /// Its records that are delivered and not given to it yet.
    pub(crate) parked: usize,
    /// The load of all lanes.
    pub(crate) all: Load,
    /// How many lanes there are.
    pub(crate) lanes: usize,
}

impl Room {
    /// How many bytes of records a chunk may hold before the next one begins.
    pub(crate) fn chunk_bytes_max(&self) -> u64 {
        self.bytes_max / CHUNK_SHARE
    }

    /// Whether a lane has room for its next chunk.
    pub(crate) fn has_for(&self, lane: &Lane, chunk: &Chunk, tracker: &Tracker) -> bool {
        lane.own.records == 0
            || self.has_window(lane, chunk, tracker)
                && self.has_bytes(lane, chunk.bytes)
                && self.has_map(lane, chunk, tracker)
    }

    /// Whether a paused partition may be fetched again: at half of what it may hold.
    pub(crate) fn has_half(&self, lane: &Lane, tracker: &Tracker) -> bool {
        let share = self.share(lane.lanes);
        tracker.in_flight(lane.slot) <= self.window_max() / 2
            && lane.own.records <= self.records_max / 2
            && (lane.own.bytes <= share / 2 || lane.all.bytes <= self.bytes_max / 4)
    }

    fn window_max(&self) -> usize {
        if self.map_bytes_max.is_some() { WINDOW_RECORDS_MAX } else { self.records_max }
    }

    fn share(&self, lanes: usize) -> u64 {
        self.bytes_max / 2 / u64::try_from(lanes.max(1)).unwrap_or(u64::MAX)
    }

    fn has_bytes(&self, lane: &Lane, bytes: u64) -> bool {
        lane.all.bytes + bytes <= self.bytes_max / 2 || lane.own.bytes + bytes <= self.share(lane.lanes)
    }

    fn has_window(&self, lane: &Lane, chunk: &Chunk, tracker: &Tracker) -> bool {
        let count = chunk.records.len();
        let window = tracker.in_flight(lane.slot).saturating_sub(lane.parked);
        window + count <= self.window_max() && lane.own.records + count <= self.records_max
    }

    fn has_map(&self, lane: &Lane, chunk: &Chunk, tracker: &Tracker) -> bool {
        let Some(max) = self.map_bytes_max else { return true };
        let (Some(base), Some(last)) = (tracker.frontier(lane.slot), chunk.records.last()) else {
            return true;
        };
        let open = lane.own.records + chunk.records.len();
        worst_case_bytes(base, last.offset().abs_diff(base), open as u64) <= max
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
