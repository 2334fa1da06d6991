//! Producing with the `rdkafka` crate alone.

use std::collections::VecDeque;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryFuture, FutureProducer, FutureRecord, Producer};

use super::{VALUE_BYTES, WINDOW, value};
use crate::Result;
use crate::measure::{Stopwatch, report};
use crate::settings;
use crate::task::Task;

/// `FutureProducer` with many records under way, each delivery awaited in order.
pub(super) fn future_producer(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let producer: FutureProducer =
            settings::rdkafka(settings::producer(settings::sender_options(task))?).create()?;
        send(&producer, task, 1).await?;
        let stopwatch = Stopwatch::start();
        send(&producer, task, task.records).await?;
        report(stopwatch.stop(task.records))
    })
}

async fn send(producer: &FutureProducer, task: &Task, records: u64) -> Result<()> {
    let mut pending: VecDeque<DeliveryFuture> = VecDeque::with_capacity(WINDOW);
    for number in 0..records {
        if pending.len() == WINDOW {
            delivered(pending.pop_front()).await?;
        }
        let value = value(number);
        let record = FutureRecord::<(), [u8]>::to(&task.topic).payload(&value);
        // The window is half of what the queue takes, so it is never full.
        pending.push_back(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    while !pending.is_empty() {
        delivered(pending.pop_front()).await?;
    }
    Ok(())
}

async fn delivered(delivery: Option<DeliveryFuture>) -> Result<()> {
    let Some(delivery) = delivery else { return Ok(()) };
    delivery.await?.map_err(|(error, _)| error)?;
    Ok(())
}

/// Fills the topic with text of [`VALUE_BYTES`] bytes, evenly, in large batches.
pub(crate) fn seed(task: &Task, partitions: i32) -> Result<()> {
    seed_with(task, partitions, |number| Ok(format!("{number:.<VALUE_BYTES$}")))
}

/// Fills the topic with what `value` makes of each number, evenly, in large batches.
pub(crate) fn seed_with(task: &Task, partitions: i32, value: impl Fn(u64) -> Result<String>) -> Result<()> {
    let mut config = settings::rdkafka(settings::producer(settings::sender_options(task))?);
    config.set("linger.ms", "50");
    let producer: BaseProducer = config.create()?;
    let mut partition = 0;
    for number in 0..task.records {
        let value = value(number)?.into_bytes();
        let mut record = BaseRecord::<(), [u8]>::to(&task.topic).payload(&value).partition(partition);
        while let Err((error, refused)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(10));
            record = refused;
        }
        partition = (partition + 1) % partitions;
    }
    producer.flush(Duration::from_mins(2))?;
    Ok(())
}
