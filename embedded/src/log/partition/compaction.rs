//! What a log offers to its compaction: what there is to do, parts of it to work on, and a way to put them back.

use std::fs;
use std::io::{self, Write};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::super::batch::Batch;
use super::super::settings::Behaviour;
use super::super::visibility::Aborted;
use super::{Entry, Log, Partition, Place};

/// The part of a log that is to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compactable {
    /// Before it, the keys have been looked at by an earlier compaction.
    pub(crate) dirty_from: i64,
    /// The first offset that is left as it is.
    pub(crate) until: i64,
}

/// Batches that follow one another, taken out to be worked on.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) batches: Vec<Batch>,
    /// Where the next chunk begins.
    pub(crate) next: i64,
    first: i64,
    /// The segments that the batches are all of; none in memory.
    segments: Vec<i64>,
}

impl Chunk {
    /// How many segments it is of; none in memory.
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }
}

impl Partition {
    /// What is worth compacting now.
    pub(crate) fn compactable(&self, topic: Behaviour, now_ms: i64) -> Option<Compactable> {
        let log = self.log();
        // The newest batch stays, since it says where the log ends.
        let newest = log.entries.back()?.base_offset;
        let mut until = log.visibility.stable_end(newest).min(newest);
        if topic.min_compaction_lag_ms > 0 {
            let too_new =
                |entry: &&Entry| now_ms.saturating_sub(entry.max_timestamp) < topic.min_compaction_lag_ms;
            until = log.entries.iter().find(too_new).map_or(until, |entry| until.min(entry.base_offset));
        }
        let dirty_from = log.compacted_until.max(log.start_offset);
        let first_dirty = log.entries.partition_point(|entry| entry.base_offset < dirty_from);
        let dirty_entries = || log.entries.range(first_dirty..).take_while(|entry| entry.base_offset < until);
        let dirty: u64 = dirty_entries().map(|entry| entry.bytes as u64).sum();
        let clean: u64 = log.entries.range(..first_dirty).map(|entry| entry.bytes as u64).sum();
        let is_dirty = u128::from(dirty) * 1_000_000
            > u128::from(dirty + clean) * u128::from(topic.min_dirty_millionths);
        let overdue = dirty_entries()
            .next()
            .is_some_and(|first| now_ms.saturating_sub(first.max_timestamp) > topic.max_compaction_lag_ms);
        let tombstones_may_go =
            log.next_horizon.is_some_and(|horizon| horizon <= now_ms) && until > log.start_offset;
        let wanted = !log.is_closed && (is_dirty || overdue || tombstones_may_go);
        wanted.then_some(Compactable { dirty_from, until: until.max(dirty_from) })
    }

    /// Has all records there are be in segments that may be replaced.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let mut log = self.log();
        let end_offset = log.end_offset;
        if log.is_closed {
            return Ok(());
        }
        log.disk.as_mut().map_or(Ok(()), |disk| disk.seal(end_offset))
    }

    /// The aborted transactions before an offset.
    pub(crate) fn aborted_until(&self, offset: i64) -> Vec<Aborted> {
        self.log().visibility.aborted_in(0, offset)
    }

    /// Batches from an offset on, of about so many bytes; of whole segments, if they are to be put back. `None` at the
    /// end of what may be worked on.
    pub(crate) fn chunk(
        &self,
        from: i64,
        max_bytes: usize,
        whole_segments: bool,
    ) -> Result<Option<Chunk>, ResponseError> {
        let mut log = self.log();
        let (first, segments, end) = if whole_segments && log.disk.is_some() {
            let Some((first, segments, end)) = log.segments_from(from, max_bytes) else { return Ok(None) };
            (first, segments, end)
        } else {
            (from, Vec::new(), i64::MAX)
        };
        let begin = log.entries.partition_point(|entry| entry.base_offset < first);
        let mut size = 0;
        let mut until = begin;
        for entry in log.entries.range(begin..) {
            let is_enough = segments.is_empty() && size >= max_bytes;
            if is_enough || entry.base_offset >= end {
                break;
            }
            size += entry.bytes;
            until += 1;
        }
        if until == begin && segments.is_empty() {
            return Ok(None);
        }
        let sizes: Vec<usize> = log.entries.range(begin..until).map(|entry| entry.bytes).collect();
        let next = log.entries.get(until).map_or(log.end_offset, |entry| entry.base_offset);
        let next = if segments.is_empty() { next } else { end };
        let found = log.find(begin, until, size)?;
        drop(log);
        let mut bytes = found.load()?;
        let batches = sizes.into_iter().map(|size| stored(bytes.split_to(size))).collect::<Result<_, _>>()?;
        Ok(Some(Chunk { batches, next, first, segments }))
    }

    /// Puts batches in the place of a chunk. `false` if the log has changed there, and they are not wanted any more.
    pub(crate) fn put_back(&self, chunk: &Chunk, batches: &[Batch]) -> io::Result<bool> {
        let new = self.write_aside(chunk, batches)?;
        let mut log = self.log();
        let done = if log.is_closed { Ok(false) } else { log.put_back(chunk, batches, new.as_deref()) };
        drop(log);
        if let (Some(path), Ok(false) | Err(_)) = (&new, &done) {
            // It would only be removed at the next start.
            let _ = fs::remove_file(path);
        }
        done
    }

    fn write_aside(&self, chunk: &Chunk, batches: &[Batch]) -> io::Result<Option<std::path::PathBuf>> {
        let Some(base) = chunk.segments.first() else { return Ok(None) };
        let path = self.log().disk.as_ref().map(|disk| disk.path.join(format!("{base}.unfinished")));
        if let Some(path) = &path {
            let mut file = io::BufWriter::new(fs::File::create(path)?);
            for batch in batches {
                file.write_all(&batch.bytes)?;
            }
            file.flush()?;
        }
        Ok(path)
    }

    /// Remembers that a compaction has come to its end.
    pub(crate) fn compacted(&self, until: i64, next_horizon: Option<i64>) {
        let mut log = self.log();
        log.compacted_until = until;
        log.next_horizon = next_horizon;
    }
}

