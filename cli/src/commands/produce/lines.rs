//! Input as blocks of whole lines, read ahead on a thread of its own, so that an end of the command need not wait for
//! somebody to type.

use std::io::{self, Read};
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::error::CliError;

/// What is read at once. Records are slices of it, so that a line costs no copy.
const BLOCK_BYTES: usize = 256 * 1024;

/// How many blocks are read ahead.
const BLOCKS: usize = 4;

/// The longest line; no producer takes one that long.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whole lines.
pub(super) struct Block {
    bytes: Bytes,
    /// The number of the first, counted from 1.
    pub(super) first_line: u64,
    /// Where the block ends in the input.
    pub(super) end_bytes: u64,
}

impl Block {
    /// The lines, without what ends them.
    pub(super) fn lines(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = self.bytes.clone();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = memchr::memchr(b'\n', &rest);
            let mut line = rest.split_to(end.unwrap_or(rest.len()));
            if end.is_some() {
                rest.advance(1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
            }
            Some(line)
        })
    }
}

/// The blocks of an input.
pub(super) struct Lines(mpsc::Receiver<io::Result<Block>>);

impl Lines {
    pub(super) fn read(input: Box<dyn Read + Send>) -> Result<Self, CliError> {
        let (sender, receiver) = mpsc::channel(BLOCKS);
        // Not joined: it may wait for input that never comes, and ends with the process.
        let thread = thread::Builder::new().name("lines".to_owned());
        let spawned = thread.spawn(move || {
            let mut reader = Reader { input, buffer: BytesMut::new(), line: 1, end_bytes: 0, ended: false };
            while let Some(block) = reader.next() {
                if sender.blocking_send(block).is_err() {
                    return;
                }
            }
        });
        spawned.map_err(|error| CliError::failed(format!("cannot read ahead: {error}")))?;
        Ok(Self(receiver))
    }

    /// The next block; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Result<Option<Block>, CliError> {
        self.0.recv().await.transpose().map_err(CliError::Input)
    }
}

struct Reader {
    input: Box<dyn Read + Send>,
    /// The beginning of a line whose end has not been read.
    buffer: BytesMut,
    line: u64,
    end_bytes: u64,
    ended: bool,
}

impl Reader {
    fn next(&mut self) -> Option<io::Result<Block>> {
        while !self.ended {
            let begun = self.buffer.len();
            if begun > LINE_BYTES_MAX {
                self.ended = true;
                let message = format!("line {} has more than {LINE_BYTES_MAX} bytes", self.line);
                return Some(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
            }
            self.buffer.resize(begun + BLOCK_BYTES, 0);
            let count = match self.input.read(&mut self.buffer[begun..]) {
                Ok(count) => count,
                // A signal came in between: nothing is at its end.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(begun);
                    continue;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            };
            self.ended = count == 0;
            self.buffer.truncate(begun + count);
            let last = memchr::memrchr(b'\n', &self.buffer[begun..]).map(|at| begun + at + 1);
            let whole = if self.ended { self.buffer.len() } else { last.unwrap_or(0) };
            if whole > 0 {
                return Some(Ok(self.block(whole)));
            }
        }
        None
    }

    fn block(&mut self, whole: usize) -> Block {
        let bytes = self.buffer.split_to(whole).freeze();
        self.end_bytes += whole as u64;
        let first_line = self.line;
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Block { bytes, first_line, end_bytes: self.end_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    /// Is interrupted before each read.
    struct Interrupted(Trickle, bool);

    impl Read for Interrupted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(into) }
        }
    }

    #[test]
    fn a_signal_is_no_end() {
        let input = Box::new(Interrupted(Trickle(b"one\ntwo\n".to_vec(), 2), false));
        let mut reader = Reader { input, buffer: BytesMut::new(), line: 1, end_bytes: 0, ended: false };
        let mut found = Vec::new();
        while let Some(block) = reader.next() {
            found.extend(block.expect("nothing fails").lines().map(|line| line.to_vec()));
        }
        assert_eq!(found, [b"one".to_vec(), b"two".to_vec()]);
    }

    fn lines(input: &[u8], step: usize) -> Vec<(u64, Vec<u8>)> {
        let input = Box::new(Trickle(input.to_vec(), step));
        let mut reader = Reader { input, buffer: BytesMut::new(), line: 1, end_bytes: 0, ended: false };
        let mut found = Vec::new();
        while let Some(block) = reader.next() {
            let block = block.expect("nothing fails");
            let numbers = block.first_line..;
            found.extend(numbers.zip(block.lines().map(|line| line.to_vec())));
        }
        found
    }

    #[test]
    fn lines_are_whole_and_numbered_however_they_arrive() {
        let input = b"one\r\n\ntwo\rx\nthr\xffee";
        let expected: Vec<(u64, Vec<u8>)> = vec![
            (1, b"one".to_vec()),
            (2, b"".to_vec()),
            (3, b"two\rx".to_vec()),
            (4, b"thr\xffee".to_vec()),
        ];
        for step in 1..=input.len() {
            assert_eq!(lines(input, step), expected, "{step} bytes at a time");
        }
        assert_eq!(lines(b"", 1), []);
        assert_eq!(lines(b"\n", 1), [(1, Vec::new())]);
    }
}
