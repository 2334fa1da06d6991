//! Groups that go over to the other protocol, and offsets that expire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::super::CommittedOffset;
use super::super::consumer::{Heartbeat, TopicSource};
use super::super::member::Joined;
use super::*;

/// To the topic `a`, without anything else.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];

struct NoTopics;

impl TopicSource for NoTopics {
    fn version(&self) -> u64 {
        0
    }

    fn find(&self, _name: &str) -> Option<(uuid::Uuid, i32)> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn classic_request(id: &str) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        fresh_id: id.to_owned(),
        instance: None,
        client_id: String::new(),
        client_host: String::new(),
        session_timeout_ms: 1_000,
        rebalance_timeout_ms: 1_000,
        protocol_type: CONSUMER.to_owned(),
        protocols: vec![("range".to_owned(), bytes::Bytes::from_static(SUBSCRIPTION))],
        knows_two_rounds: false,
        knows_skipping: true,
    }
}

/// The answer to the last request.
fn answer(group: &mut Group) -> Answer {
    group.take_answers().pop().unwrap().1
}

fn join(group: &mut Group, request: JoinRequest) -> Result<Joined, ResponseError> {
    group.join(0, request, 1, &NoTopics);
    match answer(group) {
        Answer::Joined(joined) => Ok(joined),
        Answer::NotJoined(error, _) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn classic_join(group: &mut Group, id: &str) -> Result<(), ResponseError> {
    join(group, classic_request(id)).map(|_| ())
}

fn consumer_join(group: &mut Group, id: &str) -> Result<(), ResponseError> {
    let request = Heartbeat {
        member_id: id.to_owned(),
        topics: Some(["a".to_owned()].into()),
        owned: Some(std::collections::BTreeSet::default()),
        ..Heartbeat::default()
    };
    let joined = group
        .joined_consumer(0, true, &NoTopics)
        .and_then(|consumer| consumer.heartbeat(0, request, &NoTopics, 1_000));
    joined.map(|_| ()).map_err(|refused| refused.0)
}

fn store() -> OffsetStore {
    OffsetStore::new(1_000_000, crate::storage::Storage::default())
}

fn committed(committed_ms: i64) -> CommittedOffset {
    CommittedOffset { offset: 7, leader_epoch: -1, metadata: String::new(), committed_ms, expires_ms: None }
}

#[test]
fn a_group_without_members_goes_over_and_keeps_its_offsets() {
    let mut group = Group::default();
    group.offsets.commit(&store(), "g", "a", 0, committed(0)).unwrap();
    consumer_join(&mut group, "new").unwrap();
    assert_eq!(
        (group.type_name(), group.state_name(), group.protocol_type()),
        ("consumer", "Stable", CONSUMER)
    );
    group.consumer_mut().unwrap().leave("new", None, -1).unwrap();
    let returning = JoinRequest { member_id: "old".to_owned(), ..classic_request("old") };
    assert_eq!(join(&mut group, returning), Err(ResponseError::UnknownMemberId));
    classic_join(&mut group, "old").unwrap();
    assert_eq!((group.type_name(), group.state_name()), ("classic", "CompletingRebalance"));
    let who = Departure { member_id: "old".to_owned(), instance: None };
    group.classic_mut().unwrap().leave(5, &[who]).remove(0).unwrap();
    consumer_join(&mut group, "new").unwrap();
    assert_eq!(group.offsets.get("a", 0), Some(&committed(0)));
}

#[test]
fn members_that_are_no_consumers_stay_among_themselves() {
    let connect = |id: &str| JoinRequest { protocol_type: "connect".to_owned(), ..classic_request(id) };
    let mut group = Group::default();
    join(&mut group, connect("worker")).unwrap();
    assert_eq!(consumer_join(&mut group, "new"), Err(ResponseError::GroupIdNotFound));
    assert_eq!((group.type_name(), group.is_empty()), ("classic", false));

    let mut group = Group::default();
    consumer_join(&mut group, "new").unwrap();
    assert_eq!(join(&mut group, connect("worker")), Err(ResponseError::InconsistentGroupProtocol));
    let nonsense = vec![("range".to_owned(), bytes::Bytes::from_static(&[0, 9]))];
    let garbled = JoinRequest { protocols: nonsense, ..classic_request("old") };
    assert_eq!(join(&mut group, garbled), Err(ResponseError::InconsistentGroupProtocol));
    assert_eq!(group.consumer_mut().unwrap().members().count(), 1);
}

#[test]
fn a_group_goes_over_with_its_members_and_back() {
    let mut group = Group::default();
    classic_join(&mut group, "old").unwrap();
    let sync = |generation| SyncRequest { member_id: "old".to_owned(), generation, ..Default::default() };
    group.sync(0, sync(1), 2);
    assert!(matches!(answer(&mut group), Answer::Synced(_)));

    consumer_join(&mut group, "new").unwrap();
    assert_eq!((group.type_name(), group.consumer_mut().unwrap().members().count()), ("consumer", 2));
    let who = |generation| Committer { member_id: "old", instance: None, generation };
    assert_eq!(group.check_commit(0, who(1), 2), Ok(()), "it may still commit what it has");
    assert_eq!(group.heartbeat(0, who(1), &NoTopics), Err(ResponseError::RebalanceInProgress));
    group.sync(0, sync(1), 3);
    assert_eq!(answer(&mut group), Answer::NotSynced(ResponseError::RebalanceInProgress));

    let again = JoinRequest { member_id: "old".to_owned(), ..classic_request("old") };
    let joined = join(&mut group, again.clone()).unwrap();
    assert_eq!((joined.generation, joined.leader.as_str(), joined.protocol.as_str()), (2, "", "range"));
    group.sync(0, sync(2), 4);
    assert!(matches!(answer(&mut group), Answer::Synced(_)));
    assert_eq!(group.heartbeat(0, who(2), &NoTopics), Ok(()));
    assert_eq!(group.heartbeat(0, who(1), &NoTopics), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.check_commit(0, who(1), 9), Err(ResponseError::IllegalGeneration));

    group.consumer_mut().unwrap().leave("new", None, -1).unwrap();
    group.settle(0);
    assert_eq!((group.type_name(), group.state_name()), ("classic", "PreparingRebalance"));
    assert_eq!(group.heartbeat(0, who(3), &NoTopics), Err(ResponseError::RebalanceInProgress));
    assert_eq!(join(&mut group, again).unwrap().generation, 4);
}

#[test]
fn who_waits_when_a_group_goes_over_joins_again() {
    let mut group = Group::default();
    classic_join(&mut group, "old").unwrap();
    group.join(0, classic_request("second"), 2, &NoTopics);
    assert_eq!(group.take_answers(), []);
    consumer_join(&mut group, "new").unwrap();
    let turned_away = Answer::NotJoined(ResponseError::RebalanceInProgress, "second".to_owned());
    assert_eq!(group.take_answers(), [(2, turned_away)]);
}

#[test]
fn a_classic_member_that_does_not_join_again_is_taken_out() {
    let mut group = Group::default();
    consumer_join(&mut group, "new").unwrap();
    classic_join(&mut group, "old").unwrap();
    // It has not asked for its assignment when the time for that is up.
    assert_eq!(group.next_deadline(), Some(1_000));
    let left = |group: &mut Group| {
        group.tick(1_000);
        group.is_empty()
    };
    assert!(left(&mut group), "both sessions are over");
}

#[test]
fn commits_to_a_group_of_the_new_protocol_are_of_its_epochs() {
    let mut group = Group::default();
    consumer_join(&mut group, "m").unwrap();
    let who = |member_id, generation| Committer { member_id, instance: None, generation };
    for (member, epoch, version, expected) in [
        ("m", 1, 9, Ok(())),
        ("m", 0, 9, Err(ResponseError::StaleMemberEpoch)),
        ("m", 1, 8, Err(ResponseError::UnsupportedVersion)),
        ("x", 1, 9, Err(ResponseError::UnknownMemberId)),
        ("", -1, 9, Err(ResponseError::UnknownMemberId)),
    ] {
        assert_eq!(group.check_commit(0, who(member, epoch), version), expected, "{member} {epoch}");
    }
    assert_eq!(group.check_transactional_commit(who("m", 0)), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.check_transactional_commit(who("", -1)), Ok(()));
    assert_eq!(group.check_fetch(None, -1), Ok(()));
    assert_eq!(group.check_fetch(Some("m"), 1), Ok(()));
    assert_eq!(group.check_fetch(Some("m"), 7), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(group.check_fetch(Some("x"), 1), Err(ResponseError::UnknownMemberId));
    group.consumer_mut().unwrap().leave("m", None, -1).unwrap();
    assert_eq!(group.check_commit(0, who("", -1), 9), Ok(()));
}

#[test]
fn offsets_expire_when_nobody_needs_them() {
    let at = |ms: u32| Now { elapsed_ms: ms.into(), wall_ms: ms.into() };
    // Of a group that never had members, each by its own age.
    let mut simple = Group::default();
    simple.offsets.commit(&store(), "g", "a", 0, committed(0)).unwrap();
    simple.offsets.commit(&store(), "g", "a", 1, committed(50)).unwrap();
    simple
        .offsets
        .commit(&store(), "g", "a", 2, CommittedOffset { expires_ms: Some(500), ..committed(0) })
        .unwrap();
    simple.offsets.commit(&store(), "g", "a", 3, committed(0)).unwrap();
    simple.offsets.commit_later(&store(), "g", 1, ("a", 3), committed(0)).unwrap();
    simple.expire_offsets(&store(), "g", at(100), 100);
    let left = |group: &Group| group.offsets.all().flat_map(|(_, all)| all).collect::<Vec<_>>();
    assert_eq!(left(&simple), [1, 2, 3]);
    simple.offsets.end_transaction(1, false);
    simple.expire_offsets(&store(), "g", at(500), 100);
    assert!(simple.is_forgettable());

    // Of members, those of topics that they do not consume; without members, all of them some time later.
    let mut group = Group::default();
    classic_join(&mut group, "m").unwrap();
    for topic in ["a", "b"] {
        group.offsets.commit(&store(), "g", topic, 0, committed(0)).unwrap();
    }
    group.expire_offsets(&store(), "g", at(1_000), 100);
    assert_eq!(group.offsets.all().count(), 2, "a rebalance is no time to judge");
    let sync = SyncRequest { member_id: "m".to_owned(), generation: 1, ..Default::default() };
    group.classic_mut().unwrap().sync(0, sync, 2);
    group.expire_offsets(&store(), "g", at(1_000), 100);
    assert!(group.offsets.get("a", 0).is_some() && group.offsets.get("b", 0).is_none());
    let who = Departure { member_id: "m".to_owned(), instance: None };
    group.classic_mut().unwrap().leave(2_000, &[who]).remove(0).unwrap();
    group.expire_offsets(&store(), "g", at(2_099), 100);
    assert!(group.offsets.get("a", 0).is_some());
    group.expire_offsets(&store(), "g", at(2_100), 100);
    assert!(group.is_forgettable());
}

#[test]
fn offsets_are_not_taken_from_members_of_whom_nobody_knows_what_they_consume() {
    let mut group = Group::default();
    assert_eq!(group.check_offset_deletion(), Ok(()));
    classic_join(&mut group, "m").unwrap();
    assert_eq!(group.check_offset_deletion(), Ok(()));
    assert!(group.subscribes("a") && !group.subscribes("b"));
}
