//! The unit that travels from the poll thread to a lane: consecutive records of one partition, freed together.

use std::sync::Arc;

use kafka_boot_client::RawRecord;

use super::Timestamp;

/// Consecutive records of one partition, as polled.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) records: Vec<Stored>,
    /// Of all keys and payloads; 0 where nothing is handled, and so nothing counted.
    pub(crate) bytes: u64,
}

/// One record in a chunk.
#[derive(Debug)]
pub(crate) enum Stored {
    /// librdkafka's message, not copied.
    Raw(RawRecord),
    /// A record made by hand, for a unit test of a handler.
    Made(Box<Made>),
}

/// The parts of a record made by hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
}

impl Stored {
    /// An empty record at this offset.
    #[cfg(test)]
    pub(crate) fn made_at(offset: i64) -> Self {
        Self::Made(Box::new(Made { offset, ..Made::default() }))
    }

    pub(crate) fn offset(&self) -> i64 {
        match self {
            Self::Raw(record) => record.offset(),
            Self::Made(made) => made.offset,
        }
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Raw(record) => record.key(),
            Self::Made(made) => made.key.as_deref(),
        }
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        match self {
            Self::Raw(record) => record.payload(),
            Self::Made(made) => made.payload.as_deref(),
        }
    }

    /// How many bytes key and payload have.
    pub(crate) fn bytes(&self) -> u32 {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        u32::try_from(length(self.key()) + length(self.payload())).unwrap_or(u32::MAX)
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        match self {
            Self::Raw(record) => record.timestamp(),
            Self::Made(made) => made.timestamp_ms.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        }
    }

    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        match self {
            Self::Raw(record) => record.leader_epoch(),
            Self::Made(_) => None,
        }
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let (raw, made) = match self {
            Self::Raw(record) => (Some(record.headers()), None),
            Self::Made(made) => (None, Some(made.headers.iter())),
        };
        let made = made.into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_deref()));
        raw.into_iter().flatten().chain(made)
    }
}
