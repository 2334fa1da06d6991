//! The delivery engine: from librdkafka to handlers and back to committed offsets.
//!
//! ```text
//! poll thread (one a consumer)                    lanes (tasks; threads for a plain fn)
//!   poll a batch ── split by partition ──────────► bounded chunks ─► extract ─► handler ─► policy
//!   answer the group, read statistics                                                    │
//!   commit what the tracker offers ◄── settlements: one box, emptied in one go ──────────┘
//! ```
//! In reading order: [`tracker`] and [`rebalance`] decide, [`committer`] times, [`lanes`] run handlers, [`settlements`]
//! carries their results, [`poller`] owns the consumer, [`container`] owns the poll threads.

mod committer;
mod consumer_state;
mod container;
mod lane_set;
mod lanes;
mod poller;
mod rebalance;
mod registry;
mod settlements;
mod statistics;
mod tracker;

pub use container::ListenerState;
pub(crate) use container::{Container, ListenerSpec};
pub use lanes::{Handler, batch_handler, record_handler};
pub use registry::{ListenerInfo, ListenerRegistry, UnknownListener};
pub(crate) use settlements::Settlements;
