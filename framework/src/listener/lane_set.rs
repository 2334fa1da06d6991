//! The lanes of one consumer, as its poll thread holds them: started, fed, stopped and joined here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_boot_client::TopicPartition;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::consumer_state::ConsumerShared;
use super::lanes::{Handler, Lane, LaneControl, LaneShared};
use super::tracker::{Slot, Tracker};
use crate::record::Chunk;

/// How many chunks a lane's queue holds; what is beyond is parked with the poll thread.
const QUEUED_CHUNKS_MAX: usize = 64;
/// How long abandoned lanes may take to end when the consumer closes, before they are left behind.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A chunk on its way to a lane.
pub(crate) struct Dispatch {
    pub(crate) slot: Slot,
    pub(crate) chunk: Arc<Chunk>,
}

/// The lanes of one consumer.
pub(crate) struct LaneSet {
    shared: Arc<LaneShared>,
    handler: Arc<dyn Handler>,
    runtime: Handle,
    in_flight_max: usize,
    lanes: BTreeMap<Slot, LaneHandle>,
    /// Lanes that were told to end and have not been joined.
    ending: Vec<LaneJoin>,
    parked_unpaused: usize,
}

struct LaneHandle {
    chunks: mpsc::Sender<Arc<Chunk>>,
    control: Arc<LaneControl>,
    partition: TopicPartition,
    join: Option<LaneJoin>,
    parked: VecDeque<Arc<Chunk>>,
    paused: bool,
    stopping: bool,
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
            in_flight_max: consumer.options.in_flight_max,
            lanes: BTreeMap::new(),
            ending: Vec::new(),
            parked_unpaused: 0,
        }
    }

    pub(crate) fn start(&mut self, slot: Slot, partition: &TopicPartition) {
        self.ending.retain(|lane| !lane.is_finished());
        let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS_MAX);
        let control = Arc::new(LaneControl::default());
        let name = partition.to_string();
        let lane = Lane::new(Arc::clone(&self.shared), Arc::clone(&control), slot, name, receiver);
        let run = lane.run(Arc::clone(&self.handler));
        let join = if self.shared.blocking {
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
        } else {
            Some(LaneJoin::Task(self.runtime.spawn(run)))
        };
        let handle = LaneHandle {
            chunks: sender,
            control,
            partition: partition.clone(),
            join,
            parked: VecDeque::new(),
            paused: false,
            stopping: false,
        };
        self.lanes.insert(slot, handle);
    }

    /// Gives a chunk to its lane, or parks it behind what is parked already.
    pub(crate) fn dispatch(&mut self, dispatch: Dispatch, tracker: &Tracker) {
        let in_flight_max = self.in_flight_max;
        let Some(lane) = self.lanes.get_mut(&dispatch.slot).filter(|lane| !lane.stopping) else { return };
        let has_room = lane.parked.is_empty()
            && tracker.in_flight(dispatch.slot) <= in_flight_max.max(dispatch.chunk.records.len());
        let rejected = if has_room {
            lane.chunks.try_send(dispatch.chunk).err().map(mpsc::error::TrySendError::into_inner)
        } else {
            Some(dispatch.chunk)
        };
        if let Some(chunk) = rejected {
            if lane.parked.is_empty() && !lane.paused {
                self.parked_unpaused += 1;
            }
            lane.parked.push_back(chunk);
        }
    }

    /// Gives lanes what is parked for them, as far as they have room.
    pub(crate) fn dispatch_parked(&mut self, tracker: &Tracker) {
        for (slot, lane) in &mut self.lanes {
            if lane.parked.is_empty() {
                continue;
            }
            let parked_records: usize = lane.parked.iter().map(|chunk| chunk.records.len()).sum();
            let mut at_lane = tracker.in_flight(*slot).saturating_sub(parked_records);
            while let Some(chunk) = lane.parked.pop_front() {
                let fits = at_lane == 0 || at_lane + chunk.records.len() <= self.in_flight_max;
                at_lane += chunk.records.len();
                if !fits {
                    lane.parked.push_front(chunk);
                    break;
                }
                if let Err(full) = lane.chunks.try_send(chunk) {
                    lane.parked.push_front(full.into_inner());
                    break;
                }
            }
            if lane.parked.is_empty() && !lane.paused {
                self.parked_unpaused -= 1;
            }
        }
    }

    pub(crate) fn is_any_parked(&self) -> bool {
        self.parked_unpaused > 0
    }

    /// The partitions whose lanes are full and that are not paused; they count as paused from now on.
    pub(crate) fn take_to_pause(&mut self) -> Vec<TopicPartition> {
        self.parked_unpaused = 0;
        let full =
            self.lanes.values_mut().filter(|lane| !lane.parked.is_empty() && !lane.paused && !lane.stopping);
        full.map(|lane| {
            lane.paused = true;
            lane.partition.clone()
        })
        .collect()
    }

    /// The paused partitions whose lanes are at most half full; they count as running from now on.
    pub(crate) fn take_to_resume(&mut self, tracker: &Tracker) -> Vec<TopicPartition> {
        let half = self.in_flight_max / 2;
        let paused = self.lanes.iter_mut().filter(|(_, lane)| lane.paused && !lane.stopping);
        let free = paused.filter(|(slot, lane)| lane.parked.is_empty() && tracker.in_flight(**slot) <= half);
        free.map(|(_, lane)| {
            lane.paused = false;
            lane.partition.clone()
        })
        .collect()
    }

    pub(crate) fn stop(&mut self, slot: Slot) {
        if let Some(lane) = self.lanes.get_mut(&slot) {
            if !lane.parked.is_empty() && !lane.paused {
                self.parked_unpaused -= 1;
            }
            lane.parked.clear();
            lane.stopping = true;
            lane.control.stop();
        }
    }

    pub(crate) fn abandon(&mut self, slot: Slot) {
        self.stop(slot);
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        if let Some(join) = lane.join.take() {
            if !join.is_finished() {
                warn!(listener = %self.shared.listener, partition = %lane.partition, "a lane is left behind: its record will be handled again");
                join.abort();
            }
            self.ending.push(join);
        }
    }

    /// The lane reported its end; `false` if nobody had told it to end.
    pub(crate) fn ended(&mut self, slot: Slot) -> bool {
        let Some(lane) = self.lanes.get_mut(&slot) else { return true };
        self.ending.extend(lane.join.take());
        lane.stopping
    }

    /// Whether the slot's partition is paused because its lane is full.
    pub(crate) fn is_paused(&self, slot: Slot) -> bool {
        self.lanes.get(&slot).is_some_and(|lane| lane.paused)
    }

    pub(crate) fn forget(&mut self, slot: Slot) {
        self.stop(slot);
        if let Some(join) = self.lanes.remove(&slot).and_then(|lane| lane.join) {
            self.ending.push(join);
        }
    }

    pub(crate) fn committed(&self, slot: Slot, offset: i64) {
        if let Some(lane) = self.lanes.get(&slot) {
            lane.control.committed(offset);
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
    }
}
