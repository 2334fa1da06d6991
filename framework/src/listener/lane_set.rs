//! The lanes of one consumer, as its poll thread holds them: started, fed, stopped and joined here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_boot_client::TopicPartition;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::consumer_state::ConsumerShared;
use super::handlers::Handler;
use super::key_lane::KeyLane;
use super::lane_control::LaneControl;
use super::lanes::{Lane, LaneShared};
use super::room::{self, Load, Room};
use super::tracker::{Freed, Offer, Slot, Tracker};
use crate::config::model::Ordering;
use crate::observe::panics;
use crate::record::Chunk;

/// How many chunks a lane's queue holds; what is beyond is parked with the poll thread.
const QUEUED_CHUNKS_MAX: usize = 64;
/// How long abandoned lanes may take to end when the consumer closes, before they are left behind.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The lanes of one consumer.
pub(crate) struct LaneSet {
    shared: Arc<LaneShared>,
    handler: Arc<dyn Handler>,
    runtime: Handle,
    room: Room,
    lanes: BTreeMap<Slot, LaneHandle>,
    /// What all lanes were given and have not settled.
    load: Load,
    /// Lanes that were told to end and have not been joined.
    ending: Vec<LaneJoin>,
}

struct LaneHandle {
    chunks: mpsc::Sender<Arc<Chunk>>,
    control: Arc<LaneControl>,
    partition: TopicPartition,
    join: Option<LaneJoin>,
    parked: VecDeque<Arc<Chunk>>,
    /// How many records are in `parked`.
    parked_records: usize,
    /// What the lane was given and has not settled.
    load: Load,
    paused: bool,
    stopping: bool,
}

impl LaneHandle {
    /// Whether records wait for the lane although its partition is still fetched.
    fn is_stalled(&self) -> bool {
        !self.parked.is_empty() && !self.paused && !self.stopping
    }

    fn view(&self, slot: Slot, all: Load, lanes: usize) -> room::Lane {
        room::Lane { slot, own: self.load, parked: self.parked_records, all, lanes }
    }
}

enum LaneJoin {
    Task(tokio::task::JoinHandle<()>),
    Thread(std::thread::JoinHandle<()>),
}

impl LaneJoin {
    fn is_finished(&self) -> bool {
        match self {
            Self::Task(task) => task.is_finished(),
            Self::Thread(thread) => thread.is_finished(),
        }
    }

    /// Ends a task at its next wait; a thread cannot be ended, so its results are only ignored.
    fn abort(&self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

impl LaneSet {
    pub(crate) fn new(consumer: &ConsumerShared) -> Self {
        Self {
            shared: Arc::clone(&consumer.lanes),
            handler: Arc::clone(&consumer.handler),
            runtime: consumer.runtime.clone(),
            room: consumer.options.room,
            lanes: BTreeMap::new(),
            load: Load::default(),
            ending: Vec::new(),
        }
    }

    /// How much may be taken in.
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// Takes in more from now on, or less.
    pub(crate) fn resize(&mut self, room: Room) {
        self.room = room;
    }

    pub(crate) fn start(&mut self, slot: Slot, partition: &TopicPartition) {
        self.ending.retain(|lane| !lane.is_finished());
        let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS_MAX);
        let control = Arc::new(LaneControl::default());
        let name = partition.to_string();
        let (shared, handler) = (Arc::clone(&self.shared), Arc::clone(&self.handler));
        let join = if self.shared.ordering == Ordering::Partition {
            let lane = Lane::new(shared, Arc::clone(&control), slot, name, receiver);
            self.spawn(panics::caught(lane.run(handler)), partition)
        } else {
            let lane = KeyLane::new(shared, Arc::clone(&control), slot, name, receiver);
            Some(LaneJoin::Task(self.runtime.spawn(panics::caught(lane.run(handler)))))
        };
        let handle = LaneHandle {
            chunks: sender,
            control,
            partition: partition.clone(),
            join,
            parked: VecDeque::new(),
            parked_records: 0,
            load: Load::default(),
            paused: false,
            stopping: false,
        };
        self.lanes.insert(slot, handle);
    }

    /// Starts a lane in order: as a task, or on a thread of its own for a plain `fn`.
    fn spawn(
        &self,
        run: impl Future<Output = ()> + Send + 'static,
        partition: &TopicPartition,
    ) -> Option<LaneJoin> {
        if !self.shared.blocking || self.shared.is_on_threads() {
            return Some(LaneJoin::Task(self.runtime.spawn(run)));
        }
        let runtime = self.runtime.clone();
        let thread = std::thread::Builder::new()
            .name(format!("{}-{partition}", self.shared.listener))
            .spawn(move || runtime.block_on(run));
        match thread {
            Ok(thread) => Some(LaneJoin::Thread(thread)),
            Err(error) => {
                // The lane was moved into the closure and dropped with it, which reported its end as a failure.
                error!(listener = %self.shared.listener, %partition, %error, "could not start a lane's thread");
                None
            }
        }
    }

    /// Drops what is kept for lanes, if that is the seeded bug.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn seeded_bug_on_assign(&mut self) {
        if crate::seeded::is(crate::seeded::Bug::DropsBufferedOnAssign) {
            for lane in self.lanes.values_mut() {
                lane.parked.clear();
                lane.parked_records = 0;
            }
        }
    }

