//! Membership: `FindCoordinator`, `JoinGroup`, `SyncGroup`, `Heartbeat`, `LeaveGroup`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Caller, NOBODY, NONE, code_of, text};
use crate::cluster::{Coordinated, Node};
use crate::group::member::{Answer, Joined};
use crate::group::{Committer, Departure, JoinRequest, SyncRequest};
use crate::state::State;

/// What a coordinator coordinates, in `FindCoordinator`.
const GROUPS: i8 = 0;
const TRANSACTIONS: i8 = 1;

/// Kafka's longest session, in milliseconds. Its shortest of 6 s is not kept to, so that tests need not wait.
const MAX_SESSION_TIMEOUT_MS: i32 = 1_800_000;

pub(super) fn find_coordinator(
    state: &State,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let what = match request.key_type {
        GROUPS => Some(Coordinated::Group),
        TRANSACTIONS => Some(Coordinated::Transaction),
        _ => None,
    };
    if version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            match place_of(state, what, &key) {
                Ok(node) => Coordinator::default()
                    .with_node_id(node.id)
                    .with_host(text(&node.host))
                    .with_port(i32::from(node.port)),
                Err((error, message)) => Coordinator::default()
                    .with_node_id(NOBODY)
                    .with_port(-1)
                    .with_error_code(error.code())
                    .with_error_message(Some(text(message))),
            }
            .with_key(key)
        });
        return FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
    }
    match place_of(state, what, &request.key) {
        Ok(node) => FindCoordinatorResponse::default()
            .with_node_id(node.id)
            .with_host(text(&node.host))
            .with_port(i32::from(node.port)),
        Err((error, message)) => FindCoordinatorResponse::default()
            .with_node_id(NOBODY)
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message((version >= 1).then(|| text(message))),
    }
}

fn place_of<'a>(
    state: &'a State,
    what: Option<Coordinated>,
    key: &str,
) -> Result<&'a Node, (ResponseError, &'static str)> {
    let unknown =
        (ResponseError::InvalidRequest, "the embedded broker coordinates consumer groups and transactions");
    let gone = (ResponseError::CoordinatorNotAvailable, "no broker is there to coordinate it");
    state.cluster.coordinator(what.ok_or(unknown)?, key).ok_or(gone)
}

pub(super) async fn join(
    state: &State,
    caller: &Caller,
    client_id: &str,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    let member_id = request.member_id.to_string();
    let group_id = request.group_id.to_string();
    let answer = match join_request(caller, client_id, request, version) {
        Ok(join) if !group_id.is_empty() => state.groups.join(&group_id, join, &state.topics).await,
        Ok(_) => Answer::NotJoined(ResponseError::InvalidGroupId, member_id),
        Err(error) => Answer::NotJoined(error, member_id),
    };
    match answer {
        Answer::Joined(joined) => joined_response(joined, version),
        Answer::NotJoined(error, member_id) => refused_join(error, member_id, version),
        Answer::Synced(_) | Answer::NotSynced(_) => {
            refused_join(ResponseError::UnknownServerError, String::new(), version)
        }
    }
}

fn join_request(
    caller: &Caller,
    client_id: &str,
    request: JoinGroupRequest,
    version: i16,
) -> Result<JoinRequest, ResponseError> {
    if !(1..=MAX_SESSION_TIMEOUT_MS).contains(&request.session_timeout_ms) {
        return Err(ResponseError::InvalidSessionTimeout);
    }
    let session_timeout_ms = u64::from(request.session_timeout_ms.unsigned_abs());
    // The first version had one timeout for both.
    let rebalance_timeout_ms = u64::try_from(request.rebalance_timeout_ms).unwrap_or(session_timeout_ms);
    let instance = request.group_instance_id.map(|instance| instance.to_string());
    let stem = instance.as_deref().unwrap_or(client_id);
    let protocols = request.protocols.into_iter();
    Ok(JoinRequest {
        fresh_id: format!("{stem}-{}", Uuid::new_v4()),
        member_id: request.member_id.to_string(),
        instance,
        client_id: client_id.to_owned(),
        client_host: caller.host.clone(),
        session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.map(|protocol| (protocol.name.to_string(), protocol.metadata)).collect(),
        knows_two_rounds: version >= 4,
        knows_skipping: version >= 9,
    })
}

fn joined_response(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance.map(text))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(NONE)
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then(|| text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

fn refused_join(error: ResponseError, member_id: String, version: i16) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name((version < 7).then(StrBytes::new))
        .with_member_id(text(member_id))
}

pub(super) async fn sync(state: &State, request: SyncGroupRequest, version: i16) -> SyncGroupResponse {
    let assignments = request.assignments.into_iter();
    let sync = SyncRequest {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.map(|name| name.to_string()),
        protocol: request.protocol_name.map(|name| name.to_string()),
        assignments: assignments.map(|one| (one.member_id.to_string(), one.assignment)).collect(),
    };
    if request.group_id.is_empty() {
        return SyncGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    match state.groups.sync(&request.group_id, sync).await {
        Answer::Synced(synced) => {
            let names = version >= 5;
            SyncGroupResponse::default()
                .with_protocol_type(names.then(|| text(synced.protocol_type)))
                .with_protocol_name(names.then(|| text(synced.protocol)))
                .with_assignment(synced.assignment)
        }
        Answer::NotSynced(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Answer::Joined(_) | Answer::NotJoined(..) => {
            SyncGroupResponse::default().with_error_code(ResponseError::UnknownServerError.code())
        }
    }
}

pub(super) fn heartbeat(state: &State, request: &HeartbeatRequest) -> HeartbeatResponse {
    let instance = request.group_instance_id.as_deref();
    let result = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        let who = Committer { member_id: &request.member_id, instance, generation: request.generation_id };
        let beaten =
            state.groups.with(&request.group_id, |group, now_ms| group.heartbeat(now_ms, who, &state.topics));
        beaten.unwrap_or(Err(ResponseError::UnknownMemberId))
    };
    HeartbeatResponse::default().with_error_code(code_of(&result))
}

pub(super) fn leave(state: &State, request: &LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    let departure = |member: &MemberIdentity| Departure {
        member_id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(ToString::to_string),
    };
    let leave = |who: &[Departure]| {
        let left = state.groups.with(&request.group_id, |group, now_ms| group.leave(now_ms, who));
        left.unwrap_or_else(|| vec![Err(ResponseError::UnknownMemberId); who.len()])
    };
    if version < 3 {
        let who = Departure { member_id: request.member_id.to_string(), instance: None };
        let code = leave(&[who]).first().map_or(NONE, code_of);
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let who: Vec<Departure> = request.members.iter().map(departure).collect();
    let members = request.members.iter().zip(leave(&who)).map(|(member, left)| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(code_of(&left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
