//! Lanes alone, over records made by hand: what a record costs from the lane's queue to the box of settlements, without a
//! client and without a broker. For the benchmark that counts instructions and allocations; see `benches/per-record`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::events::EventBus;
use super::gate::Gate;
use super::handler_threads::HandlerThreads;
use super::key_lane::KeyLane;
use super::lane_control::LaneControl;
use super::lanes::{Lane, LaneMetrics, LaneShared};
use super::permits::Permits;
use super::recovery::Recovery;
use super::settlements::{Reports, Settlements};
use super::tracker::Slot;
use crate::beans::Beans;
use crate::config::model::{AckMode, ConsumerProperties, ErrorProperties, Ordering};
use crate::config::{LoadOptions, Settings};
use crate::error::StartError;
use crate::handler::{Interception, ListenerDescriptor, PlanContext};
use crate::policy::ErrorPolicy;
use crate::record::{Chunk, Made, Stored};

/// How many records a chunk has: as many as a poll hands over at most.
pub const CHUNK_RECORDS: u64 = 500;
/// How many different keys they have.
const KEYS: u64 = 100;

/// Gives a listener's handler `chunks` chunks of records with this value, and waits until they are settled.
///
/// # Errors
/// The handler cannot be made.
pub async fn run(
    listener: &ListenerDescriptor,
    ordering: Ordering,
    value: &[u8],
    chunks: u64,
) -> Result<(), StartError> {
    let beans = Beans::new(Arc::new(Settings::load(LoadOptions::default())?));
    let handler: Arc<_> = (listener.build)(&PlanContext::new(&beans, listener.id))?.into();
    let shared = Arc::new(shared(listener.id, ordering, &beans));
    let control = Arc::new(LaneControl::default());
    let (sender, receiver) = mpsc::channel(1);
    let (slot, name) = (Slot(1), "bench-0".to_owned());
    let lane = if ordering == Ordering::Partition {
        tokio::spawn(Lane::new(Arc::clone(&shared), control, slot, name, receiver).run(handler))
    } else {
        tokio::spawn(KeyLane::new(Arc::clone(&shared), control, slot, name, receiver).run(handler))
    };
    let chunk = Arc::new(chunk(value));
    let mut reports = Reports::default();
    for _ in 0..chunks {
        // An error means that the lane has ended; whoever counts sees that nothing was done.
        drop(sender.send(Arc::clone(&chunk)).await);
        shared.settlements.take(&mut reports);
    }
    drop(sender);
    drop(lane.await);
    Ok(())
}

/// The records, which are the same in each chunk: a lane does not look at offsets.
fn chunk(value: &[u8]) -> Chunk {
    let made = |number: u64| {
        let key = Some((number % KEYS).to_be_bytes().to_vec());
        let offset = i64::try_from(number).unwrap_or(i64::MAX);
        Stored::Made(Box::new(Made { key, payload: Some(value.to_vec()), offset, ..Made::default() }))
    };
    Chunk { topic: "bench".into(), partition: 0, records: (0..CHUNK_RECORDS).map(made).collect(), bytes: 0 }
}

fn shared(listener: &str, ordering: Ordering, beans: &Beans) -> LaneShared {
    let consumer = ConsumerProperties::default();
    LaneShared {
        listener: listener.to_owned(),
        settlements: Settlements::new(),
        policy: ErrorPolicy::new(&ErrorProperties::default(), &[], None),
        recovery: Recovery::new(listener, None),
        ordering,
        ack: AckMode::Batch,
        wait_for_commit: false,
        blocking: false,
        gate: Gate::new(listener, &consumer, EventBus::default().of(listener)),
        handler_timeout: None,
        permits: Permits::new(256),
        threads: HandlerThreads::new(Handle::current(), listener.to_owned(), 1),
        interception: Interception::of(beans, listener),
        retrying: AtomicUsize::new(0),
        metrics: LaneMetrics::of(listener),
        transactions: None,
    }
}