    /// Keeps a chunk for its lane, behind what is kept already.
    pub(crate) fn park(&mut self, slot: Slot, chunk: Arc<Chunk>) {
        let Some(lane) = self.lanes.get_mut(&slot).filter(|lane| !lane.stopping) else { return };
        lane.parked_records += chunk.records.len();
        lane.parked.push_back(chunk);
    }

    /// Gives lanes what is parked for them, as far as they have room.
    pub(crate) fn dispatch(&mut self, tracker: &Tracker) {
        let count = self.lanes.len();
        for (slot, lane) in &mut self.lanes {
            while let Some(chunk) = lane.parked.pop_front() {
                let load = Load::of(&chunk);
                let has_room = self.room.has_for(&lane.view(*slot, self.load, count), &chunk, tracker);
                let rejected = if has_room {
                    lane.chunks.try_send(chunk).err().map(mpsc::error::TrySendError::into_inner)
                } else {
                    Some(chunk)
                };
                if let Some(chunk) = rejected {
                    lane.parked.push_front(chunk);
                    break;
                }
                lane.parked_records -= load.records;
                lane.load.add(load);
                self.load.add(load);
            }
        }
    }

    /// A lane's records were settled.
    pub(crate) fn settled(&mut self, slot: Slot, freed: Freed, tracker: &Tracker) {
        if let Some(lane) = self.lanes.get_mut(&slot) {
            if let Some(next) = tracker.frontier(slot) {
                lane.control.settled_to(next);
            }
            let before = lane.load;
            lane.load.remove(Load { records: freed.records, bytes: freed.bytes });
            let gone =
                Load { records: before.records - lane.load.records, bytes: before.bytes - lane.load.bytes };
            self.load.remove(gone);
        }
    }

