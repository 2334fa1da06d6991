//! Reads topics, in no group that anybody else is in.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_boot_client::{
    ClientConfig, ClientError, Consumer, ConsumerEvent, ErrorKind, PartitionOffset, RawRecord, TopicPartition,
};
use serde::Deserialize;

use crate::record::{Chunk, Delivery, FromPayload, Record, RecordView, Stored};

/// How long one poll waits.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);
const POLL_RECORDS_MAX: usize = 1_000;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is to be read of one partition: the offsets from `start` up to, but without, `end`.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) partition: TopicPartition,
    pub(crate) start: i64,
    /// `None` is as far as committed records go now.
    pub(crate) end: Option<i64>,
}

/// Why not everything was read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Client(ClientError),
    /// The deadline came first; how many records had been read.
    Late(usize),
}

/// Every committed record of the spans, partition by partition, by offset. Blocks, at most until the deadline.
///
/// Each call has a consumer of its own: what an earlier assignment left behind can be taken for nothing else.
pub(crate) fn read(
    config: ClientConfig,
    spans: &[Span],
    deadline: Instant,
) -> Result<Vec<Record<Option<Bytes>>>, ReadError> {
    let mut records = Vec::new();
    read_each(config, spans, deadline, |record| {
        records.push(record);
        ControlFlow::Continue(())
    })?;
    records.sort_by_key(|record| (record.partition(), record.offset()));
    Ok(records)
}

/// The same, one by one as they come: each partition's in the order of their offsets. Ends early where `take` says so.
pub(crate) fn read_each(
    mut config: ClientConfig,
    spans: &[Span],
    deadline: Instant,
    mut take: impl FnMut(Record<Option<Bytes>>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    for (name, value) in [
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
        ("fetch.wait.max.ms", "10"),
        ("fetch.queue.backoff.ms", "1"),
        // The ends of transactions are no records. Only the statistics tell that they were passed.
        ("statistics.interval.ms", "50"),
    ] {
        config.set(name, value);
    }
    let consumer = Consumer::new(&config).map_err(ReadError::Client)?;
    let mut reader = Reader { consumer, deadline };
    let read = reader.read(spans, &mut take);
    // Nobody waits for it, and its records may be kept after it is closed.
    drop(reader.consumer.close(CLOSE_TIMEOUT, |_, _| {}));
    read
}

/// What is done with a record; a break ends the reading.
type Take<'a> = &'a mut dyn FnMut(Record<Option<Bytes>>) -> ControlFlow<()>;

/// A consumer that is in no group, and when it must be done.
struct Reader {
    consumer: Consumer,
    deadline: Instant,
}

impl Reader {
    fn read(&mut self, spans: &[Span], take: Take<'_>) -> Result<(), ReadError> {
        let mut open: HashMap<TopicPartition, i64> = HashMap::new();
        let mut assigned = Vec::new();
        for span in spans {
            let end = match span.end {
                Some(end) => end,
                None => self.end(&span.partition)?,
            };
            if span.start < end {
                open.insert(span.partition.clone(), end);
                assigned.push(PartitionOffset::new(span.partition.clone(), span.start));
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        self.consumer.assign(&assigned).map_err(ReadError::Client)?;
        self.read_open(open, take)
    }

    fn end(&self, partition: &TopicPartition) -> Result<i64, ReadError> {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(POLL_TIMEOUT);
        self.consumer.watermarks(partition, left).map(|(_, end)| end).map_err(ReadError::Client)
    }

    fn read_open(&mut self, mut open: HashMap<TopicPartition, i64>, take: Take<'_>) -> Result<(), ReadError> {
        let mut count = 0;
        let (mut polled, mut events) = (Vec::new(), Vec::new());
        while !open.is_empty() {
            if Instant::now() >= self.deadline {
                return Err(ReadError::Late(count));
            }
            self.consumer
                .poll(POLL_RECORDS_MAX, POLL_TIMEOUT, &mut polled, &mut events)
                .map_err(ReadError::Client)?;
            let is_idle = polled.is_empty();
            for record in polled.drain(..) {
                let partition = TopicPartition::new(record.topic(), record.partition());
                let Some(end) = open.get(&partition).copied() else { continue };
                if record.offset() + 1 >= end {
                    open.remove(&partition);
                }
                if record.offset() < end
                    && let Some(record) = owned(&partition, record)
                {
                    count += 1;
                    if take(record).is_break() {
                        return Ok(());
                    }
                }
            }
            for event in events.drain(..) {
                if let Some(refusal) = refusal(&event) {
                    return Err(ReadError::Client(refusal.clone()));
                }
                // Whatever was fetched comes before the statistics only when nothing waits in between.
                if let ConsumerEvent::Statistics(json) = event
                    && is_idle
                {
                    for partition in passed(&json, &open) {
                        open.remove(&partition);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why nothing will be read however long one waits, if an event says that: there is no such topic, or no permission.
pub(crate) fn refusal(event: &ConsumerEvent) -> Option<&ClientError> {
    match event {
        ConsumerEvent::Error(error)
            if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::UnknownTopic) =>
        {
            Some(error)
        }
        _ => None,
    }
}

/// The record as a handler would be given it. `None` cannot occur: any bytes are bytes.
pub(crate) fn owned(partition: &TopicPartition, record: RawRecord) -> Option<Record<Option<Bytes>>> {
    let records = vec![Stored::Raw(record)];
    let (topic, partition) = (Arc::clone(&partition.topic), partition.partition);
    let chunk = Arc::new(Chunk { topic, partition, records, bytes: 0 });
    let view = RecordView::new(&chunk, 0, &Delivery::FIRST, None);
    let value = Option::<Bytes>::from_payload(view.payload()).ok()?;
    Some(Record::from_view(&view, value))
}

/// The part of the client's statistics that tells how far it has fetched.
#[derive(Deserialize)]
struct Fetched {
    #[serde(default)]
    topics: HashMap<String, FetchedTopic>,
}

#[derive(Deserialize)]
struct FetchedTopic {
    #[serde(default)]
    partitions: HashMap<String, FetchedPartition>,
}

#[derive(Deserialize)]
struct FetchedPartition {
    #[serde(default)]
    fetchq_cnt: i64,
    #[serde(default)]
    next_offset: i64,
}

/// The open partitions of which everything is fetched and handed out.
fn passed(json: &str, open: &HashMap<TopicPartition, i64>) -> Vec<TopicPartition> {
    let Ok(fetched) = serde_json::from_str::<Fetched>(json) else { return Vec::new() };
    let is_passed = |(partition, end): &(&TopicPartition, &i64)| {
        let topic = fetched.topics.get(&*partition.topic);
        let figures = topic.and_then(|topic| topic.partitions.get(&partition.partition.to_string()));
        figures.is_some_and(|figures| figures.fetchq_cnt == 0 && figures.next_offset >= **end)
    };
    open.iter().filter(is_passed).map(|(partition, _)| partition.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_passed_when_it_is_fetched_to_its_end_and_nothing_waits() {
        let json = r#"{"topics": {"t": {"partitions": {
            "0": {"fetchq_cnt": 0, "next_offset": 5},
            "1": {"fetchq_cnt": 1, "next_offset": 5},
            "2": {"fetchq_cnt": 0, "next_offset": 4}
        }}}}"#;
        let open = (0..4).map(|partition| (TopicPartition::new("t", partition), 5)).collect();
        assert_eq!(passed(json, &open), [TopicPartition::new("t", 0)]);
    }
}
