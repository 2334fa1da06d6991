//! Compaction: of each key the newest record stays, at its offset, and the older ones go.
//!
//! 1. Only what is decided is compacted: before the first open transaction, and before the newest batch.
//! 2. A record goes only if a newer one of its key stays, or it is a tombstone whose time has come, or its transaction was
//!    aborted, or it has no key.
//! 3. The marker of a transaction stays at least as long as a record of it.
//! 4. Each step replaces batches as a whole, so a reader sees a log that is right before it, between steps, and after.
//!
//! A tombstone's time is written into its batch when that is compacted first, in Kafka's way (KIP-534).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{Batch, RawRecord};
use super::partition::{Chunk, Compactable, Partition};
use super::settings::Behaviour;
use super::topics::Topic;
use super::visibility::Aborted;

/// How long one turn may take; it ends after the step during which this is exceeded.
const TURN: Duration = Duration::from_millis(50);

/// What is worked on in one step.
const STEP_BYTES: usize = 16 * 1024 * 1024;

/// Keys of one compaction; when there are more, it ends before the next batch, and another follows.
const MAX_KEYS: usize = 1_000_000;

/// Compacts one partition after the other, a little at a time.
#[derive(Debug, Default)]
pub(crate) struct Compactor(Mutex<Option<Compaction>>);

impl Compactor {
    /// Works for a while.
    pub(crate) fn run(&self, topics: &[Arc<Topic>], now_ms: i64) {
        let started = Instant::now();
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashSet::new();
        loop {
            let Some(mut compaction) = current.take().or_else(|| next(topics, now_ms, &seen)) else { return };
            if compaction.step(now_ms) {
                *current = Some(compaction);
            } else {
                // Once a turn, or one that cannot be compacted would keep the others from it.
                seen.insert(Arc::as_ptr(&compaction.partition));
            }
            if started.elapsed() > TURN {
                return;
            }
        }
    }
}

fn next(topics: &[Arc<Topic>], now_ms: i64, seen: &HashSet<*const Partition>) -> Option<Compaction> {
    let compacted = topics.iter().filter(|topic| topic.behaviour().compacts);
    let mut partitions = compacted.flat_map(|topic| {
        let behaviour = topic.behaviour();
        topic.partitions().into_iter().map(move |partition| (partition, behaviour))
    });
    partitions.find_map(|(partition, topic)| {
        if seen.contains(&Arc::as_ptr(&partition)) {
            return None;
        }
        let compactable = partition.compactable(topic, now_ms)?;
        Some(Compaction::new(partition, topic, compactable))
    })
}

/// The compaction of one partition.
#[derive(Debug)]
struct Compaction {
    partition: Arc<Partition>,
    topic: Behaviour,
    until: i64,
    next: i64,
    has_all_keys: bool,
    rules: Rules,
}

impl Compaction {
    fn new(partition: Arc<Partition>, topic: Behaviour, compactable: Compactable) -> Self {
        let Compactable { dirty_from, until } = compactable;
        let rules = Rules::new(topic.delete_retention_ms, partition.aborted_until(until));
        Self { partition, topic, until, next: dirty_from, has_all_keys: false, rules }
    }

    /// Does the next step; `false` if there is none, or there can be none now.
    fn step(&mut self, now_ms: i64) -> bool {
        if !self.topic.compacts {
            return false;
        }
        if self.has_all_keys { self.rewrite(now_ms) } else { self.collect() }
    }

    fn collect(&mut self) -> bool {
        let Ok(chunk) = self.partition.chunk(self.next, STEP_BYTES, false) else { return false };
        let batches = chunk.as_ref().map_or(&[][..], |chunk| &chunk.batches);
        for batch in batches.iter().filter(|batch| batch.base_offset < self.until) {
            if self.rules.newest.len() >= MAX_KEYS {
                self.until = batch.base_offset;
                break;
            }
            self.rules.learn(batch);
        }
        match chunk {
            Some(chunk) if chunk.next < self.until => self.next = chunk.next,
            _ => {
                self.has_all_keys = true;
                self.next = self.partition.span().start;
                return self.partition.seal().is_ok();
            }
        }
        true
    }

    fn rewrite(&mut self, now_ms: i64) -> bool {
        let Ok(chunk) = self.partition.chunk(self.next, STEP_BYTES, true) else { return false };
        let Some(chunk) = chunk else {
            self.finish();
            return false;
        };
        let mut has_changed = chunk.merges();
        let mut kept = Vec::with_capacity(chunk.batches.len());
        for batch in &chunk.batches {
            if batch.base_offset >= self.until {
                kept.push(batch.clone());
                continue;
            }
            match self.rules.judge(batch, now_ms) {
                Verdict::Stays => kept.push(batch.clone()),
                Verdict::Goes => has_changed = true,
                Verdict::Becomes(new) => {
                    has_changed = true;
                    kept.push(new);
                }
            }
        }
        if has_changed {
            match self.partition.put_back(&chunk, &kept) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::error!(%error, "a compacted segment cannot be written");
                    return false;
                }
            }
        }
        if chunk.next >= self.until {
            self.finish();
            return false;
        }
        self.next = chunk.next;
        true
    }

    fn finish(&self) {
        self.partition.compacted(self.until, self.rules.next_horizon);
    }
}

