//! The directory of one cluster: data, settings, logs. Its owner holds a lock, so others see when it is dead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::seed::entropy;
use crate::{Error, Result};

/// Held by the owner for as long as it lives; the kernel lets go of it even when the owner is killed.
const LOCK_NAME: &str = "owner.lock";

/// A directory that is removed on drop or, if its owner was killed or wants its logs read, by a later run.
#[derive(Debug)]
pub(super) struct RunDirectory {
    path: PathBuf,
    keep: bool,
    _lock: File,
}

impl RunDirectory {
    /// Makes a new directory under `root/run`, after sweeping those of dead owners.
    pub(super) fn create(root: &Path) -> Result<Self> {
        let runs = root.join("run");
        sweep(&runs);
        let path = runs.join(format!("{}-{:08x}", std::process::id(), entropy() >> 32));
        let failed = |error| Error::io(format!("cannot set up `{}`", path.display()), error);

        // Locked under a name that the sweep ignores, so that it never sees a directory without a locked file.
        let hidden = path.with_extension("new");
        fs::create_dir_all(&hidden).map_err(failed)?;
        let lock = File::create(hidden.join(LOCK_NAME)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        fs::rename(&hidden, &path).map_err(failed)?;
        Ok(Self { path, keep: false, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the logs for a human; the next run sweeps them.
    pub(super) fn keep_until_next_run(&mut self) {
        self.keep = true;
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is swept by a later run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what dead owners left. Whatever fails here is left to the next sweep: it is only rubbish.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some() {
            continue;
        }
        let dead = File::open(path.join(LOCK_NAME)).is_ok_and(|lock| lock.try_lock().is_ok());
        if dead {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
