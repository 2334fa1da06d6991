//! The rules of the new protocol on a logical clock, each by its name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

const SESSION_MS: u64 = 1_000;
const REBALANCE_MS: u64 = 300;

/// The topics of a broker, of the test's making.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    topics: BTreeMap<String, (Uuid, i32)>,
    version: u64,
}

impl Catalogue {
    pub(super) fn with(topics: &[(&str, i32)]) -> Self {
        let mut catalogue = Self::default();
        for (name, partitions) in topics {
            catalogue.set(name, *partitions);
        }
        catalogue
    }

    pub(super) fn set(&mut self, name: &str, partitions: i32) {
        let id = Uuid::from_u128(self.topics.len() as u128 + 1);
        self.topics.entry(name.to_owned()).or_insert((id, 0)).1 = partitions;
        self.version += 1;
    }

    fn remove(&mut self, name: &str) {
        self.topics.remove(name);
        self.version += 1;
    }
}

impl TopicSource for Catalogue {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.topics.get(name).copied()
    }

    fn names(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }
}

pub(super) fn join_as(id: &str, topics: &[&str]) -> Heartbeat {
    Heartbeat {
        member_id: id.to_owned(),
        epoch: JOINING,
        rebalance_timeout_ms: Some(REBALANCE_MS),
        topics: Some(topics.iter().map(|name| (*name).to_owned()).collect()),
        owned: Some(Partitions::new()),
        ..Heartbeat::default()
    }
}

fn join_static(id: &str, instance: &str) -> Heartbeat {
    Heartbeat { instance: Some(instance.to_owned()), ..join_as(id, &["orders"]) }
}

pub(super) fn beat(id: &str, epoch: i32) -> Heartbeat {
    Heartbeat { member_id: id.to_owned(), epoch, ..Heartbeat::default() }
}

fn owning(id: &str, epoch: i32, owned: &Partitions) -> Heartbeat {
    Heartbeat { owned: Some(owned.clone()), ..beat(id, epoch) }
}

/// A group, its topics, and the time.
struct Stage {
    group: ConsumerGroup,
    topics: Catalogue,
    now_ms: u64,
}

impl Stage {
    fn new() -> Self {
        Self { group: ConsumerGroup::default(), topics: Catalogue::with(&[("orders", 4)]), now_ms: 0 }
    }

    fn send(&mut self, request: Heartbeat) -> Result<Place, ResponseError> {
        let answer = self.group.heartbeat(self.now_ms, request, &self.topics, SESSION_MS);
        answer.map_err(|(error, _)| error)
    }

    /// The epoch and the partitions of `orders` that a member is told.
    fn told(&mut self, request: Heartbeat) -> (i32, Option<Vec<i32>>) {
        let place = self.send(request).unwrap();
        let indexes = |partitions: Partitions| partitions.into_iter().map(|(_, index)| index).collect();
        (place.epoch, place.assignment.map(indexes))
    }

    fn assigned(&self, id: &str) -> Partitions {
        self.group.members.get(id).unwrap().assigned.clone()
    }

    /// Two members with two partitions each, both at epoch 2.
    fn with_pair() -> Self {
        let mut stage = Self::new();
        assert_eq!(stage.told(join_as("a", &["orders"])), (1, Some(vec![0, 1, 2, 3])));
        assert_eq!(stage.told(join_as("b", &["orders"])), (2, Some(vec![])));
        assert_eq!(stage.told(beat("a", 1)), (1, Some(vec![0, 1])));
        let owned = stage.assigned("a");
        assert_eq!(stage.told(owning("a", 1, &owned)), (2, None));
        assert_eq!(stage.told(beat("b", 2)), (2, Some(vec![2, 3])));
        assert_eq!(stage.group.state(), ConsumerGroupState::Stable);
        stage
    }
}

#[test]
fn a_partition_goes_to_its_new_owner_only_after_the_old_one_gave_it_up() {
    let mut stage = Stage::new();
    stage.told(join_as("a", &["orders"]));
    let all = stage.assigned("a");
    assert_eq!(stage.told(join_as("b", &["orders"])), (2, Some(vec![])));
    assert_eq!(stage.group.state(), ConsumerGroupState::Reconciling);
    assert_eq!(stage.told(beat("a", 1)), (1, Some(vec![0, 1])));
    for _ in 0..3 {
        assert_eq!(stage.told(beat("b", 2)), (2, None), "nothing is free yet");
        assert_eq!(stage.told(owning("a", 1, &all)), (1, None), "and who still owns it waits, too");
        assert_eq!(stage.told(beat("a", 1)), (1, None), "as does who says nothing");
    }
    let rest = stage.assigned("a");
    assert_eq!(stage.told(owning("a", 1, &rest)), (2, None));
    assert_eq!(stage.told(beat("b", 2)), (2, Some(vec![2, 3])));
}

