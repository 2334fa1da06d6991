//! The file of a ledger: appended line by line, read back without what a kill cut short.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Error, ErrorKind, LineReader, Result};

/// Put behind a line that a kill has cut short, by the next writer that opens the file.
const TORN: &str = "\u{1}torn\n";

/// A file to which each write appends.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    path: PathBuf,
}

impl AppendFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(format!("cannot open the ledger `{}`", path.display()), error);
        let mut file = File::options().create(true).read(true).append(true).open(path).map_err(failed)?;
        if ends_inside_a_line(&mut file).map_err(failed)? {
            file.write_all(TORN.as_bytes()).map_err(failed)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// One `write(2)` for the whole line. A short one, as a full disk makes, is an error: a second write could land
    /// behind another process's line.
    pub(super) fn append(&self, line: String) -> Result<()> {
        let line = line.into_bytes();
        let failed =
            |reason: String| Error::io(format!("cannot append to `{}`", self.path.display()), reason);
        let written = (&self.file).write(&line).map_err(|error| failed(error.to_string()))?;
        if written == line.len() {
            return Ok(());
        }
        Err(failed(format!("only {written} of {} bytes were written", line.len())))
    }
}

fn ends_inside_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Reads every whole line with `parse`.
pub(super) fn load<T>(path: &Path, parse: impl Fn(&mut LineReader<'_>) -> Option<T>) -> Result<Vec<T>> {
    let bytes =
        std::fs::read(path).map_err(|error| Error::io(format!("cannot read `{}`", path.display()), error))?;
    // Whatever follows the last line feed was cut short.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.ends_with(TORN.trim_end()));
    lines
        .map(|(index, line)| {
            let mut fields = LineReader::new(line);
            parse(&mut fields).filter(|_| fields.is_finished()).ok_or_else(|| {
                let place = format!("{}:{}", path.display(), index + 1);
                Error::new(ErrorKind::Parse, format!("{place}: `{line}` is not a line of this ledger"))
            })
        })
        .collect()
}
