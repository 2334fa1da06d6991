//! How letters are sent again, and what became of them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use kafka_boot_client::ProducerRecord;

use super::letter::DeadLetter;

/// Changes a record before it is sent again.
type Edit = Arc<dyn Fn(&DeadLetter, ProducerRecord) -> ProducerRecord + Send + Sync>;

/// How letters are sent again.
///
/// ```
/// use kafka_boot::Replay;
///
/// let replay = Replay::new().rate(50).edit(|_, record| record.header("repaired", "1"));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Replay {
    to: Option<String>,
    pub(super) rate: Option<NonZeroU32>,
    edit: Option<Edit>,
    pub(super) is_dry: bool,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("to", &self.to).field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Replay {
    /// Each to the topic and the partition that its record was read from, as fast as the broker takes them.
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them to this topic.
    pub fn to(mut self, topic: impl Into<String>) -> Self {
        self.to = Some(topic.into());
        self
    }

    /// At most so many a second; 0 is no limit.
    pub fn rate(mut self, per_second: u32) -> Self {
        self.rate = NonZeroU32::new(per_second);
        self
    }

    /// Changes each record, its value or its headers for instance, before it is sent.
    pub fn edit(
        mut self,
        edit: impl Fn(&DeadLetter, ProducerRecord) -> ProducerRecord + Send + Sync + 'static,
    ) -> Self {
        self.edit = Some(Arc::new(edit));
        self
    }

    /// Only tells what would be sent.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// The record as it is sent. A letter that does not say where it comes from has nowhere to go.
    pub(super) fn record(&self, letter: &DeadLetter) -> Option<ProducerRecord> {
        let origin = letter.origin.as_ref();
        let topic = self.to.as_deref().or(origin.map(|origin| origin.topic.as_str()))?;
        let mut record = letter.to_record(topic, SystemTime::now());
        if self.to.is_none() {
            record.partition = origin.map(|origin| origin.partition);
        }
        Some(match &self.edit {
            Some(edit) => edit(letter, record),
            None => record,
        })
    }
}

/// What became of letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// How many were replayed, or discarded; in a dry run, how many would be.
    pub done: usize,
    /// Those that do not say where they come from, and so were left.
    pub without_origin: Vec<DeadLetter>,
}
