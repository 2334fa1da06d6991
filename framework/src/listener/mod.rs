//! The delivery engine: from librdkafka to handlers and back to committed offsets.
//!
//! ```text
//! poll thread (one a consumer)                    lanes (tasks; threads for a plain fn)
//!   poll a batch ── split by partition ──────────► bounded chunks ─► extract ─► handler ─► policy
//!   answer the group, read statistics                                                    │
//!   commit what the tracker offers ◄── settlements: one box, emptied in one go ──────────┘
//! ```
//! In reading order: [`tracker`] and [`rebalance`] decide, [`offset_map`] keeps what is done out of order, [`committer`]
//! times, [`room`] bounds and [`watch`] notices what is stuck; [`lanes`] run [`handlers`] in order and [`key_lane`] by key,
//! with [`key_queues`], [`running`], [`time_limits`] and [`handler_threads`], behind their [`gate`]; [`transactions`] are another
//! way to run them in order; [`recovery`] is the way out of all; [`settlements`] carries their results, [`poller`] owns the consumer, [`container`] owns the poll threads,
//! makes them of their [`spec`] and takes on another [`tuning`], and [`events`] tells of them.

mod answers;
#[cfg(feature = "bench")]
pub mod bench;
mod committer;
mod consumer_state;
mod container;
mod control;
mod events;
mod gate;
mod group_consumer;
mod hand_overs;
mod hand_positions;
mod handler_threads;
mod handlers;
mod idle;
mod kept;
mod key_lane;
mod key_queues;
mod lane_control;
mod lane_set;
mod lanes;
mod offset_map;
mod paused;
mod permits;
mod poller;
mod rebalance;
mod recovery;
mod redelivery;
mod registry;
mod requests;
mod room;
mod running;
mod settlements;
#[cfg(feature = "simulation")]
pub mod simulation;
mod spec;
mod statistics;
mod subscription;
mod time_limits;
mod tracker;
mod transactions;
mod tuning;
mod watch;

pub(crate) use answers::Answer;
pub use consumer_state::StuckRecord;
pub(crate) use container::Container;
pub use container::ListenerState;
pub use control::{ListenerControlError, ListenerControlErrorKind, SeekTo};
pub use events::{ListenerEvent, ListenerEventKind, ListenerEvents, MissedEvents};
pub use gate::OpenCircuit;
pub use handlers::{Handler, batch_handler, filtered_batch_handler, record_handler};
pub(crate) use lane_control::LaneControl;
pub use offset_map::{OffsetMap, OffsetMapError};
pub use recovery::WaitingRecord;
pub use registry::{ListenerInfo, ListenerRegistry, UnknownListener};
pub(crate) use settlements::Settlements;
pub(crate) use spec::ListenerSpec;
pub(crate) use transactions::TransactionSpec;
pub(crate) use tuning::HANDLER_THREADS_MAX;
