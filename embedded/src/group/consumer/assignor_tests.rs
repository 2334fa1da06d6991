//! Who gets what, and what is not taken away.

use super::*;

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn partitions(topic_number: u128, indexes: impl IntoIterator<Item = i32>) -> Partitions {
    indexes.into_iter().map(|index| (topic(topic_number), index)).collect()
}

fn candidate<'a>(id: &'a str, topics: &[u128], previous: Option<&'a Partitions>) -> Candidate<'a> {
    Candidate { id, instance: None, topics: topics.iter().map(|number| topic(*number)).collect(), previous }
}

fn sizes(assigned: &[Partitions]) -> Vec<usize> {
    assigned.iter().map(Partitions::len).collect()
}

#[test]
fn uniform_is_even_and_keeps_what_it_can() {
    let counts = HashMap::from([(topic(1), 5), (topic(2), 3)]);
    let alone = Assignor::Uniform.assign(&[candidate("a", &[1, 2], None)], &counts);
    assert_eq!(sizes(&alone), [8]);
    let candidates = [candidate("a", &[1, 2], Some(&alone[0])), candidate("b", &[1, 2], None)];
    let pair = Assignor::Uniform.assign(&candidates, &counts);
    assert_eq!(sizes(&pair), [4, 4]);
    assert!(pair[0].is_subset(&alone[0]));
    let three = [
        candidate("a", &[1, 2], Some(&pair[0])),
        candidate("b", &[1, 2], Some(&pair[1])),
        candidate("c", &[1, 2], None),
    ];
    let three = Assignor::Uniform.assign(&three, &counts);
    assert_eq!(three.iter().map(Partitions::len).max(), Some(3));
    assert!(three[0].is_subset(&pair[0]) && three[1].is_subset(&pair[1]), "nobody swaps");
    let rest = [candidate("b", &[1, 2], Some(&three[1])), candidate("c", &[1, 2], Some(&three[2]))];
    let rest = Assignor::Uniform.assign(&rest, &counts);
    assert!(three[1].is_subset(&rest[0]) && three[2].is_subset(&rest[1]), "who stays keeps everything");
}

#[test]
fn who_gives_partitions_up_keeps_the_first_ones() {
    let (counts, all) = (HashMap::from([(topic(1), 6)]), partitions(1, 0..6));
    let pair = [candidate("a", &[1], None), candidate("b", &[1], Some(&all))];
    assert_eq!(Assignor::Uniform.assign(&pair, &counts), [partitions(1, 3..6), partitions(1, 0..3)]);
}

#[test]
fn uniform_gives_only_what_is_wanted_and_there() {
    let counts = HashMap::from([(topic(1), 4), (topic(2), 4)]);
    let before = partitions(1, [0, 1, 2, 3, 9]);
    let candidates =
        [candidate("a", &[2], Some(&before)), candidate("b", &[1, 2], None), candidate("c", &[], None)];
    let assigned = Assignor::Uniform.assign(&candidates, &counts);
    assert_eq!(assigned, [partitions(2, 0..4), partitions(1, 0..4), Partitions::new()]);
}

#[test]
fn range_gives_the_same_ranges_of_every_topic_and_puts_static_members_first() {
    let counts = HashMap::from([(topic(1), 5), (topic(2), 5)]);
    let mut candidates =
        [candidate("a", &[1, 2], None), candidate("b", &[1, 2], None), candidate("z", &[1, 2], None)];
    candidates[2].instance = Some("first");
    let assigned = Assignor::Range.assign(&candidates, &counts);
    let both = |range: std::ops::Range<i32>| &partitions(1, range.clone()) | &partitions(2, range);
    assert_eq!(assigned, [both(2..4), both(4..5), both(0..2)]);
    let more_members = HashMap::from([(topic(1), 1), (topic(2), 1)]);
    assert_eq!(sizes(&Assignor::Range.assign(&candidates, &more_members)), [0, 0, 2]);
}

#[test]
fn an_assignor_is_found_by_its_name() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::named(assignor.name()), Ok(assignor));
    }
    let refused = Assignor::named("sticky").map_err(|refused| refused.0);
    assert_eq!(refused, Err(ResponseError::UnsupportedAssignor));
}