impl Chunk {
    /// Whether it is of several segments, which become one.
    fn merges(&self) -> bool {
        self.segment_count() > 1
    }
}

/// What becomes of a batch.
#[derive(Debug)]
enum Verdict {
    Stays,
    Goes,
    Becomes(Batch),
}

/// Decides on records. Knows no clock and no files.
#[derive(Debug)]
struct Rules {
    /// The offset of the newest record of each key, by a hash that is too long for two keys to share.
    newest: HashMap<u128, i64>,
    hashers: [RandomState; 2],
    delete_retention_ms: i64,
    aborted: HashMap<i64, Vec<Aborted>>,
    /// The producers of which a record was kept since their last marker.
    with_records: HashSet<i64>,
    next_horizon: Option<i64>,
}

impl Rules {
    fn new(delete_retention_ms: i64, aborted: Vec<Aborted>) -> Self {
        let mut by_producer: HashMap<i64, Vec<Aborted>> = HashMap::new();
        for one in aborted {
            by_producer.entry(one.producer_id).or_default().push(one);
        }
        Self {
            newest: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            delete_retention_ms,
            aborted: by_producer,
            with_records: HashSet::new(),
            next_horizon: None,
        }
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    /// Takes up the keys of a batch. They have to come in the order of their offsets.
    fn learn(&mut self, batch: &Batch) {
        if batch.is_control() || self.is_aborted(batch) {
            return;
        }
        let keys = batch.look_at_raw(|records| -> Vec<(u128, i64)> {
            let keyed = records.flatten().filter_map(|record| Some((self.hash(record.key?), record.offset)));
            keyed.collect()
        });
        self.newest.extend(keys.unwrap_or_default());
    }

    fn is_aborted(&self, batch: &Batch) -> bool {
        let ended = self.aborted.get(&batch.producer_id).filter(|_| batch.is_transactional());
        let holds = |one: &Aborted| (one.first_offset..=one.last_offset).contains(&batch.base_offset);
        ended.is_some_and(|ended| ended.iter().any(holds))
    }

    /// Says what becomes of a batch. Batches have to come in the order of their offsets, from the first of the log on.
    fn judge(&mut self, batch: &Batch, now_ms: i64) -> Verdict {
        let verdict = self.judged(batch, now_ms);
        let kept = match &verdict {
            Verdict::Goes => return verdict,
            Verdict::Stays => batch,
            Verdict::Becomes(new) => new,
        };
        if kept.is_transactional() && !kept.is_control() {
            self.with_records.insert(kept.producer_id);
        }
        // One that has passed has had its effect, unless it was set only now.
        let is_to_come = |horizon: &i64| *horizon > now_ms || batch.delete_horizon().is_none();
        let to_come = kept.delete_horizon().filter(is_to_come);
        self.next_horizon = self.next_horizon.into_iter().chain(to_come).min();
        verdict
    }

    fn judged(&mut self, batch: &Batch, now_ms: i64) -> Verdict {
        let time_has_come = batch.delete_horizon().is_some_and(|horizon| horizon <= now_ms);
        let new_horizon =
            batch.delete_horizon().is_none().then(|| now_ms.saturating_add(self.delete_retention_ms));
        let rebuilt = |records: &[RawRecord<'_>], horizon| {
            // What cannot be rebuilt stays as it is.
            batch.rebuilt(records, horizon).map_or(Verdict::Stays, Verdict::Becomes)
        };
        if self.is_aborted(batch) && !batch.is_control() {
            return Verdict::Goes;
        }
        let is_needed = batch.is_control() && self.with_records.remove(&batch.producer_id);
        if is_needed {
            return Verdict::Stays;
        }
        if batch.is_control() && time_has_come {
            return Verdict::Goes;
        }
        let verdict = batch.look_at_raw(|records| {
            let Ok(records) = records.collect::<Result<Vec<_>, _>>() else { return Verdict::Stays };
            if batch.is_control() {
                return if new_horizon.is_some() { rebuilt(&records, new_horizon) } else { Verdict::Stays };
            }
            let stays = |record: &&RawRecord<'_>| self.stays(record, time_has_come);
            let kept: Vec<RawRecord<'_>> = records.iter().filter(stays).copied().collect();
            let horizon = new_horizon.filter(|_| kept.iter().any(|record| record.is_tombstone));
            match kept.len() {
                0 => Verdict::Goes,
                all if all == records.len() && horizon.is_none() => Verdict::Stays,
                _ => rebuilt(&kept, horizon),
            }
        });
        verdict.unwrap_or(Verdict::Stays)
    }

    fn stays(&self, record: &RawRecord<'_>, time_has_come: bool) -> bool {
        let Some(key) = record.key else { return false };
        let is_newest = self.newest.get(&self.hash(key)).is_none_or(|newest| *newest <= record.offset);
        is_newest && !(record.is_tombstone && time_has_come)
    }
}

#[cfg(test)]
#[path = "compactor_tests.rs"]
mod tests;
