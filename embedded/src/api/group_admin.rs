//! `ListGroups`, `DescribeGroups` and `DeleteGroups`.

use bytes::{Buf, Bytes};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{code_of, text};
use crate::group::{Group, GroupState};
use crate::state::State;

/// The one kind of group there is.
const CLASSIC: &str = "classic";

/// The protocol type of consumers, whose metadata says what they subscribe to.
const CONSUMER: &str = "consumer";

/// The first version in which an unknown group is an error.
const FIRST_WITH_NOT_FOUND: i16 = 6;

pub(super) fn list(state: &State, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let listed = state.groups.map(|(id, group)| {
        let name = group.state().name();
        let listed = ListedGroup::default()
            .with_group_id(GroupId(text(id)))
            .with_protocol_type(text(group.protocol_type()))
            .with_group_state(text(name))
            .with_group_type(text(CLASSIC));
        (wanted(&request.states_filter, name) && wanted(&request.types_filter, CLASSIC)).then_some(listed)
    });
    ListGroupsResponse::default().with_groups(listed.into_iter().flatten().collect())
}

pub(super) fn describe(
    state: &State,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let described = state.groups.with(&id, |group, _| described(group));
        described.unwrap_or_else(|| unknown(version)).with_group_id(id)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn unknown(version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    if version < FIRST_WITH_NOT_FOUND {
        return dead;
    }
    dead.with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(text("there is no such group")))
}

fn described(group: &Group) -> DescribedGroup {
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

pub(super) fn delete(state: &State, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let result = state.groups.delete(&id, &state.storage);
        DeletableGroupResult::default().with_error_code(code_of(&result)).with_group_id(id)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

/// Whether a member of the group consumes a topic.
pub(super) fn subscribes(group: &Group, topic: &str) -> bool {
    let Some(protocol) = group.protocol().filter(|_| group.protocol_type() == CONSUMER) else {
        return false;
    };
    group.members().any(|(_, member)| {
        let topics = subscribed_topics(member.metadata(protocol));
        // Whoever cannot be understood may well consume it.
        topics.is_none_or(|topics| topics.iter().any(|name| name == topic.as_bytes()))
    })
}

/// The topics at the beginning of a consumer's metadata, which are the same in all its versions.
fn subscribed_topics(mut metadata: Bytes) -> Option<Vec<Bytes>> {
    let _version = metadata.try_get_i16().ok()?;
    let count = metadata.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if length > metadata.len() {
            return None;
        }
        topics.push(metadata.split_to(length));
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_read_and_nonsense_is_not() {
        let cases: [(&[u8], Option<&[&str]>); 5] = [
            (&[0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 9, 9], Some(&["a", "bc"])),
            (&[0, 0, 0, 0, 0, 0], Some(&[])),
            (&[0, 0, 0x7f, 0xff, 0xff, 0xff], None),
            (&[0, 0, 0, 0, 0, 1, 0xff, 0xff], None),
            (&[0], None),
        ];
        for (bytes, expected) in cases {
            let topics = subscribed_topics(Bytes::copy_from_slice(bytes));
            let expected = expected.map(|names| names.iter().map(|name| Bytes::from(*name)).collect());
            assert_eq!(topics, expected, "{bytes:?}");
        }
    }
}