#[test]
fn an_assignment_is_told_once_and_again_to_who_says_everything() {
    let mut stage = Stage::with_pair();
    assert_eq!(stage.told(beat("b", 2)), (2, None));
    let full = Heartbeat { epoch: 2, owned: Some(stage.assigned("b")), ..join_as("b", &["orders"]) };
    assert_eq!(stage.told(full), (2, Some(vec![2, 3])));
}

#[test]
fn a_lost_answer_is_made_good_and_any_other_epoch_is_fenced() {
    let mut stage = Stage::with_pair();
    let own = stage.assigned("a");
    assert_eq!(stage.told(owning("a", 1, &own)), (2, None), "the epoch before, with what is its own");
    let foreign = stage.assigned("b");
    for request in [owning("a", 1, &foreign), beat("a", 1), beat("a", 3), beat("b", 1)] {
        assert_eq!(stage.send(request), Err(ResponseError::FencedMemberEpoch));
    }
    assert_eq!(stage.send(beat("x", 2)), Err(ResponseError::UnknownMemberId));
    // Who was fenced joins again under its id, and finds its place.
    assert_eq!(stage.told(join_as("a", &["orders"])), (2, Some(vec![0, 1])));
}

#[test]
fn commits_and_fetches_are_of_the_current_epoch() {
    let stage = Stage::with_pair();
    assert_eq!(stage.group.check_member("a", 2), Ok(()));
    assert_eq!(stage.group.check_member("a", 1), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(stage.group.check_member("x", 2), Err(ResponseError::UnknownMemberId));
}

#[test]
fn who_leaves_is_no_member_and_the_others_take_over() {
    let mut stage = Stage::with_pair();
    stage.group.leave("a", None, -1).unwrap();
    assert_eq!(stage.group.state(), ConsumerGroupState::Assigning);
    assert_eq!(stage.told(beat("b", 2)), (3, Some(vec![0, 1, 2, 3])));
    assert_eq!(stage.group.leave("a", None, -1).unwrap_err().0, ResponseError::UnknownMemberId);
    stage.group.leave("b", None, -1).unwrap();
    assert_eq!((stage.group.state(), stage.group.next_deadline()), (ConsumerGroupState::Empty, None));
}

#[test]
fn a_static_member_that_comes_back_finds_its_place_without_a_rebalance() {
    let mut stage = Stage::new();
    assert_eq!(stage.told(join_static("a", "one")), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(stage.send(join_static("b", "one")), Err(ResponseError::UnreleasedInstanceId));
    assert_eq!(stage.group.leave("b", Some("one"), -2).unwrap_err().0, ResponseError::FencedInstanceId);
    stage.group.leave("a", Some("one"), -2).unwrap();
    assert_eq!(stage.send(beat("a", 1)), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(
        stage.told(join_as("other", &["orders"])),
        (2, Some(vec![])),
        "its partitions are kept for it"
    );
    assert_eq!(stage.told(join_static("b", "one")).0, 2);
    assert_eq!(stage.group.members.keys().collect::<Vec<_>>(), ["b", "other"]);
    let fenced = Heartbeat { instance: Some("one".to_owned()), ..beat("a", 1) };
    assert_eq!(stage.send(fenced), Err(ResponseError::FencedInstanceId));
    let unknown = Heartbeat { instance: Some("two".to_owned()), ..beat("b", 2) };
    assert_eq!(stage.send(unknown), Err(ResponseError::UnknownMemberId));
    stage.group.leave("b", Some("one"), -1).unwrap();
    assert!(stage.group.instances.is_empty());
}

#[test]
fn a_static_member_that_stays_away_loses_its_place_when_its_session_ends() {
    let mut stage = Stage::new();
    stage.told(join_static("a", "one"));
    stage.group.leave("a", Some("one"), -2).unwrap();
    stage.now_ms = SESSION_MS - 1;
    stage.told(join_as("b", &["orders"]));
    stage.group.tick(SESSION_MS - 1);
    assert_eq!(stage.group.members.len(), 2);
    assert_eq!(stage.group.next_deadline(), Some(SESSION_MS));
    stage.group.tick(SESSION_MS);
    assert_eq!(stage.told(beat("b", 2)), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn a_silent_member_is_none_when_its_session_ends() {
    let mut stage = Stage::with_pair();
    stage.now_ms = SESSION_MS - 1;
    stage.told(beat("a", 2));
    stage.group.tick(SESSION_MS);
    assert_eq!(stage.group.members.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(stage.told(beat("a", 2)), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn who_gives_up_too_slowly_is_none_however_alive_it_is() {
    let mut stage = Stage::new();
    stage.told(join_as("a", &["orders"]));
    stage.told(join_as("b", &["orders"]));
    assert_eq!(stage.told(beat("a", 1)), (1, Some(vec![0, 1])));
    assert_eq!(stage.group.next_deadline(), Some(REBALANCE_MS));
    stage.now_ms = REBALANCE_MS - 1;
    stage.told(beat("a", 1));
    stage.group.tick(REBALANCE_MS);
    assert_eq!(stage.send(beat("a", 1)), Err(ResponseError::UnknownMemberId));
    assert_eq!(stage.told(beat("b", 2)), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn topics_that_come_grow_and_go_are_new_epochs() {
    let mut stage = Stage::with_pair();
    stage.topics.set("unrelated", 9);
    assert_eq!(stage.told(beat("a", 2)), (2, None));
    stage.topics.set("orders", 6);
    assert_eq!(stage.told(beat("a", 2)), (3, Some(vec![0, 1, 4])));
    assert_eq!(stage.told(beat("b", 2)), (3, Some(vec![2, 3, 5])));
    stage.topics.remove("orders");
    assert_eq!(stage.told(beat("a", 3)), (3, Some(vec![])), "there is something to give up first");
    assert_eq!(stage.told(owning("a", 3, &Partitions::new())), (4, None));
}

#[test]
fn a_subscription_can_be_of_what_does_not_exist_yet_and_can_change() {
    let mut stage = Stage::new();
    assert_eq!(stage.told(join_as("a", &["later"])), (1, Some(vec![])));
    assert!(stage.group.subscribes("later") && !stage.group.subscribes("orders"));
    stage.topics.set("later", 2);
    assert_eq!(stage.told(beat("a", 1)), (2, Some(vec![0, 1])));
    let other = Heartbeat { topics: Some(BTreeSet::from(["orders".to_owned()])), ..beat("a", 2) };
    assert_eq!(stage.told(other), (2, Some(vec![])));
    assert_eq!(stage.told(owning("a", 2, &Partitions::new())), (3, Some(vec![0, 1, 2, 3])));
    assert_eq!(stage.told(join_as("b", &[])), (4, Some(vec![])), "a member may want nothing");
}

#[test]
fn a_subscription_by_an_expression_follows_the_topics() {
    let mut stage = Stage::new();
    let by = |id: &str, epoch: i32, expression: &str| Heartbeat {
        pattern: Some(expression.to_owned()),
        ..if epoch == JOINING { Heartbeat { topics: None, ..join_as(id, &[]) } } else { beat(id, epoch) }
    };
    assert_eq!(stage.send(by("a", 0, "(")), Err(ResponseError::InvalidRegularExpression));
    assert!(stage.group.is_empty(), "what is refused changes nothing");
    assert_eq!(stage.told(by("a", 0, "ord.*")), (1, Some(vec![0, 1, 2, 3])));
    stage.topics.set("ordinary", 1);
    assert_eq!(stage.told(beat("a", 1)), (2, Some(vec![0, 1, 2, 3, 0])));
    // Another member names a topic that the first one matches as well.
    assert_eq!(stage.told(join_as("b", &["ordinary"])).0, 3);
    assert_eq!(stage.told(by("a", 2, "")), (2, Some(vec![])), "an empty one is none");
    assert!(stage.group.patterns.is_empty());
}

#[test]
fn the_assignor_that_most_members_prefer_is_used() {
    let mut stage = Stage::new();
    assert_eq!(stage.group.assignor(), Assignor::Uniform);
    let prefers = |id: &str| Heartbeat { assignor: Some(Assignor::Range), ..join_as(id, &["orders"]) };
    stage.told(prefers("b"));
    stage.told(join_as("a", &["orders"]));
    assert_eq!(stage.group.assignor(), Assignor::Range);
    assert_eq!(stage.told(beat("b", 1)), (1, Some(vec![2, 3])), "range, where uniform leaves the first");
}

#[test]
fn who_comes_when_the_group_is_full_is_turned_away() {
    let mut stage = Stage::new();
    for number in 0..MAX_MEMBERS {
        stage.group.members.insert(format!("m{number:04}"), Member { epoch: 1, ..Member::default() });
    }
    assert_eq!(stage.send(join_as("more", &["orders"])), Err(ResponseError::GroupMaxSizeReached));
    assert_eq!(stage.send(beat("more", 1)), Err(ResponseError::GroupMaxSizeReached));
    assert!(stage.send(beat("m0000", 1)).is_ok());
}

#[test]
fn a_member_that_changes_its_instance_leaves_nothing_of_the_former_one() {
    let mut stage = Stage::new();
    stage.told(join_static("a", "one"));
    stage.told(join_static("a", "two"));
    assert_eq!(stage.group.instances.keys().collect::<Vec<_>>(), ["two"]);
    stage.told(join_static("b", "one"));
    stage.group.leave("a", None, -1).unwrap();
    assert_eq!(stage.group.instances.keys().collect::<Vec<_>>(), ["one"]);
}
