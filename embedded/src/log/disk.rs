//! The files of one partition: record batches as Kafka writes them, in segments that are named after their first offset.
//!
//! ```text
//! 00000000000000000000.log              batches, one after the other
//! 00000000000000004711.log              the last segment is the one that is written to
//! producers                             what idempotent producers sent, as of some offset
//! 0000…0000-0000…4711.swap              compaction: replaces the segments from one to the other
//! ```
//!
//! 1. A batch is written by one `write`; what a failed one has left is cut off before the next.
//! 2. Only the last segment grows. Others are replaced as a whole, or deleted.
//! 3. A replacement counts from the moment it is named `.swap`; all that follows can be done again.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::batch::Batch;
use super::files::{self, Kept, Kind};
use super::producers::Producers;
use super::settings::Behaviour;
use crate::storage::{DataDirectory, replace_file};

pub(super) const PRODUCERS_FILE: &str = "producers";

/// The files of a compacted topic are no longer than this, so that each step of its compaction is short.
pub(super) const MAX_COMPACTED_SEGMENT_BYTES: i64 = 16 * 1024 * 1024;

/// One partition's files.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(super) topic: Uuid,
    pub(super) partition: i32,
    pub(super) path: PathBuf,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) segments: VecDeque<Segment>,
}

/// One file of batches.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// The latest of its first batch.
    pub(super) first_timestamp: Option<i64>,
    kept: Option<Kept>,
    /// Since files were last looked through for those that nobody uses.
    is_used: bool,
    /// It ends with a part of a batch, which could not be cut off.
    is_torn: bool,
}

/// A part of a file. It can be read whatever happens to the file's name.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: Arc<File>,
    pub(super) position: u64,
    pub(super) bytes: usize,
}

impl Segment {
    pub(super) fn new(directory: &Path, base_offset: i64) -> Self {
        Self::at(files::segment_path(directory, base_offset), base_offset, 0, None)
    }

    pub(super) fn at(path: PathBuf, base_offset: i64, bytes: u64, first_timestamp: Option<i64>) -> Self {
        Self { base_offset, path, bytes, first_timestamp, kept: None, is_used: false, is_torn: false }
    }

    pub(super) fn file(&mut self, directory: &DataDirectory) -> io::Result<Arc<File>> {
        self.is_used = true;
        if let Some(kept) = &self.kept {
            return Ok(Arc::clone(&kept.file));
        }
        let file = Arc::new(File::options().read(true).append(true).create(true).open(&self.path)?);
        self.kept = directory.open_files.keep(&file);
        Ok(file)
    }

    fn append(&mut self, batch: &Batch, directory: &DataDirectory) -> io::Result<u64> {
        let file = self.file(directory)?;
        if self.is_torn {
            file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        if let Err(error) = (&*file).write_all(&batch.bytes) {
            self.is_torn = file.set_len(self.bytes).is_err();
            return Err(error);
        }
        let position = self.bytes;
        self.bytes += batch.bytes.len() as u64;
        self.first_timestamp.get_or_insert(batch.max_timestamp);
        Ok(position)
    }

    fn is_full(&self, batch: &Batch, topic: Behaviour) -> bool {
        let Some(first_timestamp) = self.first_timestamp else { return false };
        let limit = if topic.compacts {
            topic.segment_bytes.min(MAX_COMPACTED_SEGMENT_BYTES)
        } else {
            topic.segment_bytes
        };
        let bytes = self.bytes + batch.bytes.len() as u64;
        i64::try_from(bytes).unwrap_or(i64::MAX) > limit
            || batch.max_timestamp.saturating_sub(first_timestamp) > topic.segment_ms
            // Kafka's indexes count offsets from the segment's first in 32 bits.
            || batch.last_offset - self.base_offset > i64::from(i32::MAX)
    }
}

impl Disk {
    /// A partition without records. Nothing is written before there is one.
    pub(crate) fn new(directory: &Arc<DataDirectory>, topic: Uuid, name: &str, partition: i32) -> Self {
        Self {
            topic,
            partition,
            path: directory.partition_path(name, partition),
            directory: Arc::clone(directory),
            segments: VecDeque::new(),
        }
    }

    /// Writes a batch, and says where it is in its file.
    pub(super) fn append(&mut self, batch: &Batch, topic: Behaviour) -> io::Result<u64> {
        if self.segments.is_empty() {
            fs::create_dir_all(&self.path)?;
        }
        if self.segments.back().is_none_or(|active| active.is_full(batch, topic)) {
            self.begin_segment(batch.base_offset)?;
        }
        match self.segments.back_mut() {
            Some(active) => active.append(batch, &self.directory),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn begin_segment(&mut self, base_offset: i64) -> io::Result<()> {
        let mut segment = Segment::new(&self.path, base_offset);
        segment.file(&self.directory)?;
        self.segments.push_back(segment);
        Ok(())
    }

    /// Has the next batch begin a segment, so that all there are may be replaced.
    pub(super) fn seal(&mut self, end_offset: i64) -> io::Result<()> {
        match self.segments.back() {
            Some(active) if active.bytes > 0 => self.begin_segment(end_offset),
            _ => Ok(()),
        }
    }

    /// Where the batch with this base offset is, by the number of its segment.
    pub(super) fn segment_of(&self, base_offset: i64) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.base_offset <= base_offset);
        after.checked_sub(1)
    }

