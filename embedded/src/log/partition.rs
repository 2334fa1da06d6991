//! The log of one partition.
//!
//! 1. Offsets are given without gaps, in the order of arrival.
//! 2. A batch is stored whole or not at all. Its bytes change only by compaction, which replaces it by a part of it at the
//!    same offsets, or takes it away.
//! 3. What takes up memory is counted in the broker's budget until it is deleted: of records in files, only where they are.
//! 4. Bytes are read from files outside the lock, through handles that were taken under it, so that they are those of
//!    the batches that were looked up, whatever becomes of the files meanwhile.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use tokio::sync::Notify;

use super::batch::{BadBatch, Batch, RecordInfo};
use super::budget::Budget;
use super::disk::{self, Disk, Piece};
use super::producers::{ActiveProducer, Producers, Verdict};
use super::recovery::{self, Recovered};
use super::settings::{Behaviour, Settings};
use super::timestamps;
use super::visibility::{Aborted, Visibility};
use crate::cluster::elections::Election;
use crate::cluster::leadership::Leadership;
use crate::error::StartError;
use crate::txn::ProducerIdentity;

mod compaction;

pub(super) use compaction::{Chunk, Compactable};

/// One partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    log: Mutex<Log>,
    /// Locked before the log, and while a record is appended, so that each is of the epoch that it says.
    leadership: RwLock<Leadership>,
}

#[derive(Debug)]
struct Log {
    entries: VecDeque<Entry>,
    start_offset: i64,
    end_offset: i64,
    leader_epoch: i32,
    /// Of the batches themselves.
    stored_bytes: u64,
    /// What is taken of the budget.
    charged: u64,
    budget: Arc<Budget>,
    /// Where the batches are, unless they are in memory.
    disk: Option<Disk>,
    /// Its topic is deleted.
    is_closed: bool,
    /// Ends of transactions that could not be written yet.
    owed: Vec<(ProducerIdentity, bool)>,
    /// Before it, each key is in one record only.
    compacted_until: i64,
    /// When the next tombstone may go.
    next_horizon: Option<i64>,
    producers: Producers,
    visibility: Visibility,
    /// Fetches that wait for the next record.
    waiting: Vec<Weak<Notify>>,
}

/// Where a batch is, and what is looked for in it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    pub(super) max_timestamp: i64,
    pub(super) bytes: usize,
    pub(super) place: Place,
}

/// Where the bytes of a batch are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Memory(Bytes),
    /// From this position on in the file of its segment.
    File(u64),
}

impl Entry {
    pub(super) fn new(batch: &Batch, place: Place) -> Self {
        Self {
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            max_timestamp: batch.max_timestamp,
            bytes: batch.bytes.len(),
            place,
        }
    }

    /// What it takes up in memory.
    fn cost(&self) -> u64 {
        let held = if matches!(self.place, Place::Memory(_)) { self.bytes } else { 0 };
        (held + size_of::<Self>()) as u64
    }
}

/// Bytes of a log that are found, and perhaps still to be read.
#[derive(Debug)]
enum Found {
    Memory(Bytes),
    Files(Vec<Piece>),
}

impl Found {
    fn load(self) -> Result<Bytes, ResponseError> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::Files(pieces) => disk::read_all(&pieces).map_err(|error| {
                tracing::error!(%error, "the records of a segment cannot be read");
                ResponseError::KafkaStorageError
            }),
        }
    }
}

/// The offsets that a log spans; the end is the next offset to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// What a fetch got from a log.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    pub(crate) span: Span,
    /// Everything before it belongs to no open transaction.
    pub(crate) stable_end: i64,
    /// What a reader of committed records has to skip.
    pub(crate) aborted: Vec<Aborted>,
}

/// How a log is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadFrom {
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
    /// Whether the first batch is wanted even if it is larger than that.
    pub(crate) oversized: bool,
    /// Whether to stop before the first open transaction.
    pub(crate) committed_only: bool,
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// Negative when the records keep the time of their creation.
    pub(crate) log_append_ms: i64,
    pub(crate) start_offset: i64,
}

/// Why a batch is not stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
}

