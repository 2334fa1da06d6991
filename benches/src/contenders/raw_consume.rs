//! Consuming with the client libraries alone.

use std::time::Duration;

use kafka_boot_client::{ClientConfig, Consumer as Client, ConsumerEvent, PartitionOffset};
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::message::Message;

use super::FIRST_RECORD;
use crate::Result;
use crate::measure::{Stopwatch, report};
use crate::settings;
use crate::task::Task;

/// What one poll of the batching loops takes at most; the framework's own figure.
const BATCH_RECORDS: usize = 4096;
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Counts records and their bytes, from the first one on.
struct Count {
    wanted: u64,
    records: u64,
    bytes: usize,
    stopwatch: Option<Stopwatch>,
}

impl Count {
    fn until(wanted: u64) -> Self {
        Self { wanted, records: 0, bytes: 0, stopwatch: None }
    }

    fn add(&mut self, payload: Option<&[u8]>) {
        self.stopwatch.get_or_insert_with(Stopwatch::start);
        self.records += 1;
        self.bytes += payload.map_or(0, <[u8]>::len);
    }

    fn is_done(&self) -> bool {
        self.records >= self.wanted
    }

    fn report(&self) -> Result<()> {
        let stopwatch = self.stopwatch.as_ref().ok_or("there were no records")?;
        std::hint::black_box(self.bytes);
        report(stopwatch.stop(self.records))
    }
}

/// `StreamConsumer::recv` in a loop, offsets committed by librdkafka's timer.
pub(super) fn stream_consumer(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let consumer: StreamConsumer =
            settings::rdkafka(settings::consumer(settings::load_options(task), true)?).create()?;
        consumer.subscribe(&[&task.topic])?;
        let mut count = Count::until(task.records);
        while !count.is_done() {
            count.add(consumer.recv().await?.payload());
        }
        count.report()
    })
}

/// `BaseConsumer::poll` in a loop, offsets committed by librdkafka's timer.
pub(super) fn base_consumer(task: &Task) -> Result<()> {
    let consumer: BaseConsumer =
        settings::rdkafka(settings::consumer(settings::load_options(task), true)?).create()?;
    consumer.subscribe(&[&task.topic])?;
    let mut count = Count::until(task.records);
    while !count.is_done() {
        if let Some(message) = consumer.poll(POLL_TIMEOUT) {
            count.add(message?.payload());
        }
    }
    count.report()
}

/// The client under the framework, without the framework: batches, handed out as records and dropped.
pub(super) fn client_poll(task: &Task) -> Result<()> {
    let config: ClientConfig = settings::consumer(settings::load_options(task), true)?.into_iter().collect();
    let mut consumer = Client::new(&config)?;
    consumer.subscribe(&[&task.topic])?;
    let (mut records, mut events) = (Vec::new(), Vec::new());
    let mut count = Count::until(task.records);
    while !count.is_done() {
        consumer.poll(BATCH_RECORDS, POLL_TIMEOUT, &mut records, &mut events)?;
        for record in records.drain(..) {
            count.add(record.payload());
        }
        for event in events.drain(..) {
            if let ConsumerEvent::Assign { partitions } = event {
                let start =
                    partitions.into_iter().map(|at| PartitionOffset::new(at, PartitionOffset::COMMITTED));
                consumer.assign(&start.collect::<Vec<_>>())?;
            }
        }
    }
    count.report()
}

/// Says so when the first record is there.
pub(super) fn first_record(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let consumer: StreamConsumer =
            settings::rdkafka(settings::consumer(settings::load_options(task), true)?).create()?;
        consumer.subscribe(&[&task.topic])?;
        consumer.recv().await?;
        println!("{FIRST_RECORD}");
        Ok(())
    })
}

/// Fails unless the group has committed the end of every partition of the topic.
pub(crate) fn check_committed(task: &Task) -> Result<()> {
    let config = settings::rdkafka(settings::consumer(settings::load_options(task), false)?);
    let consumer: BaseConsumer = config.create()?;
    let timeout = Duration::from_secs(10);
    let metadata = consumer.fetch_metadata(Some(&task.topic), timeout)?;
    let topic = metadata.topics().first().ok_or("the topic is unknown")?;
    let mut asked = rdkafka::TopicPartitionList::new();
    for partition in topic.partitions() {
        asked.add_partition(&task.topic, partition.id());
    }
    let committed = consumer.committed_offsets(asked, timeout)?;
    for element in committed.elements() {
        let (_, end) = consumer.fetch_watermarks(&task.topic, element.partition(), timeout)?;
        if element.offset().to_raw() != Some(end) {
            let partition = element.partition();
            return Err(
                format!("partition {partition} is committed to {:?} of {end}", element.offset()).into()
            );
        }
    }
    Ok(())
}
