//! A program under test as a child process: output lines with their times, signals, exit status, memory.
//!
//! 1. No child outlives the test process, however that one ends: children are started through `setpriv --pdeathsig
//!    KILL`, by a thread that lives as long as the process (the kernel watches the thread that forked, not the process).
//! 2. Dropping a [`Process`] kills it, also when a test panics.
//! 3. Waiting is on conditions with a deadline, and a failed wait shows the last lines of the output.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, ErrorKind, Result};

mod build;
mod tether;

pub use build::workspace_binary;
pub(crate) use tether::{spawn_tethered, tethered};

/// How many lines of output a failure shows.
const SHOWN_LINES: usize = 40;

/// A program to run, with its arguments and environment.
///
/// ```
/// use kafka_boot_tests::process::Program;
/// use std::time::Duration;
///
/// let mut child = Program::new("sh").args(["-c", "echo ready; exit 3"]).start().unwrap();
/// child.wait_for_line(Duration::from_secs(5), |line| line == "ready").unwrap();
/// assert_eq!(child.wait(Duration::from_secs(5)).unwrap().code(), Some(3));
/// ```
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line a child wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the harness read it.
    pub at: Instant,
    /// Where it came from.
    pub stream: Stream,
    /// The text without its line end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// The signals a test sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`: please stop.
    Terminate,
    /// `SIGINT`: Ctrl-C.
    Interrupt,
    /// `SIGKILL`: a crash.
    Kill,
    /// `SIGSTOP`: freeze, as a long pause of the machine does.
    Stop,
    /// `SIGCONT`: thaw.
    Continue,
}

/// A running (or ended) child. Killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<OutputState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct OutputState {
    lines: Vec<Line>,
    streams_ended: usize,
}

impl Program {
    /// The program at `path`, or found by that name in `PATH`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), args: Vec::new(), environment: Vec::new(), directory: None }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable on top of the inherited ones.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory; the default is that of the test process.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.directory = Some(path.as_ref().to_owned());
        self
    }

    /// Starts the program with captured output and no standard input.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when `setpriv` is missing. A program that is missing ends at once with
    /// exit status 127 and a line that says so, as in a shell.
    pub fn start(self) -> Result<Process> {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned();
        let mut command = tethered(&self.path);
        command.args(self.args).envs(self.environment);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn_tethered(command)?;

        let output = Arc::new(Output::default());
        let mut readers = Vec::with_capacity(2);
        if let Some(stdout) = child.stdout.take() {
            readers.push(read_lines(stdout, Stream::Out, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(read_lines(stderr, Stream::Err, Arc::clone(&output)));
        }
        Ok(Process { name, child, output, readers, status: None })
    }
}

impl Process {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far, in the order they were read.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lock().lines.clone()
    }

    /// Everything one stream said so far, lines joined by line feeds.
    pub fn text(&self, stream: Stream) -> String {
        let state = self.output.lock();
        let lines: Vec<&str> =
            state.lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// Waits until a line, past or future, matches, and returns it.
    ///
    /// Fails with [`ErrorKind::Timeout`] at the deadline and with [`ErrorKind::Tool`] as soon as both streams have
    /// ended without such a line; either text shows the end of the output.
    pub fn wait_for_line(&self, deadline: Duration, matches: impl FnMut(&str) -> bool) -> Result<Line> {
        self.wait_for_line_after(0, deadline, matches).map(|(_, line)| line)
    }

    /// As [`Process::wait_for_line`], ignoring the first `skip` lines; also returns the number of lines up to and
    /// including the match, which is what to skip in order to wait for the next one.
    pub fn wait_for_line_after(
        &self,
        skip: usize,
        deadline: Duration,
        mut matches: impl FnMut(&str) -> bool,
    ) -> Result<(usize, Line)> {
        let until = Instant::now() + deadline;
        let mut looked_at = skip;
        let mut state = self.output.lock();
        loop {
            while let Some(line) = state.lines.get(looked_at) {
                looked_at += 1;
                if matches(&line.text) {
                    return Ok((looked_at, line.clone()));
                }
            }
            let ended = state.streams_ended >= 2;
            let left = until.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                let (kind, reason) = if ended {
                    (ErrorKind::Tool, "closed its output before".to_owned())
                } else {
                    (ErrorKind::Timeout, format!("did not within {:.1} s show", deadline.as_secs_f64()))
                };
                let shown = tail(&state.lines);
                return Err(Error::new(
                    kind,
                    format!("`{}` {reason} the expected line; its output ends:\n{shown}", self.name),
                ));
            }
            state = self.output.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal. Fails with [`ErrorKind::Unsupported`] when the child has already been waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, format!("`{}` has already ended", self.name)));
        }
        send_signal(self.child.id(), signal)
    }

    /// Whether the child still runs; a stopped one does.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.try_wait()?.is_none())
    }

    /// Waits for the end of the child and of its output.
    ///
    /// Fails with [`ErrorKind::Timeout`], and leaves the child running, when it does not end before the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("`{}` to exit", self.name);
        let waited = crate::wait::poll(deadline, &what, || match self.try_wait() {
            Ok(status) => status.map(Ok),
            Err(error) => Some(Err(error)),
        });
        match waited {
            Ok(status) => {
                let status = status?;
                self.join_readers();
                Ok(status)
            }
            Err(error) => {
                let shown = tail(&self.output.lock().lines);
                Err(Error::new(error.kind(), format!("{error}; its output ends:\n{shown}")))
            }
        }
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        resident_bytes(self.child.id())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .map_err(|error| Error::io(format!("cannot wait for `{}`", self.name), error))?;
        }
        Ok(self.status)
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            // A reader only reads and pushes; should it panic, the lines it has read are still there to be shown.
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the child has ended, and then there is nothing left to do. The readers are not
        // joined: a grandchild may hold the pipe open, and they end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends `signal` to the process with this id.
pub fn send_signal(pid: u32, signal: Signal) -> Result<()> {
    let target = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("`{pid}` is not a process id")))?;
    let number = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
    };
    rustix::process::kill_process(target, number)
        .map_err(|error| Error::io(format!("cannot send {signal:?} to process `{pid}`"), error))
}

/// Resident memory of any process, in bytes, from `VmRSS` of `/proc/<pid>/status`.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// assert!(kafka_boot_tests::process::resident_bytes(std::process::id()).unwrap() > 100_000);
/// ```
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status =
        std::fs::read_to_string(&path).map_err(|error| Error::io(format!("cannot read `{path}`"), error))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| {
            Error::new(ErrorKind::Parse, format!("`{path}` has no `VmRSS`: the process has ended"))
        })
}

fn read_lines(source: impl Read + Send + 'static, stream: Stream, output: Arc<Output>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut bytes = Vec::new();
        while matches!(source.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                bytes.pop();
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            output.lock().lines.push(Line { at: Instant::now(), stream, text });
            output.changed.notify_all();
        }
        output.lock().streams_ended += 1;
        output.changed.notify_all();
    })
}

fn tail(lines: &[Line]) -> String {
    let start = lines.len().saturating_sub(SHOWN_LINES);
    let shown: Vec<String> = lines[start..].iter().map(|line| format!("  {}", line.text)).collect();
    if shown.is_empty() { "  (no output)".to_owned() } else { shown.join("\n") }
}
