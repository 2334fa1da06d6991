//! Files of segments: how they are named, and how many are kept open.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that are kept open; further ones are opened for each use, which costs a few microseconds.
const MAX_KEPT: usize = 256;

/// Digits of an offset in a file's name, as in Kafka.
const DIGITS: usize = 20;

/// How many files of segments are kept open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenFiles(Arc<AtomicUsize>);

/// A file that is kept open, and counted.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) file: Arc<File>,
    count: OpenFiles,
}

impl OpenFiles {
    /// Keeps a file open, unless there are too many.
    pub(super) fn keep(&self, file: &Arc<File>) -> Option<Kept> {
        let one_more = |kept: usize| (kept < MAX_KEPT).then_some(kept + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Kept { file: Arc::clone(file), count: self.clone() })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads exactly so much, from there.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, position)
}

/// Reads exactly so much, from there.
#[cfg(windows)]
pub(super) fn read_at(file: &File, mut bytes: &mut [u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        position += read as u64;
    }
    Ok(())
}

/// The name of the segment that begins with an offset.
pub(super) fn segment_path(directory: &Path, base_offset: i64) -> PathBuf {
    directory.join(format!("{base_offset:0DIGITS$}.log"))
}

/// The name of what is to replace the segments from one to another.
pub(super) fn swap_path(directory: &Path, first: i64, last: i64) -> PathBuf {
    directory.join(format!("{first:0DIGITS$}-{last:0DIGITS$}.swap"))
}

/// A file in a partition's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Segment(i64),
    /// A complete replacement of these segments, that a kill kept from taking their place.
    Swap(i64, i64),
    Producers,
    /// Something that was being written.
    Unfinished,
    Foreign,
}

/// What a file is, by its name.
pub(super) fn kind_of(name: &str) -> Kind {
    let offset = |digits: &str| {
        let valid = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| valid)
    };
    match name.split_once('.') {
        Some((base, "log")) => offset(base).map_or(Kind::Foreign, Kind::Segment),
        Some((range, "swap")) => {
            let bounds =
                range.split_once('-').and_then(|(first, last)| Some((offset(first)?, offset(last)?)));
            bounds.map_or(Kind::Foreign, |(first, last)| Kind::Swap(first, last))
        }
        Some((_, "unfinished")) => Kind::Unfinished,
        _ if name == super::disk::PRODUCERS_FILE => Kind::Producers,
        _ => Kind::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let cases = [
            ("00000000000000000042.log", Kind::Segment(42)),
            ("00000000000000000000-00000000000000000007.swap", Kind::Swap(0, 7)),
            ("00000000000000000000.unfinished", Kind::Unfinished),
            ("producers", Kind::Producers),
            ("42.log", Kind::Foreign),
            ("+0000000000000000042.log", Kind::Foreign),
            ("00000000000000000042.index", Kind::Foreign),
            ("99999999999999999999.log", Kind::Foreign),
        ];
        for (name, kind) in cases {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn only_so_many_files_are_kept_open() {
        let files = OpenFiles::default();
        let file = Arc::new(File::open(".").expect("the directory of the crate"));
        let kept: Vec<_> = (0..MAX_KEPT + 5).filter_map(|_| files.keep(&file)).collect();
        assert_eq!(kept.len(), MAX_KEPT);
        drop(kept);
        assert!(files.keep(&file).is_some());
    }
}
