//! The log of one partition.
//!
//! 1. Offsets are given without gaps, in the order of arrival.
//! 2. A batch is stored whole or not at all, and its bytes never change after.
//! 3. What is stored is counted in the broker's budget until it is deleted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use tokio::sync::Notify;

use super::batch::{BadBatch, Batch, RecordInfo};
use super::budget::Budget;
use super::producers::{ActiveProducer, Producers, Verdict};
use super::settings::Behaviour;
use super::timestamps;
use super::visibility::{Aborted, Visibility};
use crate::cluster::elections::Election;
use crate::cluster::leadership::Leadership;
use crate::txn::ProducerIdentity;

/// One partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    log: Mutex<Log>,
    /// Locked before the log, and while a record is appended, so that each is of the epoch that it says.
    leadership: RwLock<Leadership>,
}

#[derive(Debug)]
struct Log {
    batches: VecDeque<Batch>,
    start_offset: i64,
    end_offset: i64,
    leader_epoch: i32,
    stored_bytes: u64,
    budget: Arc<Budget>,
    producers: Producers,
    visibility: Visibility,
    /// Fetches that wait for the next record.
    waiting: Vec<Weak<Notify>>,
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
        let log = Log {
            batches: VecDeque::new(),
            start_offset: 0,
            end_offset: 0,
            leader_epoch: leadership.epoch(),
            stored_bytes: 0,
            budget,
            producers: Producers::default(),
            visibility: Visibility::default(),
            waiting: Vec::new(),
        };
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
        log.make_room(cost(&batch), topic, now_ms)?;
        let placed = batch.placed(log.end_offset, log.leader_epoch, topic.log_append_time.then_some(now_ms));
        if placed.is_idempotent() {
            log.producers.remember(&placed);
        }
        if placed.is_transactional() {
            log.visibility.opened(placed.producer_id, placed.base_offset);
        }
        let base_offset = placed.base_offset;
        log.end_offset = placed.last_offset + 1;
        log.batches.push_back(placed);
        log.wake();
        Ok(log.appended(base_offset, topic, now_ms))
    }

    /// Ends a producer's transaction here. The marker is stored whatever room there is, since the end of a transaction
    /// is what lets others go on.
    pub(crate) fn end_transaction(&self, now_ms: i64, producer: ProducerIdentity, committed: bool) {
        let mut log = self.log();
        let marker = Batch::marker(log.end_offset, log.leader_epoch, now_ms, producer, committed);
        log.budget.reserve_beyond_limit(cost(&marker));
        log.stored_bytes += cost(&marker);
        log.visibility.ended(producer, committed, marker.base_offset);
        log.producers.ended(producer, now_ms);
        log.end_offset = marker.last_offset + 1;
        log.batches.push_back(marker);
        log.wake();
    }

    /// The batches from an offset on, as many as fit. `None` if the log does not reach there.
    pub(crate) fn read(&self, from: ReadFrom) -> Option<Read> {
        let ReadFrom { offset, max_bytes, oversized, committed_only } = from;
        let log = self.log();
        let span = log.span();
        if !(span.start..=span.end).contains(&offset) {
            return None;
        }
        let stable_end = log.visibility.stable_end(span.end);
        let limit = if committed_only { stable_end } else { span.end };
        let first = log.batches.partition_point(|batch| batch.last_offset < offset);
        let mut size = 0;
        let mut until = first;
        for batch in log.batches.range(first..) {
            let fits = size + batch.bytes.len() <= max_bytes || (oversized && size == 0);
            if !fits || batch.base_offset >= limit {
                break;
            }
            size += batch.bytes.len();
            until += 1;
        }
        let end = log.batches.range(first..until).next_back().map_or(offset, |last| last.last_offset + 1);
        let aborted = if committed_only { log.visibility.aborted_in(offset, end) } else { Vec::new() };
        Some(Read { bytes: log.joined(first, until, size), span, stable_end, aborted })
    }

    /// Has the next record wake a fetch, for as long as that waits.
    pub(crate) fn wake_on_append(&self, fetch: &Arc<Notify>) {
        let mut log = self.log();
        log.waiting.retain(|waiting| waiting.strong_count() > 0);
        log.waiting.push(Arc::downgrade(fetch));
    }

    /// Wakes every fetch that waits here, because there will be no next record.
    pub(crate) fn close(&self) {
        self.log().wake();
    }

    /// The first record of that time or later.
    pub(crate) fn first_since(&self, timestamp: i64) -> Option<Position> {
        let log = self.log();
        let start = log.start_offset;
        let candidate = |batch: &&Batch| batch.max_timestamp >= timestamp && batch.last_offset >= start;
        let candidates: Vec<Batch> = log.batches.iter().filter(candidate).take(2).cloned().collect();
        drop(log);
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
        let latest = log.batches.iter().map(|batch| batch.max_timestamp).max()?;
        drop(log);
        let found = self.first_since(latest)?;
        Some(Position { timestamp: latest, ..found })
    }

    /// Deletes what is before an offset, and says where the log begins now. `None` if it does not reach there.
    pub(crate) fn delete_until(&self, offset: i64) -> Option<i64> {
        let mut log = self.log();
        if offset < 0 || offset > log.end_offset {
            return None;
        }
        log.start_at(offset);
        Some(log.start_offset)
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

    /// Deletes what the topic no longer retains.
    pub(crate) fn expire(&self, topic: Behaviour, now_ms: i64) {
        self.log().expire(topic, now_ms);
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

    fn joined(&self, first: usize, until: usize, size: usize) -> Bytes {
        if until == first + 1 {
            return self.batches[first].bytes.clone();
        }
        let mut bytes = BytesMut::with_capacity(size);
        for batch in self.batches.range(first..until) {
            bytes.extend_from_slice(&batch.bytes);
        }
        bytes.freeze()
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
        self.stored_bytes += bytes;
        Ok(())
    }

    fn expire(&mut self, topic: Behaviour, now_ms: i64) {
        if !topic.deletes {
            return;
        }
        let mut start = self.start_offset;
        let mut bytes_left = self.stored_bytes;
        for batch in &self.batches {
            let too_old =
                topic.retention_ms >= 0 && now_ms.saturating_sub(batch.max_timestamp) > topic.retention_ms;
            let limit = u64::try_from(topic.retention_bytes);
            let too_much = limit.is_ok_and(|limit| bytes_left - cost(batch) >= limit && bytes_left > limit);
            if !too_old && !too_much {
                break;
            }
            start = batch.last_offset + 1;
            bytes_left -= cost(batch);
        }
        self.start_at(start);
    }

    fn start_at(&mut self, offset: i64) {
        self.start_offset = self.start_offset.max(offset);
        self.visibility.start_at(self.start_offset);
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.last_offset < self.start_offset) {
            self.stored_bytes -= cost(&batch);
            self.budget.release(cost(&batch));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.budget.release(self.stored_bytes);
    }
}

/// What a batch takes up in memory.
fn cost(batch: &Batch) -> u64 {
    (batch.bytes.len() + size_of::<Batch>()) as u64
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
