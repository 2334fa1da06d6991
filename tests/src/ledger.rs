//! Append-only evidence: what was attempted, acknowledged, assigned and committed, and when.
//!
//! 1. Each record of evidence is one line, written by one `write(2)` to a file opened with `O_APPEND`, so the lines of
//!    several threads and processes do not mix, and what was written survives the kill of its writer.
//! 2. A handler records its attempt *before* it returns. What the ledger does not have, nobody may claim as done.
//! 3. Times are nanoseconds of the machine's monotonic clock ([`now_ns`]): comparable between processes, and not moved
//!    when the wall clock is.
//! 4. A line cut short by a kill is sealed when the file is opened again, and ignored by readers.

use std::fmt;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

mod append;
mod line;

use append::AppendFile;
use line::{LineReader, LineWriter};

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The handler returned success.
    Done,
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// A policy decided not to handle the record, and counted that.
    Skipped,
}

/// One attempt of a handler, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The assignment epoch under which the record was dispatched.
    pub generation: i64,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key, if any.
    pub key: Option<&'a str>,
    /// The record's place among those of its key, from its value.
    pub seq: u64,
    /// The record's number, unique within a run, from its value.
    pub uid: u64,
    /// 1 for the first attempt under this dispatch.
    pub attempt: u32,
    /// When the attempt began. Records of one batch share it.
    pub start_ns: u64,
    /// When the attempt ended.
    pub end_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// One attempt of a handler, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields of `Attempt`, which documents them, and the two of `Ledger::open`"
)]
pub struct Entry {
    pub run: String,
    pub instance: String,
    pub generation: i64,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub seq: u64,
    pub uid: u64,
    pub attempt: u32,
    pub start_ns: u64,
    pub end_ns: u64,
    pub outcome: Outcome,
}

/// The ledger of one instance of a service; several instances may share the file.
///
/// ```
/// use kafka_boot_tests::ledger::{Attempt, Ledger, Outcome, load, now_ns};
///
/// let path = std::env::temp_dir().join(format!("ledger-{}", std::process::id()));
/// let ledger = Ledger::open(&path, "run-1", "instance-a").unwrap();
/// let start_ns = now_ns();
/// ledger.record(&Attempt {
///     generation: 1, topic: "orders", partition: 0, offset: 7, key: Some("k"), seq: 0, uid: 41, attempt: 1,
///     start_ns, end_ns: now_ns(), outcome: Outcome::Done,
/// }).unwrap();
/// assert_eq!(load(&path).unwrap()[0].uid, 41);
/// # std::fs::remove_file(path).unwrap();
/// ```
#[derive(Debug)]
pub struct Ledger {
    file: AppendFile,
    run: String,
    instance: String,
}

/// A record that the broker acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// The record's number, unique within a run.
    pub uid: u64,
    /// The topic.
    pub topic: String,
    /// The partition it went to.
    pub partition: i32,
    /// The offset it got.
    pub offset: i64,
    /// The key, if any.
    pub key: Option<String>,
    /// Its place among the records of its key.
    pub seq: u64,
}

/// The ledger of a producer: one line an acknowledged record.
#[derive(Debug)]
pub struct ProducerLedger {
    file: AppendFile,
}

/// What happened to a partition inside a service, from the framework's side channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The partition was assigned under this generation.
    Assigned,
    /// The revocation of the partition was handled: the callback has returned.
    Revoked,
    /// The partition was lost without a chance to commit: the callback has returned.
    Lost,
    /// The result of the record at this offset was accepted by the tracker.
    Settled(i64),
    /// A commit of this offset was sent.
    CommitSent(i64),
    /// The broker accepted a commit of this offset.
    CommitAccepted(i64),
    /// The broker refused a commit of this offset.
    CommitRefused(i64),
}

/// One event of the side channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at_ns: u64,
    /// In which instance of the service.
    pub instance: String,
    /// Under which assignment epoch.
    pub generation: i64,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What happened.
    pub kind: EventKind,
}

/// The side channel of assignments and commits, as a file.
#[derive(Debug)]
pub struct EventLog {
    file: AppendFile,
}

/// The machine's monotonic clock, in nanoseconds. Every process of a run sees the same one.
///
/// ```
/// use kafka_boot_tests::ledger::now_ns;
/// assert!(now_ns() <= now_ns());
/// ```
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

impl Ledger {
    /// Opens or creates the file. `run` and `instance` go into every line.
    pub fn open(path: impl AsRef<Path>, run: &str, instance: &str) -> Result<Self> {
        let file = AppendFile::open(path.as_ref())?;
        Ok(Self { file, run: run.to_owned(), instance: instance.to_owned() })
    }

