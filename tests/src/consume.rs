//! What is in a topic, byte for byte, as another client reads it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::quiet_client;
use crate::{Error, ErrorKind, Result};

/// A record as it is in its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The partition, from 0.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Consumed {
    /// The value of the last header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|(header, _)| header == name);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// The same as text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value as text; empty where it is none.
    pub fn text(&self) -> &str {
        self.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    }
}

/// Every committed record of a topic up to its present ends, by partition and offset. A topic that is not there has none.
/// Blocks.
pub fn read_topic(bootstrap_servers: &str, topic: &str, deadline: Duration) -> Result<Vec<Consumed>> {
    let client: BaseConsumer = quiet_client(bootstrap_servers)
        .set("group.id", "kafka-boot-tests-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let metadata = client.fetch_metadata(Some(topic), deadline)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: Vec<i32> =
        found.into_iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id)).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    client.assign(&assignment)?;
    let until = Instant::now() + deadline;
    let mut at_end: HashSet<i32> = HashSet::new();
    let mut records = Vec::new();
    while at_end.len() < partitions.len() {
        if Instant::now() >= until {
            let message =
                format!("read {} records of `{topic}` and not its ends within {deadline:?}", records.len());
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        match client.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => records.push(consumed(&message)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                at_end.insert(partition);
            }
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// Reads a topic's committed records while they are written, on a thread of its own, whatever becomes of the broker meanwhile.
///
/// ```no_run
/// use kafka_boot_tests::consume::Follower;
/// use std::time::Duration;
///
/// let follower = Follower::start("127.0.0.1:9092", "copies", 12).unwrap();
/// let read = follower.until(20_000, Duration::from_secs(30)).unwrap();
/// ```
#[derive(Debug)]
pub struct Follower {
    read: Arc<Mutex<Vec<Consumed>>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to read partitions `0..partitions` of `topic` from their beginnings.
    pub fn start(bootstrap_servers: &str, topic: &str, partitions: i32) -> Result<Self> {
        let client: BaseConsumer = quiet_client(bootstrap_servers)
            .set("group.id", "kafka-boot-tests-follower")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        client.assign(&assignment)?;
        let (read, is_stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (records, stopping) = (Arc::clone(&read), Arc::clone(&is_stopping));
        let thread = std::thread::Builder::new()
            .name("follower".to_owned())
            .spawn(move || follow(&client, &records, &stopping))
            .map_err(|error| Error::io("cannot start the follower's thread", error))?;
        Ok(Self { read, is_stopping, thread: Some(thread) })
    }

    /// Reads on until there are this many records, and returns all, by partition and offset.
    pub fn until(mut self, count: usize, deadline: Duration) -> Result<Vec<Consumed>> {
        crate::wait::poll(deadline, &format!("{count} records to be followed"), || {
            let read = lock(&self.read).len();
            if read >= count { Ok(()) } else { Err(format!("there are {read}")) }
        })?;
        self.end();
        let mut records = std::mem::take(&mut *lock(&self.read));
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    fn end(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The follower has no reason to panic; if it did, what it has read is still there.
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

fn follow(client: &BaseConsumer, records: &Mutex<Vec<Consumed>>, is_stopping: &AtomicBool) {
    while !is_stopping.load(Ordering::Acquire) {
        // An error is the broker's absence: the client connects again by itself, and goes on where it was.
        if let Some(Ok(message)) = client.poll(Duration::from_millis(50)) {
            lock(records).push(consumed(&message));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn consumed(message: &rdkafka::message::BorrowedMessage<'_>) -> Consumed {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Consumed {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}