/// A place in a log, found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

impl Refused {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }
}

impl Partition {
    pub(crate) fn new(budget: Arc<Budget>, leadership: Leadership) -> Self {
        Self::with(budget, leadership, None, Recovered::default(), 0)
    }

    /// A partition of a topic that has just been created, with files to come.
    pub(crate) fn new_on_disk(budget: Arc<Budget>, leadership: Leadership, disk: Disk) -> Self {
        recovery::clear(&disk);
        Self::with(budget, leadership, Some(disk), Recovered::default(), 0)
    }

    /// A partition as its files are, from an offset on, in an epoch that is at least this one, and later than those of
    /// its batches.
    pub(crate) fn recovered(
        budget: Arc<Budget>,
        leadership: Leadership,
        mut disk: Disk,
        start_offset: i64,
        epoch: i32,
    ) -> Result<Self, StartError> {
        let mut recovered = recovery::recover(&mut disk)?;
        // An offset that was given once is not given again.
        recovered.end_offset = recovered.end_offset.max(start_offset);
        let history = std::mem::take(&mut recovered.epochs);
        let leadership = leadership.resumed(epoch, history, recovered.end_offset);
        Ok(Self::with(budget, leadership, Some(disk), recovered, start_offset))
    }

    fn with(
        budget: Arc<Budget>,
        leadership: Leadership,
        disk: Option<Disk>,
        recovered: Recovered,
        start_offset: i64,
    ) -> Self {
        let Recovered { entries, end_offset, producers, visibility, next_horizon, .. } = recovered;
        let first_offset =
            disk.as_ref().and_then(|disk| disk.segments.front()).map_or(0, |one| one.base_offset);
        let charged = entries.iter().map(Entry::cost).sum();
        budget.reserve_beyond_limit(charged);
        let mut log = Log {
            stored_bytes: entries.iter().map(|entry| entry.bytes as u64).sum(),
            entries,
            start_offset: first_offset,
            end_offset,
            leader_epoch: leadership.epoch(),
            charged,
            budget,
            disk,
            is_closed: false,
            owed: Vec::new(),
            compacted_until: 0,
            next_horizon,
            producers,
            visibility,
            waiting: Vec::new(),
        };
        log.start_at(start_offset);
        Self { log: Mutex::new(log), leadership: RwLock::new(leadership) }
    }

    /// Who leads, for as long as it is looked at: the leader does not change before the guard is dropped.
    pub(crate) fn leadership(&self) -> RwLockReadGuard<'_, Leadership> {
        self.leadership.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Elects another leader if the one there is is not live.
    pub(crate) fn elect(&self, is_live: impl Fn(BrokerId) -> bool) {
        self.change_leader(|leadership, end| {
            leadership.elect(end, is_live);
        });
    }

    /// Holds an election that somebody asked for.
    pub(crate) fn hold(
        &self,
        election: Election,
        is_live: impl Fn(BrokerId) -> bool,
    ) -> Result<(), ResponseError> {
        let mut outcome = Ok(());
        self.change_leader(|leadership, end| outcome = election.hold(leadership, end, is_live));
        outcome
    }

    /// Has a replica lead, in a new epoch, which is returned.
    pub(crate) fn move_leader(&self, to: BrokerId) -> i32 {
        self.change_leader(|leadership, end| leadership.become_led_by(Some(to), end))
    }

