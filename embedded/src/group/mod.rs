//! Consumer groups: who is a member, who has which partitions, and how far each group has come.

mod classic;
pub(crate) mod coordinator;
pub(crate) mod member;
mod offsets;

pub(crate) use classic::{Departure, Group, GroupState, JoinRequest, SyncRequest};
pub(crate) use offsets::{CommittedOffset, OffsetStore};
