//! Groups on a logical clock: what each member is answered, and when.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

pub(super) const SESSION_MS: u64 = 1_000;
const REBALANCE_MS: u64 = 5_000;

pub(super) fn join_as(member_id: &str, fresh_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        fresh_id: fresh_id.to_owned(),
        instance: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        knows_two_rounds: true,
        knows_skipping: true,
    }
}

pub(super) fn join_static(instance: &str, fresh_id: &str) -> JoinRequest {
    JoinRequest { instance: Some(instance.to_owned()), ..join_as("", fresh_id) }
}

pub(super) fn sync_as(member_id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> SyncRequest {
    let assignments = assignments.iter().map(|(id, part)| ((*id).to_owned(), Bytes::from(*part)));
    SyncRequest {
        member_id: member_id.to_owned(),
        generation,
        assignments: assignments.collect(),
        ..SyncRequest::default()
    }
}

fn departure(member_id: &str, instance: Option<&str>) -> Departure {
    Departure { member_id: member_id.to_owned(), instance: instance.map(str::to_owned) }
}

pub(super) fn leave(
    group: &mut ClassicGroup,
    now_ms: u64,
    member_id: &str,
    instance: Option<&str>,
) -> Result<(), ResponseError> {
    group.leave(now_ms, &[departure(member_id, instance)]).remove(0)
}

/// The answers since the last look, in one line each.
pub(super) fn answers(group: &mut ClassicGroup) -> Vec<String> {
    let told = group.take_answers().into_iter().map(|(token, answer)| match answer {
        Answer::Joined(joined) => {
            let skips = if joined.skip_assignment { " skips" } else { "" };
            let (generation, leader) = (joined.generation, &joined.leader);
            format!(
                "{token}: {} in {generation} under {leader} of {}{skips}",
                joined.member_id,
                joined.members.len()
            )
        }
        Answer::NotJoined(error, id) => format!("{token}: {error:?} {id}"),
        Answer::Synced(synced) => {
            format!("{token}: has {}", String::from_utf8_lossy(&synced.assignment))
        }
        Answer::NotSynced(error) => format!("{token}: {error:?}"),
    });
    told.collect()
}

/// A stable group of two, in generation 2, at time 0. `a` leads.
pub(super) fn stable_pair() -> ClassicGroup {
    let mut group = ClassicGroup::default();
    group.join(0, join_as("", "a"), 1);
    group.join(0, join_as("a", ""), 2);
    assert_eq!(answers(&mut group), ["1: MemberIdRequired a", "2: a in 1 under a of 1"]);
    group.join(0, join_as("", "b"), 3);
    group.join(0, join_as("b", ""), 4);
    group.join(0, join_as("a", ""), 5);
    assert_eq!(
        answers(&mut group),
        ["3: MemberIdRequired b", "5: a in 2 under a of 2", "4: b in 2 under a of 0"]
    );
    group.sync(0, sync_as("b", 2, &[]), 6);
    assert!(answers(&mut group).is_empty());
    group.sync(0, sync_as("a", 2, &[("a", "zero"), ("b", "one")]), 7);
    assert_eq!(answers(&mut group), ["7: has zero", "6: has one"]);
    assert_eq!(group.state(), GroupState::Stable);
    group
}

#[test]
fn members_join_and_get_their_parts() {
    let group = stable_pair();
    assert_eq!(group.next_deadline(), Some(SESSION_MS));
    assert_eq!(group.protocol(), Some("range"));
}

#[test]
fn an_old_client_is_a_member_in_one_round() {
    let mut group = ClassicGroup::default();
    group.join(0, JoinRequest { knows_two_rounds: false, ..join_as("", "a") }, 1);
    assert_eq!(answers(&mut group), ["1: a in 1 under a of 1"]);
}

#[test]
fn who_is_wrong_is_told_how() {
    type Act = fn(&mut ClassicGroup) -> Result<(), ResponseError>;
    let cases: [(&str, Act, ResponseError); 9] = [
        ("a stranger", |group| group.heartbeat(1, "x", None, 2), ResponseError::UnknownMemberId),
        ("an old generation", |group| group.heartbeat(1, "a", None, 1), ResponseError::IllegalGeneration),
        (
            "an unknown instance",
            |group| group.heartbeat(1, "a", Some("i"), 2),
            ResponseError::UnknownMemberId,
        ),
        ("a stranger's commit", |group| group.check_commit(1, "x", None, 2), ResponseError::UnknownMemberId),
        ("an old commit", |group| group.check_commit(1, "a", None, 1), ResponseError::IllegalGeneration),
        (
            "a commit past the members",
            |group| group.check_commit(1, "", None, -1),
            ResponseError::UnknownMemberId,
        ),
        ("a stranger's leave", |group| leave(group, 1, "x", None), ResponseError::UnknownMemberId),
        (
            "another type",
            |group| {
                group.try_join(1, JoinRequest { protocol_type: "connect".to_owned(), ..join_as("", "c") }, 9)
            },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            "another assignor",
            |group| {
                let protocols = vec![("sticky".to_owned(), Bytes::new())];
                group.try_join(1, JoinRequest { protocols, ..join_as("", "c") }, 9)
            },
            ResponseError::InconsistentGroupProtocol,
        ),
    ];
    for (what, act, expected) in cases {
        assert_eq!(act(&mut stable_pair()), Err(expected), "{what}");
    }
    let mut group = stable_pair();
    assert_eq!(group.heartbeat(1, "a", None, 2), Ok(()));
    assert_eq!(group.check_commit(1, "b", None, 2), Ok(()));
}

#[test]
fn a_third_member_makes_the_others_join_again() {
    let mut group = stable_pair();
    group.join(10, join_as("", "c"), 8);
    group.join(10, join_as("c", ""), 9);
    assert_eq!(answers(&mut group), ["8: MemberIdRequired c"]);
    assert_eq!(group.heartbeat(11, "a", None, 2), Err(ResponseError::RebalanceInProgress));
    assert_eq!(group.check_commit(11, "a", None, 2), Ok(()), "before it joins, a member may still commit");
    group.sync(11, sync_as("a", 2, &[]), 10);
    group.join(12, join_as("a", ""), 11);
    assert_eq!(answers(&mut group), ["10: RebalanceInProgress"]);
    group.join(12, join_as("b", ""), 12);
    let told = answers(&mut group);
    assert_eq!(told, ["11: a in 3 under a of 3", "12: b in 3 under a of 0", "9: c in 3 under a of 0"]);
    assert_eq!(group.check_commit(13, "a", None, 3), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn who_does_not_join_in_time_is_no_member() {
    let mut group = stable_pair();
    group.join(10, join_as("", "c"), 8);
    group.join(10, join_as("c", ""), 9);
    group.join(10, join_as("b", ""), 10);
    answers(&mut group);
    // Its heartbeats keep the session alive, and yet it does not come.
    for now_ms in (500..REBALANCE_MS).step_by(500) {
        assert_eq!(group.heartbeat(now_ms, "a", None, 2), Err(ResponseError::RebalanceInProgress));
        group.tick(now_ms);
        assert!(answers(&mut group).is_empty(), "at {now_ms}");
    }
    group.tick(10 + REBALANCE_MS);
    assert_eq!(answers(&mut group), ["10: b in 3 under b of 2", "9: c in 3 under b of 0"]);
    assert_eq!(group.heartbeat(6_000, "a", None, 2), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_silent_member_is_dropped_when_its_session_ends() {
    let mut group = stable_pair();
    assert_eq!(group.heartbeat(600, "a", None, 2), Ok(()));
    group.tick(SESSION_MS - 1);
    assert_eq!(group.members().count(), 2);
    group.tick(SESSION_MS);
    assert_eq!(group.members().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(group.state(), GroupState::PreparingRebalance);
    group.join(1_100, join_as("a", ""), 8);
    assert_eq!(answers(&mut group), ["8: a in 3 under a of 1"]);
}

#[test]
fn an_id_that_nobody_comes_back_with_holds_nobody_up_for_long() {
    let mut group = stable_pair();
    group.join(0, join_as("", "c"), 8);
    leave(&mut group, 0, "b", None).unwrap();
    group.join(0, join_as("a", ""), 9);
    assert_eq!(answers(&mut group), ["8: MemberIdRequired c"]);
    group.tick(SESSION_MS);
    assert_eq!(answers(&mut group), ["9: a in 3 under a of 1"]);
}

#[test]
fn a_leader_that_assigns_nothing_is_dropped_and_those_who_wait_begin_again() {
    let mut group = stable_pair();
    group.join(0, JoinRequest { protocols: join_as("", "").protocols, ..join_as("a", "") }, 8);
    group.join(0, join_as("b", ""), 9);
    answers(&mut group);
    group.sync(0, sync_as("b", 3, &[]), 10);
    for now_ms in (500..REBALANCE_MS).step_by(500) {
        assert_eq!(group.heartbeat(now_ms, "a", None, 3), Ok(()));
        group.tick(now_ms);
    }
    group.tick(REBALANCE_MS);
    assert_eq!(answers(&mut group), ["10: RebalanceInProgress"]);
    assert_eq!(group.members().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn the_last_one_to_leave_empties_the_group() {
    let mut group = stable_pair();
    for id in ["a", "b"] {
        leave(&mut group, 1, id, None).unwrap();
    }
    assert_eq!((group.state(), group.next_deadline()), (GroupState::Empty, None));
    assert!(group.is_forgettable());
    assert_eq!(group.check_commit(2, "", None, -1), Ok(()));
}

#[test]
fn a_lost_answer_is_given_again_and_a_waiting_request_is_answered_once() {
    let mut group = stable_pair();
    group.join(1, join_as("b", ""), 8);
    assert_eq!(answers(&mut group), ["8: b in 2 under a of 0"]);
    group.sync(1, sync_as("b", 2, &[]), 9);
    assert_eq!(answers(&mut group), ["9: has one"]);
    // A leader that joins again wants a rebalance.
    group.join(1, join_as("a", ""), 10);
    group.join(1, join_as("a", ""), 11);
    assert_eq!(answers(&mut group), ["10: RebalanceInProgress a"]);
    group.join(1, join_as("b", ""), 12);
    assert_eq!(answers(&mut group), ["11: a in 3 under a of 2", "12: b in 3 under a of 0"]);
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let mut group = ClassicGroup::default();
    group.join(0, join_static("one", "one-1"), 1);
    assert_eq!(answers(&mut group), ["1: one-1 in 1 under one-1 of 1"]);
    group.sync(0, sync_as("one-1", 1, &[("one-1", "all")]), 2);
    assert_eq!(answers(&mut group), ["2: has all"]);

    group.join(500, join_static("one", "one-2"), 3);
    assert_eq!(answers(&mut group), ["3: one-2 in 1 under one-2 of 1 skips"]);
    group.sync(500, sync_as("one-2", 1, &[]), 4);
    assert_eq!(answers(&mut group), ["4: has all"]);
    assert_eq!(group.heartbeat(501, "one-1", Some("one"), 1), Err(ResponseError::FencedInstanceId));
    assert_eq!(group.heartbeat(501, "one-2", Some("one"), 1), Ok(()));

    group.join(600, JoinRequest { knows_skipping: false, ..join_static("one", "one-3") }, 5);
    assert_eq!(answers(&mut group), ["5: one-3 in 1 under one-2 of 0"]);
    // What it wants is new, and waits for the next rebalance; another assignor does not wait.
    let protocols = vec![("range".to_owned(), Bytes::from_static(b"other topics"))];
    group.join(700, JoinRequest { protocols, ..join_static("one", "one-4") }, 6);
    assert_eq!(answers(&mut group), ["6: one-4 in 1 under one-4 of 1 skips"]);
    let both = vec![("sticky".to_owned(), Bytes::new()), ("range".to_owned(), Bytes::new())];
    group.join(700, JoinRequest { protocols: both, ..join_static("one", "one-5") }, 7);
    assert_eq!(answers(&mut group), ["7: one-5 in 2 under one-5 of 1"]);

    leave(&mut group, 701, "", Some("one")).unwrap();
    assert_eq!(group.state(), GroupState::Empty);
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    let mut group = ClassicGroup::default();
    group.join(0, join_static("one", "one-1"), 1);
    group.sync(0, sync_as("one-1", 1, &[("one-1", "all")]), 2);
    answers(&mut group);
    group.join(0, join_static("two", "two-1"), 3);
    for now_ms in (500..REBALANCE_MS).step_by(500) {
        assert!(group.heartbeat(now_ms, "one-1", Some("one"), 1).is_err());
        group.tick(now_ms);
    }
    group.tick(REBALANCE_MS);
    assert_eq!(answers(&mut group), ["3: two-1 in 2 under two-1 of 2"]);
    assert_eq!(group.members().count(), 2);
    group.sync(REBALANCE_MS, sync_as("two-1", 2, &[("one-1", "x"), ("two-1", "y")]), 4);
    assert_eq!(group.heartbeat(REBALANCE_MS + 100, "two-1", Some("two"), 2), Ok(()));
    assert_eq!(group.members().count(), 2);
    group.tick(REBALANCE_MS + 600);
    assert_eq!(group.members().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["two-1"]);
}

#[test]
fn the_assignor_that_most_prefer_among_those_that_all_know_is_chosen() {
    let protocols = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect();
    let mut group = ClassicGroup::default();
    let wishes: [(&str, &[&str]); 3] = [
        ("a", &["cooperative", "range", "sticky"]),
        ("b", &["sticky", "range"]),
        ("c", &["sticky", "range"]),
    ];
    for (token, (id, names)) in (1..).zip(wishes) {
        let request = JoinRequest { protocols: protocols(names), knows_two_rounds: false, ..join_as("", id) };
        group.join(0, request, token);
    }
    for (token, (id, names)) in (10..).zip(&wishes[..1]) {
        group.join(0, JoinRequest { protocols: protocols(names), ..join_as(id, "") }, token);
    }
    assert_eq!(group.protocol(), Some("sticky"));
}

#[test]
fn members_that_leave_together_cause_one_rebalance() {
    let mut group = stable_pair();
    group.join(1, join_as("", "c"), 8);
    group.join(1, join_as("c", ""), 9);
    group.join(1, join_as("b", ""), 10);
    answers(&mut group);
    let left = group.leave(2, &[departure("a", None), departure("x", None), departure("b", None)]);
    assert_eq!(left, [Ok(()), Err(ResponseError::UnknownMemberId), Ok(())]);
    assert_eq!(answers(&mut group), ["10: UnknownMemberId b", "9: c in 3 under c of 1"]);
}

#[test]
fn commits_are_judged_by_what_they_say_and_by_the_state() {
    let mut group = stable_pair();
    for (member, instance, generation, expected) in [
        ("", None, -1, Err(ResponseError::UnknownMemberId)),
        ("a", None, -1, Err(ResponseError::IllegalGeneration)),
        ("a", None, 1, Err(ResponseError::IllegalGeneration)),
        ("a", Some("x"), 2, Err(ResponseError::UnknownMemberId)),
        ("a", None, 2, Ok(())),
    ] {
        assert_eq!(group.check_commit(1, member, instance, generation), expected, "{member} {generation}");
    }
    assert_eq!(group.check_transactional_commit("", None, -1), Ok(()));
    assert_eq!(group.check_transactional_commit("a", None, 1), Err(ResponseError::IllegalGeneration));
    group.join(1, join_as("a", ""), 8);
    group.join(1, join_as("b", ""), 9);
    assert_eq!(group.check_commit(1, "a", None, 3), Err(ResponseError::RebalanceInProgress));
    assert_eq!(group.check_transactional_commit("a", None, 3), Ok(()), "transactions do not wait");
    for id in ["a", "b"] {
        leave(&mut group, 2, id, None).unwrap();
    }
    assert_eq!(group.check_commit(3, "anybody", None, -1), Ok(()), "nobody is there to contradict");
    assert_eq!(group.empty_since_ms(), Some(2));
}

#[test]
fn a_member_cannot_change_to_an_assignor_that_it_did_not_know() {
    let mut group = stable_pair();
    leave(&mut group, 1, "b", None).unwrap();
    let protocols = vec![("sticky".to_owned(), Bytes::new())];
    group.join(1, JoinRequest { protocols, ..join_as("a", "") }, 8);
    assert_eq!(answers(&mut group), ["8: InconsistentGroupProtocol a"]);
}

#[test]
fn who_comes_when_the_group_is_full_is_turned_away() {
    let mut group = ClassicGroup::default();
    let old = |id: &str| JoinRequest { knows_two_rounds: false, ..join_as("", id) };
    // The first one does not come back for the second round, and makes room for the last one.
    for number in 0..=MAX_MEMBERS as u64 {
        group.join(0, old(&format!("m{number:04}")), number);
    }
    group.tick(REBALANCE_MS);
    answers(&mut group);
    assert_eq!(group.members().count(), MAX_MEMBERS);
    group.join(REBALANCE_MS, old("more"), 5_000);
    assert_eq!(answers(&mut group), ["5000: GroupMaxSizeReached "]);
    group.join(REBALANCE_MS, join_as("m0007", ""), 5_001);
    assert_eq!(answers(&mut group), ["5001: m0007 in 2 under m0001 of 0"], "who is in stays in");

    let mut announced = ClassicGroup::default();
    for number in 0..=MAX_MEMBERS as u64 {
        announced.join(0, join_as("", &format!("m{number:04}")), number);
    }
    assert_eq!(answers(&mut announced).pop().as_deref(), Some("1000: GroupMaxSizeReached "));
}
