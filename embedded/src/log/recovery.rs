//! Reads a partition's files at the start of a broker: each batch's header is taken up, and its checksum verified.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::batch::{Batch, HEADER_BYTES};
use super::disk::{Disk, PRODUCERS_FILE, Segment, finish_swap};
use super::files::{self, Kind};
use super::partition::{Entry, Place};
use super::producers::Producers;
use super::visibility::Visibility;
use crate::error::StartError;
use crate::storage::remove_directory;

/// What the files of a partition say.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) entries: VecDeque<Entry>,
    /// After the last batch.
    pub(super) end_offset: i64,
    pub(super) producers: Producers,
    pub(super) visibility: Visibility,
    pub(super) next_horizon: Option<i64>,
    /// The epochs of leaders, and the offset of the first batch of each.
    pub(super) epochs: Vec<(i32, i64)>,
    /// Before it, batches say nothing of producers that is not known already.
    producers_until: i64,
}

/// How far the batches of a file can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// All before it is whole.
    pub(super) bytes: u64,
    /// Whether something whole follows what cannot be read.
    pub(super) has_hole: bool,
}

/// Reads the files of a partition, and makes them as they have to be.
pub(super) fn recover(disk: &mut Disk) -> Result<Recovered, StartError> {
    let mut recovered = Recovered::default();
    let bases = tidied(disk).map_err(|error| failed("cannot read the directory", &disk.path, error))?;
    recovered.read_producers(&disk.path)?;
    for (number, base_offset) in bases.iter().enumerate() {
        let path = files::segment_path(&disk.path, *base_offset);
        recovered.end_offset = recovered.end_offset.max(*base_offset);
        let is_last = number + 1 == bases.len();
        let segment = recovered.read_segment(&path, *base_offset, is_last)?;
        disk.segments.push_back(segment);
    }
    Ok(recovered)
}

/// Finishes or undoes what a kill has interrupted, and lists the segments in the order of their offsets.
fn tidied(disk: &Disk) -> io::Result<Vec<i64>> {
    let entries = match fs::read_dir(&disk.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut bases = Vec::new();
    let mut swaps = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.file_name().to_str().map_or(Kind::Foreign, files::kind_of) {
            Kind::Segment(base_offset) => bases.push(base_offset),
            Kind::Swap(first, last) => swaps.push((first, last)),
            Kind::Unfinished => fs::remove_file(entry.path())?,
            Kind::Producers | Kind::Foreign => {}
        }
    }
    bases.sort_unstable();
    for (first, last) in swaps {
        let present = bases.iter().copied().filter(|base| *base > first && *base <= last);
        let replaced: Vec<i64> = std::iter::once(first).chain(present).collect();
        let swap = files::swap_path(&disk.path, first, last);
        if finish_swap(&disk.path, &swap, &replaced) == swap {
            return Err(io::Error::other("an interrupted compaction cannot be finished"));
        }
        bases.retain(|base| *base < first || *base > last);
        bases.push(first);
        bases.sort_unstable();
    }
    Ok(bases)
}

impl Recovered {
    fn read_producers(&mut self, directory: &Path) -> Result<(), StartError> {
        let path = directory.join(PRODUCERS_FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|error| failed("cannot read", &path, error))?,
        };
        let Some((producers, until)) = Producers::from_bytes(&bytes) else {
            let message = format!(
                "`{}` is damaged; restore it from a copy, or delete it, after which a batch that a producer sends \
                 again may be stored twice",
                path.display()
            );
            return Err(StartError::storage(message, None));
        };
        self.producers = producers;
        self.producers_until = until;
        Ok(())
    }

    fn read_segment(&mut self, path: &Path, base_offset: i64, is_last: bool) -> Result<Segment, StartError> {
        let read_failed = |error| failed("cannot read", path, error);
        let file = File::open(path).map_err(read_failed)?;
        let length = file.metadata().map_err(read_failed)?.len();
        let mut first_timestamp = None;
        let take = |batch: Batch, position| {
            first_timestamp.get_or_insert(batch.max_timestamp);
            self.take(&batch, position);
        };
        let scanned = scan(file, length, base_offset, take).map_err(read_failed)?;
        if scanned.bytes < length {
            if scanned.has_hole || !is_last {
                return Err(damaged(path, scanned.bytes));
            }
            cut(path, scanned.bytes, length)
                .map_err(|error| failed("cannot cut off the end of", path, error))?;
        }
        Ok(Segment::at(path.to_owned(), base_offset, scanned.bytes, first_timestamp))
    }

    fn take(&mut self, batch: &Batch, position: u64) {
        let producer = batch.producer();
        if batch.is_control() {
            self.visibility.ended(producer, batch.is_commit(), batch.base_offset);
            if batch.base_offset >= self.producers_until {
                self.producers.ended(producer, batch.max_timestamp);
            }
        } else {
            if batch.is_transactional() {
                self.visibility.opened(producer.id, batch.base_offset);
            }
            if batch.is_idempotent() && batch.base_offset >= self.producers_until {
                self.producers.remember(batch);
            }
        }
        let epoch = batch.leader_epoch();
        if epoch > self.epochs.last().map_or(-1, |(last, _)| *last) {
            self.epochs.push((epoch, batch.base_offset));
        }
        self.next_horizon = self.next_horizon.into_iter().chain(batch.delete_horizon()).min();
        self.end_offset = batch.last_offset + 1;
        self.entries.push_back(Entry::new(batch, Place::File(position)));
    }
}

