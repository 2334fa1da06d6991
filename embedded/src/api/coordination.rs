//! Requests about a group or a transactional id, at a broker that does not coordinate it.

use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::{Caller, refusals};
use crate::cluster::Coordinated;
use crate::state::State;
use crate::wire::{Malformed, Request};

/// The first version of `OffsetFetch` that names several groups, each of which is answered for itself.
const FIRST_WITH_GROUPS: i16 = 8;

/// The first version of `AddPartitionsToTxn` that only brokers use.
const FIRST_OF_BROKERS: i16 = 4;

/// What a request is about, if one coordinator alone may answer it.
pub(crate) fn subject(request: &Request) -> Option<(Coordinated, &str)> {
    // An empty id is refused everywhere, for being empty.
    named(request).filter(|(_, id)| !id.is_empty())
}

fn named(request: &Request) -> Option<(Coordinated, &str)> {
    let first = || {
        let [first] = request.leading_texts();
        first
    };
    match request.key {
        ApiKey::OffsetFetch if request.version >= FIRST_WITH_GROUPS => None,
        ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::OffsetDelete
        | ApiKey::ConsumerGroupHeartbeat => first().map(|group| (Coordinated::Group, group)),
        ApiKey::TxnOffsetCommit => {
            let [_, group] = request.leading_texts();
            group.map(|group| (Coordinated::Group, group))
        }
        ApiKey::AddPartitionsToTxn if request.version >= FIRST_OF_BROKERS => None,
        // Without an id, any broker gives out a producer's number.
        ApiKey::InitProducerId | ApiKey::AddPartitionsToTxn | ApiKey::AddOffsetsToTxn | ApiKey::EndTxn => {
            first().map(|id| (Coordinated::Transaction, id))
        }
        _ => None,
    }
}

/// `NOT_COORDINATOR`, if another broker coordinates what the request is about.
pub(super) fn misplaced(
    state: &State,
    caller: &Caller,
    request: &Request,
) -> Result<Option<BytesMut>, Malformed> {
    if state.cluster.nodes().len() == 1 {
        return Ok(None);
    }
    let Some((what, id)) = subject(request) else { return Ok(None) };
    if state.cluster.coordinates(caller.node, what, id) {
        return Ok(None);
    }
    refusals::refuse(request, ResponseError::NotCoordinator)
}

/// Ends when this broker is no longer the coordinator of what the request is about, and answers it with that.
pub(super) async fn lost(
    state: &State,
    caller: &Caller,
    request: &Request,
) -> Result<Option<BytesMut>, Malformed> {
    match subject(request) {
        Some((what, id)) => state.cluster.lost(caller.node, what, id).await,
        None => std::future::pending().await,
    }
    refusals::refuse(request, ResponseError::NotCoordinator)
}