    /// What lanes were given and have not settled.
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    /// How many more bytes of records may be taken in before something has to be settled.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.room.bytes_max.saturating_sub(self.load.bytes)
    }

    pub(crate) fn is_any_parked(&self) -> bool {
        self.lanes.values().any(LaneHandle::is_stalled)
    }

    /// Whether a partition is paused until its lane has room.
    pub(crate) fn is_any_paused(&self) -> bool {
        self.lanes.values().any(|lane| lane.paused && !lane.stopping)
    }

    /// The partitions whose lanes are full and that are not paused; they count as paused from now on.
    pub(crate) fn take_to_pause(&mut self) -> Vec<TopicPartition> {
        let full = self.lanes.values_mut().filter(|lane| lane.is_stalled());
        full.map(|lane| {
            lane.paused = true;
            lane.partition.clone()
        })
        .collect()
    }

    /// The partitions whose lanes wait for their next record's time and that are not paused; they count as paused from now on.
    pub(crate) fn take_held(&mut self) -> Vec<TopicPartition> {
        if !self.shared.policy.is_delayed() {
            return Vec::new();
        }
        let held = self
            .lanes
            .values_mut()
            .filter(|lane| lane.control.is_holding() && !lane.paused && !lane.stopping);
        held.map(|lane| {
            lane.paused = true;
            lane.partition.clone()
        })
        .collect()
    }

    /// The paused partitions whose lanes are at most half full; they count as running from now on.
    pub(crate) fn take_to_resume(&mut self, tracker: &Tracker) -> Vec<TopicPartition> {
        let (all, count, room) = (self.load, self.lanes.len(), self.room);
        let paused = self.lanes.iter_mut().filter(|(_, lane)| lane.paused && !lane.stopping);
        let free = paused.filter(|(slot, lane)| {
            lane.parked.is_empty()
                && !lane.control.is_holding()
                && room.has_half(&lane.view(**slot, all, count), tracker)
        });
        free.map(|(_, lane)| {
            lane.paused = false;
            lane.partition.clone()
        })
        .collect()
    }

    pub(crate) fn stop(&mut self, slot: Slot) {
        if let Some(lane) = self.lanes.get_mut(&slot) {
            lane.parked.clear();
            lane.parked_records = 0;
            lane.stopping = true;
            lane.control.stop();
        }
    }

    /// Ends a lane that was told to stop and did not in time; `true` if its handler is still at work.
    pub(crate) fn abandon(&mut self, slot: Slot) -> bool {
        self.stop(slot);
        let Some(lane) = self.lanes.get_mut(&slot) else { return false };
        let mut is_at_work = false;
        if let Some(join) = lane.join.take() {
            is_at_work = !join.is_finished();
            if is_at_work {
                warn!(listener = %self.shared.listener, partition = %lane.partition, "a lane is left behind: its record will be handled again");
                join.abort();
            }
            self.ending.push(join);
        }
        is_at_work
    }

    /// The lane reported its end; `false` if nobody had told it to end.
    pub(crate) fn ended(&mut self, slot: Slot) -> bool {
        let Some(lane) = self.lanes.get_mut(&slot) else { return true };
        self.ending.extend(lane.join.take());
        lane.stopping
    }

    /// Whether nothing of the slot is in hand any more.
    pub(crate) fn has_ended(&self, slot: Slot) -> bool {
        self.lanes.get(&slot).is_none_or(|lane| lane.join.is_none())
    }

    /// Whether the slot's partition is paused because its lane is full.
    pub(crate) fn is_paused(&self, slot: Slot) -> bool {
        self.lanes.get(&slot).is_some_and(|lane| lane.paused)
    }

    pub(crate) fn forget(&mut self, slot: Slot) {
        self.stop(slot);
        if let Some(lane) = self.lanes.remove(&slot) {
            self.load.remove(lane.load);
            self.ending.extend(lane.join);
        }
    }

    pub(crate) fn committed(&self, offer: Offer) {
        if let Some(lane) = self.lanes.get(&offer.slot) {
            let is_ordered = self.shared.ordering == Ordering::Partition;
            let settled = i64::try_from(offer.mark).unwrap_or(i64::MAX);
            lane.control.committed(if is_ordered { offer.offset } else { settled });
        }
    }

    /// Joins every lane that ended; waits a moment for those that are ending.
    pub(crate) fn join(&mut self) {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        for lane in self.ending.drain(..) {
            while !lane.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !lane.is_finished() {
                warn!(listener = %self.shared.listener, "a handler did not return in time and is left behind");
                continue;
            }
            if let LaneJoin::Thread(thread) = lane {
                // A panic of the lane itself was reported when it ended.
                drop(thread.join());
            }
        }
        let left_behind = self.shared.threads.close(deadline.max(Instant::now()));
        if left_behind > 0 {
            warn!(listener = %self.shared.listener, handlers = left_behind, "handlers did not return in time and are left behind");
        }
    }
}
