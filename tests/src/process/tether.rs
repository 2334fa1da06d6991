//! Children that die with the test process, even when it is killed.

use std::ffi::OsStr;
use std::process::{Child, Command};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{Error, ErrorKind, Result};

/// One request to the keeper thread: what to start, and where to answer.
type Request = (Command, SyncSender<std::io::Result<Child>>);

/// A command for `program` that, started by [`spawn_tethered`], the kernel kills when this process ends.
pub(crate) fn tethered(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command made by [`tethered`].
pub(crate) fn spawn_tethered(command: Command) -> Result<Child> {
    let gone = || Error::new(ErrorKind::Io, "the thread that starts processes has ended");

    let (answer, answered) = sync_channel(1);
    keeper()?.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer)).map_err(|_| gone())?;
    let started = answered.recv().map_err(|_| gone())?;
    started.map_err(|error| {
        let message =
            format!("cannot start `setpriv` (package util-linux), which ties children to a test: {error}");
        Error::new(ErrorKind::Unavailable, message)
    })
}

/// The thread that forks. `PR_SET_PDEATHSIG` fires when the forking *thread* ends; a test's own thread would take its
/// broker along at the end of the first test.
fn keeper() -> Result<&'static Mutex<SyncSender<Request>>> {
    static KEEPER: OnceLock<Result<Mutex<SyncSender<Request>>>> = OnceLock::new();
    KEEPER
        .get_or_init(|| {
            let (requests, requested) = sync_channel::<Request>(16);
            std::thread::Builder::new()
                .name("process-keeper".to_owned())
                .spawn(move || {
                    for (mut command, answer) in requested {
                        // A requester that has gone away drops the child's handle here, and the child is tethered anyway.
                        let _ = answer.send(command.spawn());
                    }
                })
                .map_err(|error| Error::io("cannot start the thread that starts processes", error))?;
            Ok(Mutex::new(requests))
        })
        .as_ref()
        .map_err(|error| Error::new(error.kind(), error.to_string()))
}