impl Log {
    /// Segments from the one that holds an offset on: the first offset, their names, and where they end.
    fn segments_from(&self, from: i64, max_bytes: usize) -> Option<(i64, Vec<i64>, i64)> {
        let disk = self.disk.as_ref()?;
        let first = disk.segment_of(from.max(disk.segments.front()?.base_offset))?;
        let mut size = 0;
        let mut names = Vec::new();
        let sealed = disk.segments.len().checked_sub(1)?;
        let mut index = first;
        while index < sealed {
            size += disk.segments[index].bytes;
            if !names.is_empty() && size > max_bytes as u64 {
                break;
            }
            names.push(disk.segments[index].base_offset);
            index += 1;
        }
        let base = *names.first()?;
        Some((base, names, disk.segments[index].base_offset))
    }

    fn put_back(
        &mut self,
        chunk: &Chunk,
        batches: &[Batch],
        new: Option<&std::path::Path>,
    ) -> io::Result<bool> {
        if let (Some(disk), Some(new), Some(base)) = (&mut self.disk, new, chunk.segments.first()) {
            let Some(first) = disk.segment_of(*base) else { return Ok(false) };
            let present = disk.segments.range(first..).map(|segment| segment.base_offset);
            if !present.take(chunk.segments.len()).eq(chunk.segments.iter().copied()) {
                return Ok(false);
            }
            if !self.producers.is_empty() {
                disk.save_producers(&self.producers, self.end_offset)?;
            }
            let bytes = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
            disk.replace(first, chunk.segments.len(), new, bytes)?;
        }
        self.exchange(chunk, batches);
        Ok(true)
    }

    fn exchange(&mut self, chunk: &Chunk, batches: &[Batch]) {
        let first = self.entries.partition_point(|entry| entry.base_offset < chunk.first);
        let until = self.entries.partition_point(|entry| entry.base_offset < chunk.next);
        let mut tail = self.entries.split_off(until);
        for entry in self.entries.drain(first..) {
            self.stored_bytes -= entry.bytes as u64;
            self.charged -= entry.cost();
            self.budget.release(entry.cost());
        }
        let mut position = 0;
        for batch in batches {
            let place = match &self.disk {
                Some(_) => Place::File(position),
                None => Place::Memory(batch.bytes.clone()),
            };
            position += batch.bytes.len() as u64;
            if batch.last_offset < self.start_offset {
                continue;
            }
            let entry = Entry::new(batch, place);
            self.stored_bytes += entry.bytes as u64;
            self.charged += entry.cost();
            self.budget.reserve_beyond_limit(entry.cost());
            self.entries.push_back(entry);
        }
        self.entries.append(&mut tail);
    }
}

fn stored(bytes: Bytes) -> Result<Batch, ResponseError> {
    Batch::stored(bytes).map_err(|bad| {
        tracing::error!(?bad, "a batch is damaged, so its log is not compacted");
        ResponseError::KafkaStorageError
    })
}
