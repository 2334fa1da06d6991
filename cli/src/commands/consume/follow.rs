//! The loop that reads: polls, writes out, commits, and notices the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_boot_client::{
    Admin, ClientConfig, ClientError, Consumer, ConsumerEvent, ErrorCode, ErrorKind, PartitionOffset,
    Protocol, RawRecord, TopicPartition,
};

use super::fetched::{Fetched, STATISTICS_MS};
use super::filter::Filter;
use super::format::Format;
use super::span::{Span, Start, spans};
use super::{index, last};
use crate::commands::{OPERATION, REQUEST, positions};
use crate::error::CliError;
use crate::output::Output;
use crate::progress::Progress;

/// How many records a poll hands over at most.
const POLL_RECORDS: usize = 4096;
/// How long a poll waits, and so how long an end takes to be noticed at most.
const POLL: Duration = Duration::from_millis(100);
/// How much is written at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How often a group's offsets are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// How often new partitions of the topic are looked for, outside a group.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What a group has to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    None,
    /// Its offsets are looked up and committed, without joining it.
    Offsets,
    /// It hands the partitions out as well.
    Member,
}

/// What to read, and how.
pub(super) struct Follow<'a> {
    pub(super) topic: &'a str,
    /// Those that are there at the start, of those that are wanted.
    pub(super) partitions: Vec<TopicPartition>,
    /// Which ones are wanted is open: new ones as well.
    pub(super) grows: bool,
    pub(super) start: Start,
    pub(super) until_end: bool,
    pub(super) group: Group,
    pub(super) max: Option<u64>,
    pub(super) filter: Filter,
    pub(super) format: Format,
    pub(super) admin: &'a Admin,
}

impl Follow<'_> {
    pub(super) async fn run(self, mut config: ClientConfig, output: &mut Output<'_>) -> Result<(), CliError> {
        if self.until_end {
            config.set("statistics.interval.ms", STATISTICS_MS);
        }
        let consumer = Consumer::new(&config)?;
        let mut reading = Reading {
            consumer,
            config,
            looked_at: Instant::now(),
            states: Vec::new(),
            has_assignment: false,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            count: 0,
            is_full: false,
            events: Vec::new(),
            committed_at: Instant::now(),
            told: false,
            progress: Progress::new(None, output.terminals.output, output),
            follow: self,
        };
        let ended = reading.read(output).await;
        reading.finish(ended, output)
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, Copy)]
struct State {
    is_assigned: bool,
    /// Whether there is more to read of it.
    is_open: bool,
    /// The offset before which reading ends.
    end: i64,
    /// The offset behind the last record that was written out or passed over.
    next: i64,
    committed: i64,
    /// Where reading began.
    start: i64,
}

const NOT_ASSIGNED: State =
    State { is_assigned: false, is_open: false, end: i64::MAX, next: -1, committed: -1, start: -1 };

struct Reading<'a> {
    follow: Follow<'a>,
    consumer: Consumer,
    /// What the consumer was made with.
    config: ClientConfig,
    /// When the topic was looked up.
    looked_at: Instant,
    /// By number.
    states: Vec<State>,
    /// Whether partitions were assigned at all, be it none.
    has_assignment: bool,
    buffer: Vec<u8>,
    count: u64,
    /// As many records as were asked for are there.
    is_full: bool,
    events: Vec<ConsumerEvent>,
    committed_at: Instant,
    /// Whether trouble with the brokers has been told since the last record.
    told: bool,
    progress: Progress,
}