/// Walks the batches of a file, as far as they are whole and in order.
pub(super) fn scan(
    file: impl Read,
    length: u64,
    base_offset: i64,
    mut take: impl FnMut(Batch, u64),
) -> io::Result<Scanned> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut position = 0;
    let mut next_offset = base_offset;
    while position < length {
        let mut unread = BytesMut::new();
        match next_batch(&mut reader, length - position, &mut unread)? {
            Some(batch) if batch.base_offset >= next_offset => {
                next_offset = batch.last_offset.saturating_add(1);
                let bytes = batch.bytes.len() as u64;
                take(batch, position);
                position += bytes;
            }
            _ => {
                reader.read_to_end_of(&mut unread)?;
                let has_hole = holds_batch(&unread.freeze(), next_offset);
                return Ok(Scanned { bytes: position, has_hole });
            }
        }
    }
    Ok(Scanned { bytes: position, has_hole: false })
}

trait ReadToEndOf {
    fn read_to_end_of(&mut self, bytes: &mut BytesMut) -> io::Result<()>;
}

impl<R: Read> ReadToEndOf for R {
    fn read_to_end_of(&mut self, bytes: &mut BytesMut) -> io::Result<()> {
        let mut rest = Vec::new();
        self.read_to_end(&mut rest)?;
        bytes.extend_from_slice(&rest);
        Ok(())
    }
}

/// The next batch, or none, and then what was read of it.
fn next_batch(reader: &mut impl Read, left: u64, unread: &mut BytesMut) -> io::Result<Option<Batch>> {
    let header_bytes = HEADER_BYTES.min(usize::try_from(left).unwrap_or(HEADER_BYTES));
    unread.resize(header_bytes, 0);
    reader.read_exact(unread)?;
    let Some(size) = Batch::size_of_next(unread).filter(|size| *size as u64 <= left) else {
        return Ok(None);
    };
    unread.resize(size, 0);
    reader.read_exact(&mut unread[header_bytes..])?;
    let bytes = std::mem::take(unread).freeze();
    let batch = Batch::stored(bytes.clone());
    if batch.is_err() {
        unread.extend_from_slice(&bytes);
    }
    Ok(batch.ok())
}

/// Whether a whole batch that may follow is anywhere after the first byte.
fn holds_batch(bytes: &Bytes, next_offset: i64) -> bool {
    (1..bytes.len()).any(|at| {
        let Some(size) = Batch::size_of_next(&bytes[at..]) else { return false };
        let Some(end) = at.checked_add(size).filter(|end| *end <= bytes.len()) else { return false };
        Batch::stored(bytes.slice(at..end)).is_ok_and(|batch| batch.base_offset >= next_offset)
    })
}

fn cut(path: &Path, position: u64, length: u64) -> io::Result<()> {
    tracing::warn!(
        file = %path.display(), position, bytes = length - position,
        "cutting off the end of a log, which was not completely written"
    );
    File::options().write(true).open(path)?.set_len(position)
}

fn damaged(path: &Path, position: u64) -> StartError {
    let message = format!(
        "`{}` is damaged at byte {position}, and there are records after it; restore the file from a copy, or delete \
         it and all of its partition that is later, which loses their records",
        path.display()
    );
    StartError::storage(message, None)
}

fn failed(what: &str, path: &Path, error: io::Error) -> StartError {
    StartError::storage(format!("{what} `{}`", path.display()), Some(error))
}

/// Removes what a deleted topic of the same name may have left.
pub(super) fn clear(disk: &Disk) {
    remove_directory(&disk.path);
}
