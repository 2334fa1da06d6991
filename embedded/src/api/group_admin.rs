//! `ListGroups`, `DescribeGroups` and `DeleteGroups`.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Caller, code_of, text};
use crate::cluster::Coordinated;
use crate::group::{ClassicGroup, GroupState, Kind};
use crate::state::State;

/// The first version in which an unknown group is an error.
const FIRST_WITH_NOT_FOUND: i16 = 6;

pub(super) fn list(state: &State, caller: &Caller, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let listed = state.groups.map(|(id, group)| {
        let (name, kind) = (group.state_name(), group.type_name());
        let listed = ListedGroup::default()
            .with_group_id(GroupId(text(id)))
            .with_protocol_type(text(group.protocol_type()))
            .with_group_state(text(name))
            .with_group_type(text(kind));
        let here = state.cluster.coordinates(caller.node, Coordinated::Group, id);
        (here && wanted(&request.states_filter, name) && wanted(&request.types_filter, kind))
            .then_some(listed)
    });
    ListGroupsResponse::default().with_groups(listed.into_iter().flatten().collect())
}

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        if !state.cluster.coordinates(caller.node, Coordinated::Group, &id) {
            let error = ResponseError::NotCoordinator.code();
            return DescribedGroup::default().with_group_id(id).with_error_code(error);
        }
        let described = state.groups.with(&id, |group, _| match group.kind() {
            Kind::Classic(classic) => described(classic),
            Kind::Consumer(_) => unknown(version, "the group is no group of the classic protocol"),
        });
        described.unwrap_or_else(|| unknown(version, "there is no such group")).with_group_id(id)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn unknown(version: i16, why: &str) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    if version < FIRST_WITH_NOT_FOUND {
        return dead;
    }
    dead.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(text(why)))
}

fn described(group: &ClassicGroup) -> DescribedGroup {
    let stable = group.state() == GroupState::Stable;
    let protocol = group.protocol().filter(|_| stable).unwrap_or_default();
    let members = group.members().map(|(id, member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(member.instance.clone().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata(protocol))
            .with_member_assignment(if stable { member.assignment.clone() } else { Bytes::new() })
    });
    DescribedGroup::default()
        .with_group_state(text(group.state().name()))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(protocol))
        .with_members(members.collect())
}

pub(super) fn delete(state: &State, caller: &Caller, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let here = state.cluster.coordinates(caller.node, Coordinated::Group, &id);
        let result =
            if here { state.groups.delete(&id, &state.storage) } else { Err(ResponseError::NotCoordinator) };
        DeletableGroupResult::default().with_error_code(code_of(&result)).with_group_id(id)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
