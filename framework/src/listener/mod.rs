//! The delivery engine: from librdkafka to handlers and back to committed offsets.
//!
//! ```text
//! poll thread (one a consumer)                    lanes (tasks; threads for a plain fn)
//!   poll a batch ── split by partition ──────────► bounded chunks ─► extract ─► handler ─► policy
//!   answer the group, read statistics                                                    │
//!   commit what the tracker offers ◄── settlements: one box, emptied in one go ──────────┘
//! ```
//! In reading order: [`tracker`] and [`rebalance`] decide, [`offset_map`] keeps what is done out of order, [`committer`]
//! times, [`room`] bounds and [`watch`] notices what is stuck; [`lanes`] run handlers in order and [`key_lane`] by key,
//! with [`key_queues`], [`running`] and [`handler_threads`]; [`settlements`] carries their results, [`poller`] owns the
//! consumer, [`container`] owns the poll threads, and [`events`] tells of them.

mod answers;
mod committer;
mod consumer_state;
mod container;
mod control;
mod events;
mod group_consumer;
mod handler_threads;
mod idle;
mod kept;
mod key_lane;
mod key_queues;
mod lane_set;
mod lanes;
mod offset_map;
mod paused;
mod poller;
mod rebalance;
mod redelivery;
mod registry;
mod requests;
mod room;
mod running;
mod settlements;
#[cfg(feature = "simulation")]
pub mod simulation;
mod statistics;
mod tracker;
mod watch;

pub(crate) use answers::Answer;
pub use consumer_state::StuckRecord;
pub use container::ListenerState;
pub(crate) use container::{Container, ListenerSpec};
pub use control::{ListenerControlError, ListenerControlErrorKind, SeekTo};
pub use events::{ListenerEvent, ListenerEventKind, ListenerEvents, MissedEvents};
pub(crate) use lanes::LaneControl;
pub use lanes::{Handler, batch_handler, record_handler};
pub use offset_map::{OffsetMap, OffsetMapError};
pub use registry::{ListenerInfo, ListenerRegistry, UnknownListener};
pub(crate) use settlements::Settlements;
