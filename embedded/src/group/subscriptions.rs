//! What a consumer of the classic protocol says that it subscribes to.

use bytes::{Buf, Bytes};

/// Whether a consumer's metadata names a topic. Of what cannot be understood, it may.
pub(super) fn names(metadata: Bytes, topic: &str) -> bool {
    subscribed_topics(metadata).is_none_or(|topics| topics.iter().any(|name| name == topic.as_bytes()))
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