    fn change_leader(&self, change: impl FnOnce(&mut Leadership, i64)) -> i32 {
        let mut leadership = self.leadership.write().unwrap_or_else(PoisonError::into_inner);
        let mut log = self.log();
        change(&mut leadership, log.end_offset);
        if log.leader_epoch != leadership.epoch() {
            log.leader_epoch = leadership.epoch();
            log.save_epoch();
            // Fetches that wait here have to ask elsewhere.
            log.wake();
        }
        leadership.epoch()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn span(&self) -> Span {
        self.log().span()
    }

    /// The end of what is decided: before the first record of an open transaction.
    pub(crate) fn stable_end(&self) -> i64 {
        let log = self.log();
        log.visibility.stable_end(log.end_offset)
    }

    /// Stores the one batch that a producer sent, in the leader's epoch, unless it is denied, and wakes who waits for it.
    pub(crate) fn append(
        &self,
        records: Bytes,
        topic: Behaviour,
        now_ms: i64,
        deny: impl FnOnce(&Batch) -> Result<(), Refused>,
    ) -> Result<Appended, Refused> {
        let batch = checked(records, topic)?;
        deny(&batch)?;
        timestamps::check(&batch, topic, now_ms)?;
        let mut log = self.log();
        if log.is_closed {
            let message = "the topic has been deleted";
            return Err(Refused::new(ResponseError::UnknownTopicOrPartition, message));
        }
        log.settle(now_ms).map_err(|error| not_written(&error))?;
        if batch.is_idempotent() {
            match log.producers.judge(&batch) {
                Verdict::Store => {}
                Verdict::Duplicate(base_offset) => return Ok(log.appended(base_offset, topic, now_ms)),
                Verdict::OutOfOrder => {
                    let message = format!(
                        "sequence {} of producer {} does not follow what is stored",
                        batch.base_sequence, batch.producer_id
                    );
                    return Err(Refused::new(ResponseError::OutOfOrderSequenceNumber, message));
                }
                Verdict::Fenced => {
                    let message = format!("a newer epoch of producer {} is at work", batch.producer_id);
                    return Err(Refused::new(ResponseError::InvalidProducerEpoch, message));
                }
            }
        }
        let cost = log.cost_of(&batch);
        log.make_room(cost, topic, now_ms)?;
        let placed = batch.placed(log.end_offset, log.leader_epoch, topic.log_append_time.then_some(now_ms));
        log.push(&placed, Some(topic)).map_err(|error| not_written(&error))?;
        if placed.is_idempotent() {
            log.producers.remember(&placed);
        }
        if placed.is_transactional() {
            log.visibility.opened(placed.producer_id, placed.base_offset);
        }
        log.wake();
        Ok(log.appended(placed.base_offset, topic, now_ms))
    }

    /// Ends a producer's transaction here. The marker is stored whatever room there is, since the end of a transaction
    /// is what lets others go on.
    pub(crate) fn end_transaction(&self, now_ms: i64, producer: ProducerIdentity, committed: bool) {
        let mut log = self.log();
        if log.is_closed {
            return;
        }
        log.owed.push((producer, committed));
        if let Err(error) = log.settle(now_ms) {
            tracing::error!(%error, "the end of a transaction cannot be written yet");
        }
        log.wake();
    }

    /// The producers that have a transaction open here.
    pub(crate) fn open_producers(&self) -> Vec<i64> {
        self.log().visibility.open_producers().collect()
    }

    /// The batches from an offset on, as many as fit.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` if the log does not reach there, and `KAFKA_STORAGE_ERROR` if it cannot be read.
    pub(crate) fn read(&self, from: ReadFrom) -> Result<Read, ResponseError> {
        let ReadFrom { offset, max_bytes, oversized, committed_only } = from;
        let mut log = self.log();
        let span = log.span();
        if !(span.start..=span.end).contains(&offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let stable_end = log.visibility.stable_end(span.end);
        let limit = if committed_only { stable_end } else { span.end };
        let first = log.entries.partition_point(|entry| entry.last_offset < offset);
        let mut size = 0;
        let mut until = first;
        for entry in log.entries.range(first..) {
            let fits = size + entry.bytes <= max_bytes || (oversized && size == 0);
            if !fits || entry.base_offset >= limit {
                break;
            }
            size += entry.bytes;
            until += 1;
        }
        let end = log.entries.range(first..until).next_back().map_or(offset, |last| last.last_offset + 1);
        let aborted = if committed_only { log.visibility.aborted_in(offset, end) } else { Vec::new() };
        let found = log.find(first, until, size)?;
        drop(log);
        Ok(Read { bytes: found.load()?, span, stable_end, aborted })
    }

    /// Has the next record wake a fetch, for as long as that waits.
    pub(crate) fn wake_on_append(&self, fetch: &Arc<Notify>) {
        let mut log = self.log();
        log.waiting.retain(|waiting| waiting.strong_count() > 0);
        log.waiting.push(Arc::downgrade(fetch));
    }

    /// Wakes every fetch that waits here, because there will be no next record; and removes the files.
    pub(crate) fn close(&self) {
        let mut log = self.log();
        log.is_closed = true;
        log.wake();
        if let Some(disk) = &log.disk {
            crate::storage::remove_directory(&disk.path);
        }
    }

    /// The first record of that time or later.
    pub(crate) fn first_since(&self, timestamp: i64) -> Option<Position> {
        let mut log = self.log();
        let start = log.start_offset;
        let candidate =
            |(_, entry): &(usize, &Entry)| entry.max_timestamp >= timestamp && entry.last_offset >= start;
        let candidates: Vec<usize> =
            log.entries.iter().enumerate().filter(candidate).take(2).map(|(index, _)| index).collect();
        let found: Vec<_> = candidates
            .into_iter()
            .filter_map(|index| {
                let bytes = log.entries[index].bytes;
                log.find(index, index + 1, bytes).ok()
            })
            .collect();
        drop(log);
        let candidates = found.into_iter().filter_map(|found| Batch::stored(found.load().ok()?).ok());
        let candidates: Vec<Batch> = candidates.collect();
        // The beginning of the log may lie behind the record of the first batch that is late enough.
        candidates.iter().find_map(|batch| {
            let late = |record: &RecordInfo| record.timestamp >= timestamp && record.offset >= start;
            let found = batch.look(|records| records.flatten().find(late));
            // Of what cannot be looked into, the beginning is never too late.
            let unknown = RecordInfo {
                offset: batch.base_offset.max(start),
                timestamp: batch.base_timestamp.max(timestamp),
                has_key: true,
            };
            let record = found.unwrap_or(Some(unknown))?;
            Some(Position { offset: record.offset, timestamp: record.timestamp })
        })
    }

    /// The first of the records with the latest time.
    pub(crate) fn latest_timestamp(&self) -> Option<Position> {
        let log = self.log();
        let latest = log.entries.iter().map(|entry| entry.max_timestamp).max()?;
        drop(log);
        let found = self.first_since(latest)?;
        Some(Position { timestamp: latest, ..found })
    }

    /// Deletes what is before an offset, and says where the log begins now.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` if the log does not reach there, and `KAFKA_STORAGE_ERROR` if that cannot be written down.
    pub(crate) fn delete_until(&self, offset: i64) -> Result<i64, ResponseError> {
        let mut log = self.log();
        if log.is_closed {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if offset < 0 || offset > log.end_offset {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset > log.start_offset {
            log.save_start(offset)?;
        }
        log.start_at(offset);
        Ok(log.start_offset)
    }

    /// The producers that are remembered, in the order of their ids.
    pub(crate) fn producers(&self) -> Vec<ActiveProducer> {
        let log = self.log();
        let with_open = |active: ActiveProducer| ActiveProducer {
            open_since_offset: log.visibility.open_since(active.producer.id),
            ..active
        };
        log.producers.active().into_iter().map(with_open).collect()
    }

    /// A producer, if it is remembered.
    pub(crate) fn producer(&self, id: i64) -> Option<ActiveProducer> {
        let log = self.log();
        let known = log.producers.of(id)?;
        Some(ActiveProducer { open_since_offset: log.visibility.open_since(id), ..known })
    }

    /// What the records take up, in bytes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.log().stored_bytes
    }

    /// Deletes what the topic no longer retains, and does what could not be done before.
    pub(crate) fn expire(&self, topic: Behaviour, now_ms: i64) {
        let mut log = self.log();
        if !log.is_closed {
            log.expire(topic, now_ms);
            if let Err(error) = log.settle(now_ms) {
                tracing::error!(%error, "the end of a transaction cannot be written yet");
            }
        }
        if let Some(disk) = &mut log.disk {
            disk.close_unused();
        }
    }
}

impl Log {
    fn span(&self) -> Span {
        Span { start: self.start_offset, end: self.end_offset }
    }

    fn appended(&self, base_offset: i64, topic: Behaviour, now_ms: i64) -> Appended {
        let log_append_ms = if topic.log_append_time { now_ms } else { -1 };
        Appended { base_offset, log_append_ms, start_offset: self.start_offset }
    }

    /// The bytes of batches that follow one another, so many in all.
    fn find(&mut self, first: usize, until: usize, size: usize) -> Result<Found, ResponseError> {
        let Some(disk) = &mut self.disk else {
            return Ok(Found::Memory(joined(&self.entries, first, until, size)));
        };
        // The files at these names may be another topic's by now.
        if self.is_closed {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let mut segment = None;
        for entry in self.entries.range(first..until) {
            let Place::File(position) = entry.place else { continue };
            let own = disk.segment_of(entry.base_offset);
            match pieces.last_mut() {
                Some(piece) if own == segment && piece.position + piece.bytes as u64 == position => {
                    piece.bytes += entry.bytes;
                }
                _ => pieces.push(disk.piece(entry.base_offset, position, entry.bytes).map_err(|error| {
                    tracing::error!(path = %disk.path.display(), %error, "a segment cannot be opened");
                    ResponseError::KafkaStorageError
                })?),
            }
            segment = own;
        }
        Ok(Found::Files(pieces))
    }

    /// Stores a batch at the end. Without a topic's behaviour it goes wherever there is room.
    fn push(&mut self, batch: &Batch, topic: Option<Behaviour>) -> io::Result<()> {
        let cost = self.cost_of(batch);
        let place = match &mut self.disk {
            None => Place::Memory(batch.bytes.clone()),
            Some(disk) => {
                let topic = topic.unwrap_or_else(|| Settings::default().behaviour());
                Place::File(disk.append(batch, topic).inspect_err(|error| {
                    tracing::error!(path = %disk.path.display(), %error, "a batch cannot be written");
                    self.charged -= cost;
                    self.budget.release(cost);
                })?)
            }
        };
        let entry = Entry::new(batch, place);
        self.stored_bytes += batch.bytes.len() as u64;
        self.end_offset = entry.last_offset + 1;
        self.entries.push_back(entry);
        Ok(())
    }

    /// What a batch will take up in memory.
    fn cost_of(&self, batch: &Batch) -> u64 {
        let held = if self.disk.is_some() { 0 } else { batch.bytes.len() };
        (held + size_of::<Entry>()) as u64
    }

    /// Writes the markers of transactions that have ended.
    fn settle(&mut self, now_ms: i64) -> io::Result<()> {
        while let Some((producer, committed)) = self.owed.first().copied() {
            let marker = Batch::marker(self.end_offset, self.leader_epoch, now_ms, producer, committed);
            let cost = self.cost_of(&marker);
            self.budget.reserve_beyond_limit(cost);
            self.charged += cost;
            self.push(&marker, None)?;
            self.visibility.ended(producer, committed, marker.base_offset);
            self.producers.ended(producer, now_ms);
            self.owed.remove(0);
        }
        Ok(())
    }

    fn save_start(&self, offset: i64) -> Result<(), ResponseError> {
        match &self.disk {
            None => Ok(()),
            Some(disk) => disk.directory.write(vec![crate::storage::Record::LogStart {
                topic: disk.topic,
                partition: disk.partition,
                offset,
            }]),
        }
    }

    /// Writes the epoch down, in which no batch may ever be. An election goes on without that: the broker's log says
    /// what is wrong, and the next batch says the epoch too.
    fn save_epoch(&self) {
        if let Some(disk) = self.disk.as_ref().filter(|_| !self.is_closed) {
            let _ = disk.directory.write(vec![crate::storage::Record::LeaderEpoch {
                topic: disk.topic,
                partition: disk.partition,
                epoch: self.leader_epoch,
            }]);
        }
    }

    fn wake(&mut self) {
        for waiting in self.waiting.drain(..) {
            if let Some(fetch) = waiting.upgrade() {
                fetch.notify_one();
            }
        }
    }

    fn make_room(&mut self, bytes: u64, topic: Behaviour, now_ms: i64) -> Result<(), Refused> {
        if !self.budget.reserve(bytes) {
            self.expire(topic, now_ms);
            if !self.budget.reserve(bytes) {
                let message = format!(
                    "the embedded broker holds as many records as its memory limit of {} bytes allows; raise it, or \
                     set `retention.bytes` or `retention.ms` on the topics",
                    self.budget.limit()
                );
                tracing::warn!("{message}");
                return Err(Refused::new(ResponseError::PolicyViolation, message));
            }
        }
        self.charged += bytes;
        Ok(())
    }

    fn expire(&mut self, topic: Behaviour, now_ms: i64) {
        if !topic.deletes {
            return;
        }
        let mut start = self.start_offset;
        let mut bytes_left = self.stored_bytes;
        for batch in &self.entries {
            let too_old =
                topic.retention_ms >= 0 && now_ms.saturating_sub(batch.max_timestamp) > topic.retention_ms;
            let limit = u64::try_from(topic.retention_bytes);
            let too_much =
                limit.is_ok_and(|limit| bytes_left - batch.bytes as u64 >= limit && bytes_left > limit);
            if !too_old && !too_much {
                break;
            }
            start = batch.last_offset + 1;
            bytes_left -= batch.bytes as u64;
        }
        if start > self.start_offset {
            // Room is made even if that cannot be written down, since it may be the disk that is full.
            let _ = self.save_start(start);
            self.start_at(start);
        }
    }

    fn start_at(&mut self, offset: i64) {
        self.start_offset = self.start_offset.max(offset);
        self.visibility.start_at(self.start_offset);
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.last_offset < self.start_offset) {
            self.stored_bytes -= entry.bytes as u64;
            self.charged -= entry.cost();
            self.budget.release(entry.cost());
        }
        if let Some(disk) = &mut self.disk {
            disk.delete_until(self.start_offset, self.end_offset, &self.producers);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.budget.release(self.charged);
    }
}

fn joined(entries: &VecDeque<Entry>, first: usize, until: usize, size: usize) -> Bytes {
    let held = |entry: &Entry| match &entry.place {
        Place::Memory(bytes) => bytes.clone(),
        Place::File(_) => Bytes::new(),
    };
    if until == first + 1 {
        return held(&entries[first]);
    }
    let mut bytes = BytesMut::with_capacity(size);
    for entry in entries.range(first..until) {
        bytes.extend_from_slice(&held(entry));
    }
    bytes.freeze()
}

fn not_written(error: &io::Error) -> Refused {
    let message = format!("the records cannot be written to the data directory: {error}");
    Refused::new(ResponseError::KafkaStorageError, message)
}

fn checked(mut records: Bytes, topic: Behaviour) -> Result<Batch, Refused> {
    let batch = Batch::split_from(&mut records).map_err(|bad| match bad {
        BadBatch::Corrupt => Refused::new(ResponseError::CorruptMessage, "the batch is damaged"),
        BadBatch::Invalid(why) => Refused::new(ResponseError::InvalidRecord, why),
        BadBatch::OldFormat => {
            Refused::new(ResponseError::InvalidRecord, "only record batches of format 2 are accepted")
        }
    })?;
    if !records.is_empty() {
        let message = "a partition's part of a request has to be exactly one batch";
        return Err(Refused::new(ResponseError::InvalidRecord, message));
    }
    if i64::try_from(batch.bytes.len()).unwrap_or(i64::MAX) > topic.max_batch_bytes {
        let message = format!(
            "the batch has {} bytes, and `max.message.bytes` of the topic is {}",
            batch.bytes.len(),
            topic.max_batch_bytes
        );
        return Err(Refused::new(ResponseError::MessageTooLarge, message));
    }
    if topic.compacts {
        match batch.look(|records| records.flatten().all(|record| record.has_key)) {
            Some(true) => {}
            Some(false) => {
                let message = "a compacted topic does not accept a record without a key";
                return Err(Refused::new(ResponseError::InvalidRecord, message));
            }
            None => {
                return Err(Refused::new(ResponseError::CorruptMessage, "the batch cannot be unpacked"));
            }
        }
    }
    Ok(batch)
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
