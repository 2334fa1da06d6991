//! Records to find again: each value carries its number and its place among the records of its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::Result;
use crate::kafka::quiet_client;
use crate::ledger::Produced;
pub use crate::topics::{alter_topic, create_topic, create_topic_with};

/// How long the broker may take for one request of the harness.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A moment for records that carry a time of their own, in milliseconds since 1970: always the same one within a
/// process, and recent, because retention takes old records away a moment after they are written.
///
/// ```
/// assert_eq!(kafka_boot_tests::produce::recent_ms(), kafka_boot_tests::produce::recent_ms());
/// ```
pub fn recent_ms() -> i64 {
    static MOMENT: OnceLock<i64> = OnceLock::new();
    *MOMENT.get_or_init(|| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    })
}

/// What a value says about its record.
///
/// ```
/// use kafka_boot_tests::produce::Stamp;
///
/// let stamp = Stamp { uid: 7, seq: 2 };
/// let value = stamp.to_value(100);
/// assert_eq!(value.len(), 100);
/// assert_eq!(Stamp::parse(value.as_bytes()), Some(stamp));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The record's number, unique within a run.
    pub uid: u64,
    /// Its place among the records of its key; among all records if it has no key.
    pub seq: u64,
}

/// A number of records to produce as fast as the broker acknowledges them.
///
/// ```no_run
/// use kafka_boot_tests::produce::Seeding;
///
/// let seeded = Seeding::new("orders", 10_000).keys(1_000).produce("127.0.0.1:9092").unwrap();
/// assert!(seeded.failed.is_empty());
/// assert_eq!(seeded.acked.len(), 10_000);
/// ```
#[derive(Debug, Clone)]
pub struct Seeding {
    topic: String,
    records: u64,
    keys: u64,
    value_bytes: usize,
    first_uid: u64,
    deadline: Duration,
    settings: Vec<(String, String)>,
}

/// What became of the records of a [`Seeding`].
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    /// The records the broker acknowledged, by partition and offset.
    pub acked: Vec<Produced>,
    /// The numbers of the others, with the reason. They may nevertheless be in the topic.
    pub failed: Vec<(u64, String)>,
}

impl Stamp {
    /// The value that carries this stamp, padded to `bytes` bytes where it is shorter.
    pub fn to_value(self, bytes: usize) -> String {
        format!("{:.<bytes$}", format!("{}:{}:", self.uid, self.seq))
    }

    /// Reads the stamp of a value; `None` if it has none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(value).ok()?.splitn(3, ':');
        let (uid, seq) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        fields.next().map(|_padding| Self { uid, seq })
    }
}

impl Seeding {
    /// `records` records without keys, of 100 bytes each, numbered from 0.
    pub fn new(topic: impl Into<String>, records: u64) -> Self {
        Self {
            topic: topic.into(),
            records,
            keys: 0,
            value_bytes: 100,
            first_uid: 0,
            deadline: Duration::from_mins(2),
            settings: Vec::new(),
        }
    }

    /// Gives the records `keys` different keys, in turn; 0 means no keys.
    #[must_use]
    pub fn keys(mut self, keys: u64) -> Self {
        self.keys = keys;
        self
    }

    /// Sets the size of the values, in bytes; default 100.
    #[must_use]
    pub fn value_bytes(mut self, bytes: usize) -> Self {
        self.value_bytes = bytes;
        self
    }

    /// Sets the number of the first record, for a second seeding of the same run; default 0.
    #[must_use]
    pub fn first_uid(mut self, uid: u64) -> Self {
        self.first_uid = uid;
        self
    }

    /// Sets how long a record may wait for its acknowledgement, faults included; default 2 minutes.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets one of librdkafka's producer settings on top of those of the harness (all replicas, idempotent).
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Produces the records and waits until each is acknowledged or has failed. Blocks.
    ///
    /// Fails with [`ErrorKind::Kafka`](crate::ErrorKind::Kafka) if the client refuses its settings or the records outright.
    pub fn produce(&self, bootstrap_servers: &str) -> Result<Seeded> {
        let mut config = quiet_client(bootstrap_servers);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", self.deadline.as_millis().to_string());
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        let reports = Reports::default();
        let seeded = Arc::clone(&reports.seeded);
        let producer: ThreadedProducer<Reports> = config.create_with_context(reports)?;
        let mut sequence: HashMap<u64, u64> = HashMap::new();
        for uid in self.first_uid..self.first_uid + self.records {
            let key_number = uid.checked_rem(self.keys);
            let next = sequence.entry(key_number.unwrap_or_default()).or_default();
            self.send(&producer, Stamp { uid, seq: *next }, key_number)?;
            *next += 1;
        }
        producer.flush(self.deadline + REQUEST_DEADLINE)?;
        drop(producer);

        let mut seeded = std::mem::take(&mut *seeded.lock().unwrap_or_else(PoisonError::into_inner));
        seeded.acked.sort_by_key(|produced| (produced.partition, produced.offset));
        Ok(seeded)
    }

    fn send(
        &self,
        producer: &ThreadedProducer<Reports>,
        stamp: Stamp,
        key_number: Option<u64>,
    ) -> Result<()> {
        let key = key_number.map(|number| format!("key-{number}"));
        let value = stamp.to_value(self.value_bytes);
        let opaque = Box::new(Sent { stamp, key: key.clone() });
        let mut record = BaseRecord::with_opaque_to(&self.topic, opaque).payload(&value);
        if let Some(key) = key.as_ref() {
            record = record.key(key);
        }
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    // The producer's own thread serves the queue; flushing a little waits for room without spinning.
                    let _ = producer.flush(Duration::from_millis(20));
                    record = refused;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

/// What the delivery report gives back.
struct Sent {
    stamp: Stamp,
    key: Option<String>,
}

/// Collects delivery reports.
#[derive(Default)]
struct Reports {
    seeded: Arc<Mutex<Seeded>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let mut seeded = self.seeded.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => seeded.acked.push(Produced {
                uid: sent.stamp.uid,
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                key: sent.key,
                seq: sent.stamp.seq,
            }),
            Err((error, _)) => seeded.failed.push((sent.stamp.uid, error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_stamped_has_no_stamp() {
        for value in ["", "hello", "1:2", ":1:", "1::", "-1:2:"] {
            assert_eq!(Stamp::parse(value.as_bytes()), None, "{value:?}");
        }
        assert_eq!(Stamp::parse(b"1:2:"), Some(Stamp { uid: 1, seq: 2 }));
    }
}