impl Reading<'_> {
    async fn read(&mut self, output: &mut Output<'_>) -> Result<(), CliError> {
        if self.follow.group == Group::Member {
            self.consumer.subscribe(&[self.follow.topic])?;
        } else {
            let partitions = self.follow.partitions.clone();
            self.assign(&partitions, false, output).await?;
        }
        let mut records = Vec::with_capacity(POLL_RECORDS);
        while !self.is_done() {
            if output.interrupt.is_interrupted() {
                let is_early = self.follow.until_end || self.follow.max.is_some();
                return if is_early { Err(CliError::Interrupted) } else { Ok(()) };
            }
            self.consumer.poll(POLL_RECORDS, POLL, &mut records, &mut self.events)?;
            let polled = records.len();
            self.take(&mut records);
            if self.buffer.len() >= BUFFER_BYTES || polled < POLL_RECORDS {
                self.write_out(output)?;
            }
            let states = &self.states;
            self.progress.show(|| read_so_far(states), self.count, output);
            if polled == 0 && (output.is_reader_gone)() {
                return Err(CliError::Output(std::io::ErrorKind::BrokenPipe.into()));
            }
            for event in std::mem::take(&mut self.events) {
                self.handle(event, polled == 0, output).await?;
            }
            if self.committed_at.elapsed() >= COMMIT_INTERVAL {
                self.commit_by_the_way(output)?;
            }
            if self.follow.grows && self.looked_at.elapsed() >= LOOK_INTERVAL {
                self.look_for_partitions(output).await?;
            }
        }
        Ok(())
    }

    /// Reads partitions that were added meanwhile as well. In a group it is the group that notices.
    async fn look_for_partitions(&mut self, output: &mut Output<'_>) -> Result<(), CliError> {
        let found = positions::partitions(self.follow.topic, self.follow.admin).await;
        self.looked_at = Instant::now();
        let mut partitions = match found {
            Ok(partitions) => partitions,
            Err(CliError::Client(error)) => return self.trouble(error, output),
            Err(error) => return Err(error),
        };
        let is_read = |number| self.states.get(index(number)).is_some_and(|state| state.is_assigned);
        partitions.retain(|partition| !is_read(partition.partition));
        if partitions.is_empty() {
            return Ok(());
        }
        match self.assign(&partitions, true, output).await {
            // Its leader may not be elected yet, or not know of it. The next look comes soon.
            Err(CliError::Client(error)) => self.trouble(error, output),
            Err(CliError::Failed { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    fn is_done(&self) -> bool {
        let ended = || self.has_assignment && self.states.iter().all(|state| !state.is_open);
        self.is_full || (self.follow.until_end && ended())
    }

    /// Formats the records, up to the last one that is wanted.
    fn take(&mut self, records: &mut Vec<RawRecord>) {
        for record in records.drain(..) {
            self.told = false;
            let Some(state) = self.states.get_mut(index(record.partition())) else { continue };
            if !state.is_open {
                continue;
            }
            let is_wanted = record.offset() < state.end;
            if is_wanted {
                state.next = record.offset() + 1;
            }
            if !is_wanted || state.next >= state.end {
                state.is_open = false;
                // What comes behind is nobody's, and would only be in the way; that it comes all the same does no harm.
                let partition = TopicPartition::new(self.follow.topic, record.partition());
                drop(self.consumer.pause(&[partition]));
            }
            if is_wanted && self.follow.filter.matches(&record) {
                self.follow.format.write(&record, &mut self.buffer);
                self.count += 1;
                if self.follow.max.is_some_and(|max| self.count >= max) {
                    self.is_full = true;
                    return;
                }
            }
        }
    }

    fn write_out(&mut self, output: &mut Output<'_>) -> Result<(), CliError> {
        if !self.buffer.is_empty() {
            output.sink.write_all(&self.buffer)?;
            output.sink.flush()?;
            self.buffer.clear();
        }
        Ok(())
    }

    async fn handle(
        &mut self,
        event: ConsumerEvent,
        is_idle: bool,
        output: &mut Output<'_>,
    ) -> Result<(), CliError> {
        match event {
            ConsumerEvent::Assign { partitions } => self.assign(&partitions, false, output).await,
            ConsumerEvent::Revoke { partitions, lost } => {
                if !lost {
                    self.write_out(output)?;
                    self.commit_by_the_way(output)?;
                }
                for partition in &partitions {
                    if let Some(state) = self.states.get_mut(index(partition.partition)) {
                        (state.is_assigned, state.is_open) = (false, false);
                    }
                }
                self.has_assignment = false;
                match self.consumer.rebalance_protocol() {
                    Protocol::Cooperative => Ok(self.consumer.incremental_unassign(&partitions)?),
                    _ => Ok(self.consumer.unassign_all()?),
                }
            }
            // Whatever was fetched comes before the statistics only when nothing waits in between.
            ConsumerEvent::Statistics(json) if is_idle => {
                self.end_what_is_passed(&json);
                Ok(())
            }
            ConsumerEvent::Error(error) => self.trouble(error, output),
            _ => Ok(()),
        }
    }

    /// Begins to read `partitions`: instead of all others, or beside them if that `adds`.
    async fn assign(
        &mut self,
        partitions: &[TopicPartition],
        adds: bool,
        output: &mut Output<'_>,
    ) -> Result<(), CliError> {
        let follow = &self.follow;
        // All that is in a partition that was added meanwhile came meanwhile, too.
        let (old, new): (Vec<_>, Vec<_>) =
            partitions.iter().cloned().partition(|partition| follow.partitions.contains(partition));
        let mut spans = spans(&old, follow.start, follow.admin, output).await?;
        spans.extend(self::spans(&new, Start::Beginning, follow.admin, output).await?);
        let mut stands = HashMap::new();
        if follow.group != Group::None && !spans.is_empty() {
            let committed = self.consumer.committed(partitions, REQUEST)?.into_iter();
            let committed = committed.filter(|offset| offset.offset >= 0);
            stands.extend(committed.map(|offset| (offset.partition, offset.offset)));
        }
        if let Start::Last(count) = follow.start {
            let nowhere = spans.iter_mut().filter(|span| {
                !stands.contains_key(&span.partition) && follow.partitions.contains(&span.partition)
            });
            last::start_before(count, nowhere, &self.config, output)?;
        }
        for span in &mut spans {
            let stands_at = stands.get(&span.partition).copied();
            span.start = stands_at.unwrap_or(span.start);
            self.open(span, stands_at.is_some());
        }
        if self.follow.until_end {
            let open = self.states.iter().filter(|state| state.is_assigned);
            self.progress.set_total(open.map(|state| (state.end - state.start).max(0).unsigned_abs()).sum());
        }
        self.has_assignment = true;
        let is_new = spans.iter().any(|span| !stands.contains_key(&span.partition));
        let offsets: Vec<_> =
            spans.into_iter().map(|span| PartitionOffset::new(span.partition, span.start)).collect();
        match self.consumer.rebalance_protocol() {
            Protocol::Cooperative => self.consumer.incremental_assign(&offsets)?,
            _ if adds => self.consumer.incremental_assign(&offsets)?,
            _ => self.consumer.assign(&offsets)?,
        }
        if is_new {
            // Where the group begins is where it stands from now on, with or without a record: whoever comes next would
            // begin somewhere else.
            self.commit_by_the_way(output)?;
        }
        Ok(())
    }

    fn open(&mut self, span: &Span, is_committed: bool) {
        let at = index(span.partition.partition);
        if at >= self.states.len() {
            self.states.resize(at + 1, NOT_ASSIGNED);
        }
        let known = &mut self.states[at];
        // One that comes back ends where it was to end before.
        let end = match known.end {
            i64::MAX if self.follow.until_end => span.end,
            end => end,
        };
        *known = State {
            is_assigned: true,
            is_open: span.start < end,
            end,
            next: span.start,
            committed: if is_committed { span.start } else { NOT_ASSIGNED.committed },
            start: span.start,
        };
    }

    /// The ends of transactions take up offsets, too: a partition may be at its end without a record that says so.
    fn end_what_is_passed(&mut self, json: &str) {
        let Some(fetched) = Fetched::read(json) else { return };
        for (number, state) in self.states.iter_mut().enumerate().filter(|(_, state)| state.is_open) {
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            if fetched.is_at(self.follow.topic, number, state.end) {
                state.is_open = false;
                state.next = state.next.max(state.end);
            }
        }
    }

    fn trouble(&mut self, error: ClientError, output: &mut Output<'_>) -> Result<(), CliError> {
        if ends_reading(&error, self.follow.group != Group::None) {
            return Err(error.into());
        }
        if !self.told && !is_of_group(&error, self.follow.group != Group::None) {
            self.told = true;
            output.note(&format!("warning: {error}; going on"));
        }
        Ok(())
    }

    /// What may be committed and is not yet.
    fn uncommitted(&self) -> Vec<PartitionOffset> {
        if self.follow.group == Group::None {
            return Vec::new();
        }
        let changed = self
            .states
            .iter()
            .enumerate()
            .filter(|(_, state)| state.is_assigned && state.next > state.committed);
        changed
            .map(|(number, state)| {
                let number = i32::try_from(number).unwrap_or(i32::MAX);
                PartitionOffset::new(TopicPartition::new(self.follow.topic, number), state.next)
            })
            .collect()
    }

    /// Commits what was written out.
    fn commit(&mut self) -> Result<(), ClientError> {
        self.committed_at = Instant::now();
        let offsets = self.uncommitted();
        if offsets.is_empty() {
            return Ok(());
        }
        for (offset, result) in self.consumer.commit_blocking(&offsets, OPERATION, &mut self.events)? {
            result?;
            if let Some(state) = self.states.get_mut(index(offset.partition.partition)) {
                state.committed = offset.offset;
            }
        }
        Ok(())
    }

    /// Commits while reading goes on: what fails comes again, here or at the next owner of the partition.
    fn commit_by_the_way(&mut self, output: &mut Output<'_>) -> Result<(), CliError> {
        self.write_out(output)?;
        if let Err(error) = self.commit() {
            self.trouble(error, output)?;
        }
        Ok(())
    }

    /// Writes out and commits what is left, whatever ended the reading, and leaves the group.
    fn finish(mut self, ended: Result<(), CliError>, output: &mut Output<'_>) -> Result<(), CliError> {
        let written = match &ended {
            Err(CliError::Output(_)) => Ok(()),
            _ => self.write_out(output),
        };
        let is_written = written.is_ok() && !matches!(ended, Err(CliError::Output(_)));
        let committed = if is_written { self.commit() } else { Ok(()) };
        // Nothing depends on it: who does not leave in time is left out by the group.
        drop(self.consumer.close(OPERATION, |_, _| {}));
        self.progress.clear(output);
        ended?;
        written?;
        if self.follow.max.is_some() || self.follow.until_end || !output.json {
            output.note(&format!("Processed a total of {} messages", self.count));
        }
        Ok(committed?)
    }
}

/// Whether an error is of the kind that does not pass.
pub(super) fn ends_reading(error: &ClientError, in_group: bool) -> bool {
    match error.kind() {
        ErrorKind::Authorization => !is_of_group(error, in_group),
        ErrorKind::Authentication | ErrorKind::UnknownTopic | ErrorKind::Fatal => true,
        _ => false,
    }
}

/// Who is in no group needs no right to one.
fn is_of_group(error: &ClientError, in_group: bool) -> bool {
    !in_group && error.code() == Some(ErrorCode::GROUP_AUTHORIZATION_FAILED)
}

/// How many offsets have been passed since reading began.
fn read_so_far(states: &[State]) -> u64 {
    let assigned = states.iter().filter(|state| state.is_assigned);
    assigned.map(|state| (state.next - state.start).max(0).unsigned_abs()).sum()
}
