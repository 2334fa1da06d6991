//! Which letters are meant.

use std::time::SystemTime;

use bytes::Bytes;

use super::DeadLetter;

/// Which letters of a topic are meant: those that everything said here holds for. Nothing said is all that are not done.
///
/// ```
/// use kafka_boot::DeadLetterFilter;
///
/// let filter = DeadLetterFilter::all().partition(2).offsets(10, 20).error("ValidationError").limit(100);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct DeadLetterFilter {
    pub(super) partition: Option<i32>,
    /// From and to, both included.
    pub(super) offsets: Option<(i64, i64)>,
    error: Option<String>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    key: Option<Bytes>,
    is_with_done: bool,
    pub(super) limit: Option<usize>,
}

impl DeadLetterFilter {
    /// All that are neither replayed nor discarded.
    pub fn all() -> Self {
        Self::default()
    }

    /// The one at this place.
    pub fn one(partition: i32, offset: i64) -> Self {
        Self::all().partition(partition).offsets(offset, offset)
    }

    /// Those of this partition.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Those from the offset `first` to the offset `last`, both included.
    pub fn offsets(mut self, first: i64, last: i64) -> Self {
        self.offsets = Some((first, last));
        self
    }

    /// Those whose error has this type, or a type that ends so, or whose message has this text in it.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// Those that were written at this moment or later.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }

    /// Those that were written before this moment.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(time);
        self
    }

    /// Those with this key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Those that have been replayed or discarded as well.
    pub fn with_done(mut self) -> Self {
        self.is_with_done = true;
        self
    }

    /// No more than so many: the first by partition and offset.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether a letter is meant.
    pub(super) fn has(&self, letter: &DeadLetter) -> bool {
        self.partition.is_none_or(|partition| partition == letter.partition)
            && self.offsets.is_none_or(|(first, last)| (first..=last).contains(&letter.offset))
            && self.error.as_deref().is_none_or(|error| has_failed_with(letter, error))
            && self.since.is_none_or(|since| letter.time >= since)
            && self.until.is_none_or(|until| letter.time < until)
            && self.key.as_ref().is_none_or(|key| letter.key.as_ref() == Some(key))
            && (self.is_with_done || !letter.is_done)
    }
}

fn has_failed_with(letter: &DeadLetter, error: &str) -> bool {
    letter
        .failure
        .as_ref()
        .is_some_and(|failure| failure.type_name.ends_with(error) || failure.message.contains(error))
}
