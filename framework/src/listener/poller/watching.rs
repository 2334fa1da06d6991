//! A look at what is in flight, every now and then: ages, figures, and records that are stuck.

use std::time::Duration;

use metrics::gauge;
use tracing::{info, warn};

use super::Poller;
use crate::listener::consumer_state::StuckRecord;
use crate::listener::events::ListenerEventKind;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::tracker::Slot;
use crate::listener::watch::Found;
use crate::observe::names;
use crate::record::{Stored, escaped};

/// How often the poll thread looks, unless records count as stuck sooner.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// And how often at most.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);

impl<C: GroupConsumer> Poller<C> {
    /// Publishes what is in flight, if it is time.
    pub(super) fn look_around(&mut self) {
        let now = self.now();
        if now < self.next_look {
            return;
        }
        let limit = self.shared.options.stuck_after;
        let interval = if limit.is_zero() { LOOK_INTERVAL } else { LOOK_INTERVAL.min(limit / 4) };
        let interval = self.idle.look_interval().map_or(interval, |idle| interval.min(idle));
        self.next_look = now + interval.max(LOOK_INTERVAL_MIN);

        let mut stuck = Vec::new();
        let slots: Vec<Slot> = self.partitions.keys().copied().collect();
        let mut in_flight = 0;
        for slot in slots {
            in_flight += self.tracker.in_flight(slot);
            let look = self.watch.look(slot, &self.tracker, now, limit);
            self.publish_age(slot, look.age);
            match look.found {
                Found::Nothing => {}
                Found::MovedOn(offset) => {
                    let Some(partition) = self.partitions.get(&slot).cloned() else { continue };
                    info!(listener = %self.shared.listener, %partition, offset, "a stuck record is done");
                    self.tell(|consumer| ListenerEventKind::NoLongerStuck { consumer, partition, offset });
                }
                Found::Stuck(offset) | Found::StillStuck(offset) => {
                    let Some(record) = self.stuck_record(slot, offset, look.age) else { continue };
                    if let Found::Stuck(_) = look.found {
                        warn!(listener = %self.shared.listener, group = %self.shared.group, "{record}");
                        let told = || record.clone();
                        self.tell(|consumer| ListenerEventKind::Stuck { consumer, record: told() });
                    }
                    stuck.push(record);
                }
            }
        }
        self.shared.metrics.set_in_flight(in_flight, self.lanes.load().bytes);
        self.shared.set_stuck(stuck);
        if in_flight == 0 {
            self.note_nothing_to_do();
        } else {
            self.note_busy();
        }
    }

    /// Forgets a partition that is given up.
    pub(super) fn stop_watching(&mut self, slot: Slot) {
        self.publish_age(slot, Duration::ZERO);
        self.watch.forget(slot);
        self.chunks.remove(&slot);
    }

    fn publish_age(&self, slot: Slot, age: Duration) {
        let Some(partition) = self.partitions.get(&slot) else { return };
        let labels = [
            (names::LABEL_LISTENER, self.shared.listener.clone()),
            (names::LABEL_TOPIC, partition.topic.to_string()),
            (names::LABEL_PARTITION, partition.partition.to_string()),
        ];
        gauge!(names::LISTENER_IN_FLIGHT_AGE, &labels).set(age.as_secs_f64());
    }

    fn stuck_record(&self, slot: Slot, offset: i64, age: Duration) -> Option<StuckRecord> {
        let partition = self.partitions.get(&slot)?;
        let key = self.key_of(slot, offset);
        Some(StuckRecord {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset,
            key,
            age,
        })
    }

    /// The key of an open record, safe to log; none if the record has none, or if only its `Ack` is still alive.
    fn key_of(&self, slot: Slot, offset: i64) -> Option<String> {
        let chunks = self.chunks.get(&slot)?;
        let (_, chunk) = chunks.get(chunks.partition_point(|(last, _)| *last < offset))?;
        let chunk = chunk.upgrade()?;
        let index = chunk.records.binary_search_by_key(&offset, Stored::offset).ok()?;
        chunk.records[index].key().map(|key| escaped(key).to_string())
    }
}
