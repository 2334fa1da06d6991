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

mod tracker;
mod rebalance;
mod committer;
mod settlements;
mod lanes;
mod lane_set;
mod statistics;
mod consumer_state;
mod poller;
mod container;
mod registry;

pub(crate) use container::{Container, ListenerSpec};
pub use container::ListenerState;
pub use lanes::{Handler, Lane, batch_handler, record_handler};
pub use registry::{ListenerInfo, ListenerRegistry};
pub(crate) use settlements::Settlements;
