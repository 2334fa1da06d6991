//! Groups that are written down and restored, on a logical clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::super::tests::{SESSION_MS, answers, join_as, join_static, leave, stable_pair, sync_as};
use super::*;

/// A restart at this time.
const START_MS: u64 = 70_000;

/// A stable group of one static member, in generation 1, at time 0.
fn stable_static() -> ClassicGroup {
    let mut group = ClassicGroup::default();
    group.join(0, join_static("till-1", "s"), 1);
    group.sync(0, sync_as("s", 1, &[("s", "all")]), 2);
    assert_eq!(answers(&mut group), ["1: s in 1 under s of 1", "2: has all"]);
    group
}

fn restarted(group: &mut ClassicGroup) -> ClassicGroup {
    ClassicGroup::restored(START_MS, group.take_unsaved().unwrap())
}

#[test]
fn members_go_on_in_their_generation_after_a_restart() {
    let mut group = stable_pair();
    let mut restored = restarted(&mut group);
    assert!(group.take_unsaved().is_none(), "once is enough");
    assert!(restored.take_unsaved().is_none(), "it is written down already");
    assert_eq!(restored.stored(), group.stored());
    assert_eq!((restored.state(), restored.protocol()), (GroupState::Stable, Some("range")));

    // Their sessions begin with the restart.
    assert_eq!(restored.next_deadline(), Some(START_MS + SESSION_MS));
    let late = START_MS + SESSION_MS - 1;
    assert_eq!(restored.heartbeat(late, "a", None, 2), Ok(()));
    assert_eq!(restored.check_commit(late, "b", None, 2), Ok(()));
    assert_eq!(restored.heartbeat(late, "a", None, 1), Err(ResponseError::IllegalGeneration));
    assert_eq!(restored.heartbeat(late, "x", None, 2), Err(ResponseError::UnknownMemberId));
    restored.tick(START_MS + SESSION_MS);
    assert_eq!(restored.state(), GroupState::Stable);
    // Whose answer was lost asks again.
    restored.sync(late, sync_as("b", 2, &[]), 8);
    assert_eq!(answers(&mut restored), ["8: has one"]);
    assert_eq!(restored.heartbeat(late + 1, "a", None, 2), Ok(()));
    restored.tick(late + SESSION_MS);
    assert_eq!(restored.state(), GroupState::PreparingRebalance, "who stays away is none any more");
    assert_eq!(restored.members().count(), 1);
}

#[test]
fn the_next_generation_after_a_restart_is_a_new_one() {
    let mut restored = restarted(&mut stable_pair());
    restored.join(START_MS, join_as("a", ""), 8);
    restored.join(START_MS, join_as("b", ""), 9);
    assert_eq!(answers(&mut restored), ["8: a in 3 under a of 2", "9: b in 3 under a of 0"]);
    assert!(restored.take_unsaved().is_none(), "it is not stable yet");
    restored.sync(START_MS, sync_as("a", 3, &[("a", "zero")]), 10);
    assert_eq!(restored.take_unsaved().unwrap().number, 3);
}

#[test]
fn an_empty_group_keeps_its_generation_and_retains_its_offsets_anew() {
    let mut group = stable_static();
    leave(&mut group, 5, "s", None).unwrap();
    let mut restored = restarted(&mut group);
    assert_eq!((restored.state(), restored.empty_since_ms()), (GroupState::Empty, Some(START_MS)));
    assert_eq!((restored.protocol_type(), restored.next_deadline()), ("consumer", None));
    restored.join(START_MS, join_static("till-1", "t"), 3);
    assert_eq!(answers(&mut restored), ["3: t in 3 under t of 1"], "2 was the empty generation");
}

#[test]
fn a_static_member_has_its_place_after_a_restart() {
    let mut restored = restarted(&mut stable_static());
    assert_eq!(restored.heartbeat(START_MS, "s", Some("till-1"), 1), Ok(()));
    restored.join(START_MS, join_static("till-1", "t"), 3);
    assert_eq!(answers(&mut restored), ["3: t in 1 under t of 1 skips"]);
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(restored.heartbeat(START_MS, "s", Some("till-1"), 1), fenced);

    // That it has a new id is known after the next one.
    let mut again = restarted(&mut restored);
    assert_eq!(again.heartbeat(START_MS, "s", Some("till-1"), 1), fenced);
    again.sync(START_MS, sync_as("t", 1, &[]), 4);
    assert_eq!(answers(&mut again), ["4: has all"]);
}

#[test]
fn nobody_is_told_of_an_assignment_that_cannot_be_written_down() {
    let mut group = ClassicGroup::default();
    group.join(0, join_static("till-1", "s"), 1);
    assert_eq!(answers(&mut group), ["1: s in 1 under s of 1"]);
    group.sync(0, sync_as("s", 1, &[("s", "all")]), 2);
    assert!(group.take_unsaved().is_some());
    group.not_saved(0);
    assert_eq!(answers(&mut group), ["2: NotCoordinator"]);
    assert_eq!(group.state(), GroupState::PreparingRebalance);
    group.join(1, join_as("s", ""), 3);
    group.sync(1, sync_as("s", 2, &[("s", "all")]), 4);
    assert_eq!(answers(&mut group), ["3: s in 2 under s of 1", "4: has all"]);
}

#[test]
fn who_is_gone_with_the_broker_is_not_waited_for() {
    let mut group = stable_static();
    let mut restored = ClassicGroup::restored(START_MS, group.take_unsaved().unwrap().without_members());
    assert_eq!((restored.state(), restored.next_deadline()), (GroupState::Empty, None));
    restored.join(START_MS, join_static("till-1", "t"), 3);
    assert_eq!(answers(&mut restored), ["3: t in 2 under t of 1"], "the generations go on");
}
