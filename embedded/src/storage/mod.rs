//! The data directory: what a broker writes down, so that it is there after a restart or a kill.
//!
//! ```text
//! .lock                 held while a broker runs on the directory
//! format                the version of all that follows
//! journal               topics, committed offsets, transactions: see `journal`
//! <topic>-<partition>/  the records: see `crate::log::disk`
//! ```
//!
//! 1. What is acknowledged has been handed to the operating system by one `write` before, so a kill does not undo it.
//! 2. What cannot be read is cut off only where nothing readable follows; anywhere else it is an error.
//! 3. The journal's lock is the last one taken: nothing is called from under it.

mod image;
mod journal;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kafka_protocol::error::ResponseError;

use crate::error::StartError;
use crate::log::files::OpenFiles;
pub(crate) use image::{Image, StoredGroup};
use journal::Journal;
pub(crate) use record::{OpenTransaction, Reader, Record, StoredTransaction, Writer};

/// The one line of the file `format`.
const FORMAT: &str = "kafka-boot-embedded data directory, format 1";
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = ".lock";

/// A data directory that this broker alone has open.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    journal: Mutex<Journal>,
    pub(crate) open_files: OpenFiles,
    /// Released by the system when it is closed, however the process ends.
    _lock: File,
}

impl DataDirectory {
    /// Opens a directory, which is created if need be. The directory's journal has been read when this returns.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed =
            |what: &str, error| StartError::storage(format!("{what} `{}`", path.display()), Some(error));
        fs::create_dir_all(path).map_err(|error| failed("cannot create the data directory", error))?;
        let path = path.canonicalize().map_err(|error| failed("cannot find the data directory", error))?;
        let lock = lock(&path)?;
        check_format(&path)?;
        let journal = Journal::open(&path)?;
        let directory =
            Self { path, journal: Mutex::new(journal), open_files: OpenFiles::default(), _lock: lock };
        directory.remove_orphans();
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes records down, all or none.
    ///
    /// # Errors
    /// `KAFKA_STORAGE_ERROR` if they cannot be written, which is logged with its cause.
    pub(crate) fn write(&self, records: Vec<Record>) -> Result<(), ResponseError> {
        self.journal().write(records).map_err(|error| {
            tracing::error!(
                path = %self.path.display(), %error,
                "the journal of the data directory cannot be written; free the disk, or restart on another directory"
            );
            ResponseError::KafkaStorageError
        })
    }

    /// Looks at what the journal says.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Image) -> T) -> T {
        at(self.journal().image())
    }

    /// Where a partition's records are.
    pub(crate) fn partition_path(&self, topic: &str, index: i32) -> PathBuf {
        self.path.join(format!("{topic}-{index}"))
    }

    /// Removes the directories of deleted topics, which a kill may have left behind.
    fn remove_orphans(&self) {
        let known: BTreeSet<PathBuf> = self.look(|image| {
            let topics = image.topics.values();
            let paths = topics.flat_map(|topic| {
                (0..).zip(&topic.replicas).map(|(index, _)| self.partition_path(&topic.name, index))
            });
            paths.collect()
        });
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if !known.contains(&path) && crate::log::disk::is_partition(&path) {
                tracing::info!(path = %path.display(), "removing the records of a deleted topic");
                remove_directory(&path);
            }
        }
    }
}

/// Removes what is left of a partition.
pub(crate) fn remove_directory(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a deleted partition's directory cannot be removed");
        }
        _ => {}
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

fn lock(path: &Path) -> Result<File, StartError> {
    let file_path = path.join(LOCK_FILE);
    let file =
        File::options().create(true).truncate(false).write(true).open(&file_path).map_err(|error| {
            StartError::storage(format!("cannot open the lock `{}`", file_path.display()), Some(error))
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::in_use(format!(
            "another broker runs on the data directory `{}`; stop it, or choose another directory",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(StartError::storage(format!("cannot lock `{}`", file_path.display()), Some(error)))
        }
    }
}

fn check_format(path: &Path) -> Result<(), StartError> {
    let file_path = path.join(FORMAT_FILE);
    let failed = |error| StartError::storage(format!("cannot read `{}`", file_path.display()), Some(error));
    match fs::read(&file_path) {
        Ok(found) if found.trim_ascii_end() == FORMAT.as_bytes() => return Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found[..found.len().min(100)]).into_owned();
            return Err(StartError::storage(
                format!(
                    "`{}` is {found:?}, and this version knows only {FORMAT:?}; use the version that wrote it, or \
                     another directory",
                    file_path.display()
                ),
                None,
            ));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) => {}
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !matches!(name.to_str(), Some(LOCK_FILE | "format.unfinished" | "lost+found")) {
            return Err(StartError::storage(
                format!(
                    "`{}` holds `{}` and no file `{FORMAT_FILE}`, so it is no data directory of this broker; choose \
                     an empty one",
                    path.display(),
                    name.display()
                ),
                None,
            ));
        }
    }
    replace_file(&file_path, format!("{FORMAT}\n").as_bytes())
        .map_err(|error| StartError::storage(format!("cannot write `{}`", file_path.display()), Some(error)))
}

/// The data directory, where there is one, and nothing to do where there is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage(pub(crate) Option<Arc<DataDirectory>>);

impl Storage {
    /// Writes records down before what they say is acknowledged.
    pub(crate) fn write(&self, records: impl FnOnce() -> Vec<Record>) -> Result<(), ResponseError> {
        match &self.0 {
            None => Ok(()),
            Some(directory) => directory.write(records()),
        }
    }
}
