//! The journal: a file of frames, each with a checksum, and each written by one `write`.
//!
//! A frame is its length and its checksum, four bytes each and little-endian, and records. What a frame says counts as a
//! whole, or, if it was cut off, not at all. When most of the file is history, it is replaced by what it comes to.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::image::Image;
use super::record::{Reader, Record, Writer};
use crate::error::StartError;

const NAME: &str = "journal";

/// Length and checksum.
const FRAME_HEADER: usize = 8;

/// Below this size a journal is not rewritten.
const SMALL: u64 = 1024 * 1024;

/// Frames of a rewritten journal; one record is always whole.
const FRAME_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// Its length when it was rewritten last.
    compact_length: u64,
    image: Image,
    /// A failed write may have left a part of a frame, which only a rewrite gets rid of.
    is_broken: bool,
}

/// What can be read of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) image: Image,
    /// All before it is whole.
    pub(super) length: usize,
    /// Whether a whole frame follows what cannot be read.
    pub(super) has_hole: bool,
}

impl Journal {
    pub(super) fn open(directory: &Path) -> Result<Self, StartError> {
        let path = directory.join(NAME);
        let failed = |error| StartError::storage(format!("cannot open `{}`", path.display()), Some(error));
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed)?,
        };
        let parsed = parse(&bytes);
        if parsed.has_hole {
            return Err(damaged(&path, parsed.length));
        }
        if parsed.length < bytes.len() {
            tracing::warn!(
                file = %path.display(), position = parsed.length, bytes = bytes.len() - parsed.length,
                "cutting off the end of the journal, which was not completely written"
            );
        }
        let file = File::options().append(true).create(true).open(&path).map_err(failed)?;
        file.set_len(parsed.length as u64).map_err(failed)?;
        let length = parsed.length as u64;
        let mut journal =
            Self { path, file, length, compact_length: 0, image: parsed.image, is_broken: false };
        if length > SMALL {
            journal.rewrite().map_err(|error| {
                StartError::storage(format!("cannot rewrite `{}`", journal.path.display()), Some(error))
            })?;
        }
        Ok(journal)
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// Writes records as one frame.
    pub(super) fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        if self.is_broken {
            self.rewrite()?;
        }
        if records.is_empty() {
            return Ok(());
        }
        let frame = frame_of(&records);
        if let Err(error) = self.file.write_all(&frame) {
            self.is_broken = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += frame.len() as u64;
        for record in records {
            self.image.apply(record);
        }
        if self.length > SMALL.max(self.compact_length.saturating_mul(3))
            && let Err(error) = self.rewrite()
        {
            // What is written is written; it is tried again when as much has been added.
            self.compact_length = self.length;
            tracing::warn!(file = %self.path.display(), %error, "the journal cannot be rewritten");
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let unfinished = self.path.with_extension("unfinished");
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        let mut size = 0;
        for record in self.image.records() {
            let mut writer = Writer::default();
            record.write_to(&mut writer);
            size += writer.0.len();
            records.push(record);
            if size >= FRAME_BYTES {
                bytes.extend_from_slice(&frame_of(&std::mem::take(&mut records)));
                size = 0;
            }
        }
        if !records.is_empty() {
            bytes.extend_from_slice(&frame_of(&records));
        }
        // Opened for appending before it gets its name, since the handle stays the file's.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().append(true).create(true).open(&unfinished)?;
        file.write_all(&bytes)?;
        fs::rename(&unfinished, &self.path)?;
        self.file = file;
        self.length = bytes.len() as u64;
        self.compact_length = self.length;
        self.is_broken = false;
        Ok(())
    }
}

fn damaged(path: &Path, position: usize) -> StartError {
    let message = format!(
        "`{}` is damaged at byte {position}, and what follows is not; restore the file from a copy, or cut it there \
         with `truncate -s {position}`, which loses the topics, commits and transactions written after it",
        path.display()
    );
    StartError::storage(message, None)
}

fn frame_of(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer(vec![0; FRAME_HEADER]);
    for record in records {
        record.write_to(&mut writer);
    }
    let mut frame = writer.0;
    let length = u32::try_from(frame.len() - FRAME_HEADER).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = checksum(length, &frame[FRAME_HEADER..]).to_le_bytes();
    frame[..4].copy_from_slice(&length);
    frame[4..FRAME_HEADER].copy_from_slice(&checksum);
    frame
}

fn checksum(length: [u8; 4], records: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), records)
}

/// The records of the frame that these bytes begin with, and its size.
fn read_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let records = rest.get(..size).filter(|records| !records.is_empty())?;
    (checksum(*length, records) == u32::from_le_bytes(*expected)).then_some((records, FRAME_HEADER + size))
}

fn read_records(bytes: &[u8]) -> Option<Vec<Record>> {
    let mut reader = Reader(bytes);
    let mut records = Vec::new();
    while !reader.0.is_empty() {
        records.push(Record::read_from(&mut reader)?);
    }
    Some(records)
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed { image: Image::default(), length: 0, has_hole: false };
    while let Some((records, size)) = read_frame(&bytes[parsed.length..]) {
        let Some(records) = read_records(records) else {
            // Whole, and yet not understood: nothing that a kill leaves behind.
            parsed.has_hole = true;
            return parsed;
        };
        for record in records {
            parsed.image.apply(record);
        }
        parsed.length += size;
    }
    let unread = parsed.length + 1..bytes.len();
    parsed.has_hole = unread.into_iter().any(|at| read_frame(&bytes[at..]).is_some());
    parsed
}