    /// Appends one attempt; on return the line is with the kernel, and a kill of this process cannot take it back.
    pub fn record(&self, attempt: &Attempt<'_>) -> Result<()> {
        let mut line = LineWriter::new();
        line.text(&self.run).text(&self.instance).number(attempt.generation).text(attempt.topic);
        line.number(attempt.partition).number(attempt.offset).optional_text(attempt.key);
        line.number(attempt.seq).number(attempt.uid).number(attempt.attempt);
        line.number(attempt.start_ns).number(attempt.end_ns).text(attempt.outcome.name());
        self.file.append(line.finish())
    }
}

/// Reads a ledger of attempts, of all runs and instances in the file.
///
/// Fails with [`ErrorKind::Parse`] at a line that is whole and still makes no sense.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Entry>> {
    append::load(path.as_ref(), |fields| {
        Some(Entry {
            run: fields.text()?,
            instance: fields.text()?,
            generation: fields.number()?,
            topic: fields.text()?,
            partition: fields.number()?,
            offset: fields.number()?,
            key: fields.optional_text()?,
            seq: fields.number()?,
            uid: fields.number()?,
            attempt: fields.number()?,
            start_ns: fields.number()?,
            end_ns: fields.number()?,
            outcome: Outcome::from_name(&fields.text()?)?,
        })
    })
}

impl ProducerLedger {
    /// Opens or creates the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        AppendFile::open(path.as_ref()).map(|file| Self { file })
    }

    /// Appends one acknowledged record.
    pub fn record(&self, produced: &Produced) -> Result<()> {
        let mut line = LineWriter::new();
        line.number(produced.uid).text(&produced.topic).number(produced.partition).number(produced.offset);
        line.optional_text(produced.key.as_deref()).number(produced.seq);
        self.file.append(line.finish())
    }

    /// Reads the file back, as [`load`] does.
    pub fn load(path: impl AsRef<Path>) -> Result<Vec<Produced>> {
        append::load(path.as_ref(), |fields| {
            Some(Produced {
                uid: fields.number()?,
                topic: fields.text()?,
                partition: fields.number()?,
                offset: fields.number()?,
                key: fields.optional_text()?,
                seq: fields.number()?,
            })
        })
    }
}

impl EventLog {
    /// Opens or creates the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        AppendFile::open(path.as_ref()).map(|file| Self { file })
    }

    /// Appends one event.
    pub fn record(&self, event: &Event) -> Result<()> {
        let (name, offset) = event.kind.parts();
        let mut line = LineWriter::new();
        line.number(event.at_ns).text(&event.instance).number(event.generation).text(&event.topic);
        line.number(event.partition).text(name).number(offset.unwrap_or(-1));
        self.file.append(line.finish())
    }

    /// Reads the file back, as [`load`] does.
    pub fn load(path: impl AsRef<Path>) -> Result<Vec<Event>> {
        append::load(path.as_ref(), |fields| {
            Some(Event {
                at_ns: fields.number()?,
                instance: fields.text()?,
                generation: fields.number()?,
                topic: fields.text()?,
                partition: fields.number()?,
                kind: {
                    let name = fields.text()?;
                    EventKind::from_parts(&name, fields.number()?)?
                },
            })
        })
    }
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Done, Self::Error, Self::Panic, Self::Skipped];

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Skipped => "skipped",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether this attempt alone settles the record: it was done, or skipped by policy.
    pub fn settles(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl EventKind {
    fn parts(self) -> (&'static str, Option<i64>) {
        match self {
            Self::Assigned => ("assigned", None),
            Self::Revoked => ("revoked", None),
            Self::Lost => ("lost", None),
            Self::Settled(offset) => ("settled", Some(offset)),
            Self::CommitSent(offset) => ("commit-sent", Some(offset)),
            Self::CommitAccepted(offset) => ("commit-accepted", Some(offset)),
            Self::CommitRefused(offset) => ("commit-refused", Some(offset)),
        }
    }

    fn from_parts(name: &str, offset: i64) -> Option<Self> {
        Some(match name {
            "assigned" => Self::Assigned,
            "revoked" => Self::Revoked,
            "lost" => Self::Lost,
            "settled" => Self::Settled(offset),
            "commit-sent" => Self::CommitSent(offset),
            "commit-accepted" => Self::CommitAccepted(offset),
            "commit-refused" => Self::CommitRefused(offset),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
