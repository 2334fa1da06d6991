//! From polled records to chunks for the lanes.

use std::sync::Arc;

use kafka_boot_client::TopicPartition;
use tracing::warn;

use super::Poller;
use crate::listener::group_consumer::{GroupConsumer, PolledRecord};
use crate::listener::tracker::{Delivery, Slot};
use crate::record::{Chunk, Stored};

impl<C: GroupConsumer> Poller<C> {
    /// Splits polled records by partition and hands them to their lanes, in chunks.
    pub(super) fn deliver(&mut self, records: &mut Vec<C::Record>) {
        if records.is_empty() {
            return;
        }
        self.shared.metrics.received.increment(records.len() as u64);
        self.shared.records_arrived();
        self.note_busy();
        let mut open: Vec<(Slot, Vec<Stored>)> = Vec::new();
        let mut current: Option<((usize, i32), Option<usize>)> = None;
        for record in records.drain(..) {
            let key = (record.topic_id(), record.partition());
            let index = match current {
                Some((last, index)) if last == key => index,
                _ => {
                    let slot = self.route(key, &record);
                    let index = slot.map(|slot| {
                        open.iter().position(|(open, _)| *open == slot).unwrap_or_else(|| {
                            open.push((slot, Vec::new()));
                            open.len() - 1
                        })
                    });
                    current = Some((key, index));
                    index
                }
            };
            match index {
                Some(index) => open[index].1.push(record.into_stored()),
                None => self.shared.metrics.unassigned.increment(1),
            }
        }
        for (slot, records) in open {
            self.hand_over(slot, records);
        }
        self.lanes.dispatch(&self.tracker);
    }

    fn route(&mut self, key: (usize, i32), record: &C::Record) -> Option<Slot> {
        if let Some(slot) = self.routes.get(&key) {
            return *slot;
        }
        let slot = self.rebalance.slot(&TopicPartition::new(record.topic(), record.partition()));
        self.routes.insert(key, slot);
        slot
    }

    fn hand_over(&mut self, slot: Slot, mut records: Vec<Stored>) {
        let Some(partition) = self.partitions.get(&slot).cloned() else { return };
        self.count_gone(slot, &partition, &records);
        // Asked before they are delivered: with its last record, what the last owner had finished is forgotten.
        let finished: Vec<bool> = if self.tracker.has_finished(slot) {
            records.iter().map(|record| self.tracker.is_finished(slot, record.offset())).collect()
        } else {
            Vec::new()
        };
        let size_of = |record: &Stored| (record.offset(), record.bytes());
        let slot = match self.tracker.deliver(slot, records.iter().map(size_of)) {
            Delivery::Tracked => {
                self.leave_out(slot, &mut records, &finished);
                slot
            }
            Delivery::Unknown => return,
            Delivery::Rewound => {
                warn!(listener = %self.shared.listener, %partition, "the position was moved back; records in flight are dropped and read again");
                self.set_position_behind(slot, &partition, &records);
                self.rebalance.restart(&partition, &mut self.actions);
                self.carry_out();
                let Some(slot) = self.rebalance.slot(&partition) else { return };
                self.tracker.deliver(slot, records.iter().map(size_of));
                slot
            }
        };
        self.park(slot, &partition, records);
    }

    /// Drops the records that the partition's last owner had finished.
    fn leave_out(&mut self, slot: Slot, records: &mut Vec<Stored>, finished: &[bool]) {
        let mut is_finished = finished.iter();
        let before = records.len();
        records.retain(|_| !is_finished.next().copied().unwrap_or_default());
        let count = before - records.len();
        if count > 0 {
            self.shared.metrics.finished_before.increment(count as u64);
            self.committer.settled(slot, count, false);
            self.committer.boundary(slot, 0, self.started.elapsed());
        }
    }

    /// Cuts records into chunks, and keeps those for the lane until it has room.
    fn park(&mut self, slot: Slot, partition: &TopicPartition, records: Vec<Stored>) {
        let (records_max, bytes_max) =
            (self.shared.options.max_poll_records, self.lanes.room().chunk_bytes_max());
        let chunks = self.chunks.entry(slot).or_default();
        if let Some(first_open) = self.tracker.lowest_unsettled(slot) {
            while chunks.front().is_some_and(|(last, _)| *last < first_open) {
                chunks.pop_front();
            }
        }
        let (mut total, mut count) = (0u64, 0u64);
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let mut part: Vec<Stored> = Vec::with_capacity(records_max.min(records.len()));
            let mut bytes = 0;
            while part.len() < records_max
                && let Some(record) = records
                    .next_if(|record| part.is_empty() || bytes + u64::from(record.bytes()) <= bytes_max)
            {
                bytes += u64::from(record.bytes());
                part.push(record);
            }
            total += bytes;
            count += part.len() as u64;
            let last = part.last().map_or(-1, Stored::offset);
            let chunk = Arc::new(Chunk {
                topic: Arc::clone(&partition.topic),
                partition: partition.partition,
                records: part,
                bytes,
            });
            chunks.push_back((last, Arc::downgrade(&chunk)));
            self.committer.dispatched(slot);
            self.lanes.park(slot, chunk);
        }
        self.record_bytes = total.checked_div(count).unwrap_or(self.record_bytes);
    }
}
