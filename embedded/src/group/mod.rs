//! Consumer groups: who is a member, who has which partitions, and how far each group has come.

mod classic;
pub(crate) mod consumer;
pub(crate) mod coordinator;
mod kinds;
pub(crate) mod member;
mod offsets;
pub(crate) mod settings;
mod subscriptions;

pub(crate) use classic::{
    ClassicGroup, Departure, GroupState, JoinRequest, StoredGeneration, StoredMember, SyncRequest,
};
pub(crate) use kinds::{Committer, Group, Kind};
pub(crate) use offsets::{CommittedOffset, OffsetStore};

/// Members of one group.
const MAX_MEMBERS: usize = 1_000;
