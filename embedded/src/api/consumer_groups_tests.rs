//! What the requests about groups of the new protocol are answered.

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
};

use super::super::group_admin;
use super::*;

const MEMBER: &str = "member-1";

fn name(name: &'static str) -> StrBytes {
    StrBytes::from_static_str(name)
}

fn join() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(name("fleet")))
        .with_member_id(name(MEMBER))
        .with_rebalance_timeout_ms(1_000)
        .with_subscribed_topic_names(Some(vec![TopicName(name("orders"))]))
        .with_topic_partitions(Some(Vec::new()))
}

fn send(
    state: &State,
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
) -> ConsumerGroupHeartbeatResponse {
    heartbeat(state, &caller(), "client", request, version)
}

fn caller() -> Caller {
    Caller { host: "/127.0.0.1".to_owned(), node: BrokerId(1) }
}

fn described(state: &State, group: &'static str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(name(group))]);
    describe(state, &caller(), request).groups.remove(0)
}

#[test]
fn a_request_has_to_say_what_its_epoch_demands() {
    let owned = vec![Owned::default().with_partitions(vec![0])];
    let cases = [
        ("no group", join().with_group_id(GroupId::default()), 1, ResponseError::InvalidRequest),
        ("an empty instance", join().with_instance_id(Some(name(""))), 1, ResponseError::InvalidRequest),
        ("an empty rack", join().with_rack_id(Some(name(""))), 1, ResponseError::InvalidRequest),
        ("no member", join().with_member_id(name("")), 1, ResponseError::InvalidRequest),
        (
            "a nameless member",
            join().with_member_id(name("")).with_member_epoch(1),
            0,
            ResponseError::InvalidRequest,
        ),
        ("no timeout", join().with_rebalance_timeout_ms(-1), 1, ResponseError::InvalidRequest),
        ("not what it owns", join().with_topic_partitions(None), 1, ResponseError::InvalidRequest),
        (
            "that it owns something",
            join().with_topic_partitions(Some(owned)),
            1,
            ResponseError::InvalidRequest,
        ),
        ("no subscription", join().with_subscribed_topic_names(None), 1, ResponseError::InvalidRequest),
        ("a strange epoch", join().with_member_epoch(-3), 1, ResponseError::InvalidRequest),
        ("leaves without instance", join().with_member_epoch(-2), 1, ResponseError::InvalidRequest),
        (
            "no such assignor",
            join().with_server_assignor(Some(name("sticky"))),
            1,
            ResponseError::UnsupportedAssignor,
        ),
        (
            "no expression",
            join().with_subscribed_topic_regex(Some(name("("))),
            1,
            ResponseError::InvalidRegularExpression,
        ),
        ("no such group", join().with_member_epoch(3), 1, ResponseError::GroupIdNotFound),
        ("leaves no such group", join().with_member_epoch(-1), 1, ResponseError::GroupIdNotFound),
    ];
    let state = State::with_topics(&[("orders", 2)]);
    for (what, request, version, expected) in cases {
        let response = send(&state, &request, version);
        assert_eq!(response.error_code, expected.code(), "{what}: {response:?}");
        assert!(response.error_message.is_some_and(|message| !message.is_empty()), "{what}");
    }
    let nobody = described(&state, "fleet");
    assert_eq!(nobody.error_code, ResponseError::GroupIdNotFound.code(), "what is refused makes no group");
}

#[test]
fn a_member_joins_is_described_and_leaves() {
    let state = State::with_topics(&[("orders", 2)]);
    let joined = send(&state, &join(), 1);
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (0, 1, 5_000));
    let topics = joined.assignment.map(|assignment| assignment.topic_partitions).unwrap_or_default();
    assert_eq!(topics.iter().map(|topic| topic.partitions.clone()).collect::<Vec<_>>(), [[0, 1]]);

    let group = described(&state, "fleet");
    assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "uniform"));
    assert_eq!((group.group_epoch, group.assignment_epoch, group.members.len()), (1, 1, 1));
    let member = &group.members[0];
    assert_eq!(
        (&*member.member_id, &*member.client_id, member.member_type),
        (MEMBER, "client", CONSUMER_MEMBER)
    );
    assert_eq!(&**member.assignment.topic_partitions[0].topic_name, "orders");
    assert_eq!(member.assignment, member.target_assignment);

    // The classic requests see that it is there, and that it is none of theirs.
    let list = |kind: &'static str| {
        let request = ListGroupsRequest::default().with_types_filter(vec![name(kind)]);
        group_admin::list(&state, &caller(), &request).groups
    };
    assert_eq!(list("classic").len(), 0);
    let listed = list("Consumer");
    assert_eq!((&*listed[0].group_type, &*listed[0].protocol_type), ("consumer", "consumer"));
    let ask = || DescribeGroupsRequest::default().with_groups(vec![GroupId(name("fleet"))]);
    for (version, code) in [(5, 0), (6, ResponseError::GroupIdNotFound.code())] {
        let answer = group_admin::describe(&state, &caller(), ask(), version).groups.remove(0);
        assert_eq!((answer.error_code, &*answer.group_state), (code, "Dead"));
    }
    let delete = || {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(name("fleet"))]);
        group_admin::delete(&state, &caller(), request).results.remove(0).error_code
    };
    assert_eq!(delete(), ResponseError::NonEmptyGroup.code());
    let left = send(&state, &join().with_member_epoch(-1), 1);
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    assert_eq!(&*described(&state, "fleet").group_state, "Empty");
    assert_eq!(delete(), 0);
}

#[test]
fn an_old_client_is_given_its_id() {
    let state = State::with_topics(&[("orders", 2)]);
    let joined = send(&state, &join().with_member_id(name("")), 0);
    let id = joined.member_id.unwrap_or_default();
    assert!(!id.is_empty());
    let again = ConsumerGroupHeartbeatRequest::default().with_group_id(GroupId(name("fleet")));
    let again = send(&state, &again.with_member_id(id).with_member_epoch(1), 0);
    assert_eq!((again.error_code, again.member_epoch, again.assignment), (0, 1, None));
}
