//! What a consumer of the classic protocol says that it subscribes to, and what it is told that it has.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version from which metadata says which partitions are owned.
const FIRST_WITH_OWNED: i16 = 1;

/// The version from which it says in which generation they were.
const FIRST_WITH_GENERATION: i16 = 2;

/// Partitions, by the names of their topics.
pub(super) type Named = BTreeMap<String, BTreeSet<i32>>;

/// A consumer's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: Named,
    /// In which it had them, where it says so.
    pub(super) generation: Option<i32>,
}

/// Whether a consumer's metadata names a topic. Of what cannot be understood, it may.
pub(super) fn names(metadata: Bytes, topic: &str) -> bool {
    subscribed_topics(&mut { metadata }).is_none_or(|topics| topics.contains(topic))
}

/// Reads a consumer's metadata. What newer versions say beyond that is not looked at.
pub(super) fn parse(mut metadata: Bytes) -> Option<Subscription> {
    let version = metadata.clone().try_get_i16().ok()?;
    let topics = subscribed_topics(&mut metadata)?;
    let mut subscription = Subscription { topics, ..Subscription::default() };
    // What an assignor of the client's own wants to know.
    let user_data = metadata.try_get_i32().ok()?;
    skip(&mut metadata, user_data)?;
    if version >= FIRST_WITH_OWNED {
        subscription.owned = partitions(&mut metadata)?;
    }
    if version >= FIRST_WITH_GENERATION {
        subscription.generation = Some(metadata.try_get_i32().ok()?).filter(|generation| *generation >= 0);
    }
    Some(subscription)
}

/// The topics at the beginning of a consumer's metadata, which are the same in all its versions.
fn subscribed_topics(metadata: &mut Bytes) -> Option<BTreeSet<String>> {
    let _version = metadata.try_get_i16().ok()?;
    let count = metadata.try_get_i32().ok()?;
    (0..count).map(|_| text(metadata)).collect()
}

/// What a consumer was assigned; nothing, if that cannot be understood.
pub(super) fn assigned(assignment: &Bytes) -> Named {
    let mut assignment = assignment.clone();
    assignment.try_get_i16().ok().and_then(|_version| partitions(&mut assignment)).unwrap_or_default()
}

/// What a consumer is assigned, as it reads it: the first version, which all know.
pub(super) fn assignment<'a>(of: impl Iterator<Item = (&'a str, i32)>) -> Bytes {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in of {
        by_topic.entry(topic).or_default().push(index);
    }
    let length = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(length(by_topic.len()));
    for (topic, indexes) in by_topic {
        // A topic's name has 249 bytes at most.
        bytes.put_i16(i16::try_from(topic.len()).unwrap_or(i16::MAX));
        bytes.put_slice(topic.as_bytes());
        bytes.put_i32(length(indexes.len()));
        for index in indexes {
            bytes.put_i32(index);
        }
    }
    // No data of an assignor.
    bytes.put_i32(-1);
    bytes.freeze()
}

fn partitions(from: &mut Bytes) -> Option<Named> {
    let mut partitions = Named::new();
    for _ in 0..from.try_get_i32().ok()? {
        let of_topic = partitions.entry(text(from)?).or_default();
        for _ in 0..from.try_get_i32().ok()? {
            of_topic.insert(from.try_get_i32().ok()?);
        }
    }
    Some(partitions)
}

fn text(from: &mut Bytes) -> Option<String> {
    let length = usize::try_from(from.try_get_i16().ok()?).ok()?;
    let bytes = (length <= from.len()).then(|| from.split_to(length))?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// Leaves out so many bytes; a negative number stands for none.
fn skip(from: &mut Bytes, length: i32) -> Option<()> {
    let length = usize::try_from(length.max(0)).ok()?;
    (length <= from.len()).then(|| from.advance(length))
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
            let topics = subscribed_topics(&mut Bytes::copy_from_slice(bytes));
            let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(topics, expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_owned_is_read_with_its_generation() {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&[0, 2, 0, 0, 0, 1, 0, 1, b'a']);
        bytes.put_slice(&[0, 0, 0, 2, 7, 7]);
        bytes.put_slice(&[0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 5]);
        bytes.put_i32(3);
        let whole = bytes.freeze();
        let expected = Subscription {
            topics: BTreeSet::from(["a".to_owned()]),
            owned: Named::from([("a".to_owned(), BTreeSet::from([5]))]),
            generation: Some(3),
        };
        assert_eq!(parse(whole.clone()), Some(expected));
        for length in 0..whole.len() {
            assert_eq!(parse(whole.slice(..length)), None, "{length}");
        }
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let parts = [("a", 0), ("b", 2), ("a", 1)];
        let read = assigned(&assignment(parts.into_iter()));
        let expected = [("a", vec![0, 1]), ("b", vec![2])];
        let expected = expected.map(|(topic, indexes)| (topic.to_owned(), indexes.into_iter().collect()));
        assert_eq!(read, Named::from(expected));
        assert_eq!(assigned(&Bytes::new()), Named::new());
    }
}
