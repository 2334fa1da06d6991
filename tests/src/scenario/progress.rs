//! How far a ledger has grown.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::{Error, Result};

/// Counts the lines of a growing file, reading each byte once.
#[derive(Debug)]
pub(super) struct Progress {
    path: PathBuf,
    read_to: u64,
    lines: u64,
}

impl Progress {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, read_to: 0, lines: 0 }
    }

    pub(super) fn count(&mut self) -> Result<u64> {
        let failed = |error| Error::io("cannot follow the ledger", error);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(failed(error)),
        };
        file.seek(SeekFrom::Start(self.read_to)).map_err(failed)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Ok(self.lines);
            }
            self.read_to += count as u64;
            self.lines += buffer[..count].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        }
    }
}