    /// A part of the segment that holds this offset.
    pub(super) fn piece(&mut self, base_offset: i64, position: u64, bytes: usize) -> io::Result<Piece> {
        let segment = self.segment_of(base_offset).and_then(|index| self.segments.get_mut(index));
        let Some(segment) = segment else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(Piece { file: segment.file(&self.directory)?, position, bytes })
    }

    /// Deletes the segments that lie before the beginning of the log.
    pub(super) fn delete_until(&mut self, start_offset: i64, end_offset: i64, producers: &Producers) {
        if start_offset == end_offset
            && let Err(error) = self.seal(end_offset)
        {
            tracing::warn!(path = %self.path.display(), %error, "a segment of deleted records cannot be ended");
        }
        let after = |segments: &VecDeque<Segment>| segments.get(1).map(|segment| segment.base_offset);
        let mut is_saved = producers.is_empty();
        while after(&self.segments).is_some_and(|next| next <= start_offset) {
            // Their batches are what producers are remembered by after a restart.
            if !is_saved && let Err(error) = self.save_producers(producers, end_offset) {
                tracing::warn!(path = %self.path.display(), %error, "deleted records stay on the disk");
                return;
            }
            is_saved = true;
            let Some(segment) = self.segments.pop_front() else { return };
            if let Err(error) = fs::remove_file(&segment.path) {
                tracing::warn!(path = %segment.path.display(), %error, "a deleted segment cannot be removed");
            }
        }
    }

    /// Writes down what producers sent, since the batches that tell it are about to go.
    pub(super) fn save_producers(&self, producers: &Producers, end_offset: i64) -> io::Result<()> {
        replace_file(&self.path.join(PRODUCERS_FILE), &producers.to_bytes(end_offset))
    }

    /// Closes the files that were not used since the last time.
    pub(super) fn close_unused(&mut self) {
        for segment in &mut self.segments {
            if !std::mem::take(&mut segment.is_used) {
                segment.kept = None;
            }
        }
    }

    /// Puts a file that is complete in the place of segments that follow one another.
    pub(super) fn replace(&mut self, first: usize, count: usize, new: &Path, bytes: u64) -> io::Result<()> {
        let replaced: Vec<i64> =
            self.segments.range(first..first + count).map(|one| one.base_offset).collect();
        let (Some(base_offset), Some(last)) = (replaced.first().copied(), replaced.last().copied()) else {
            return Ok(());
        };
        let swap = files::swap_path(&self.path, base_offset, last);
        fs::rename(new, &swap)?;
        let first_timestamp = self.segments[first].first_timestamp;
        let path = finish_swap(&self.path, &swap, &replaced);
        self.segments.drain(first + 1..first + count);
        self.segments[first] = Segment::at(path, base_offset, bytes, first_timestamp);
        Ok(())
    }
}

/// Removes the segments that are replaced, and gives their replacement its name. If that fails, it is found by its old
/// name, and the rest is done at the next start.
pub(super) fn finish_swap(directory: &Path, swap: &Path, replaced: &[i64]) -> PathBuf {
    let finish = || -> io::Result<PathBuf> {
        let Some((first, others)) = replaced.split_first() else { return Ok(swap.to_owned()) };
        for other in others {
            fs::remove_file(files::segment_path(directory, *other))?;
        }
        let path = files::segment_path(directory, *first);
        fs::rename(swap, &path)?;
        Ok(path)
    };
    finish().unwrap_or_else(|error| {
        tracing::warn!(path = %swap.display(), %error, "a compacted segment keeps its temporary name");
        swap.to_owned()
    })
}

/// Reads parts of files, one after the other.
pub(super) fn read_all(pieces: &[Piece]) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(pieces.iter().map(|piece| piece.bytes).sum());
    let mut at = 0;
    for piece in pieces {
        files::read_at(&piece.file, &mut bytes[at..at + piece.bytes], piece.position)?;
        at += piece.bytes;
    }
    Ok(bytes.freeze())
}

/// Whether a directory holds nothing but what a partition's directory holds.
pub(crate) fn is_partition(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
    let is_named = name.is_some_and(|(topic, index)| !topic.is_empty() && index.parse::<u32>().is_ok());
    let is_ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            entry.file_name().to_str().is_some_and(|name| files::kind_of(name) != Kind::Foreign)
        })
    };
    is_named && fs::read_dir(path).is_ok_and(|mut entries| entries.all(is_ours))
}
