//! How long a record takes from the call that sends it to the code that handles it, at a steady rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka_boot::listeners;
use kafka_boot::prelude::*;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::framework::{app, stop};
use super::value;
use crate::Result;
use crate::measure::{Stopwatch, report, to_f64};
use crate::settings;
use crate::task::Task;

const RECORDS_PER_SECOND: u64 = 5_000;
const TICK: Duration = Duration::from_millis(1);
const RECORDS_PER_TICK: u64 = RECORDS_PER_SECOND / 1_000;

/// The first records find cold caches and connections; they are left out, this many of 100.
const WARM_UP_PERCENT: usize = 20;

/// Nanoseconds that each record took, in the order of their arrival.
static TAKEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static ARRIVED: Notify = Notify::const_new();

/// Nanoseconds since an arbitrary moment, the same for the whole machine.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

fn arrived(payload: Option<&[u8]>) {
    let Some(sent) = payload.and_then(<[u8]>::first_chunk) else { return };
    let took = now().saturating_sub(u64::from_be_bytes(*sent));
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    ARRIVED.notify_one();
}

#[kafka_listener(id = "consume", topic = "bench")]
async fn clock(record: Record<()>) {
    arrived(record.payload());
}

/// `KafkaTemplate` to a listener.
pub(super) fn framework(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let running = app(settings::latency_options(task)).listeners(listeners![clock]).start().await?;
        let template = running.beans().bean::<KafkaTemplate, kafka_boot::Primary>()?;
        let stopwatch = Stopwatch::start();
        paced(task.records, || {
            let (template, record) =
                (template.clone(), ProducerRecord::new(task.topic.as_str()).payload(value(now())));
            async move {
                drop(template.enqueue(record).await?);
                Ok(())
            }
        })
        .await?;
        finish(task.records, &stopwatch).await?;
        stop(running).await
    })
}

/// `FutureProducer` to a `StreamConsumer::recv` loop.
pub(super) fn raw(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let consumer: StreamConsumer =
            settings::rdkafka(settings::consumer(settings::latency_options(task), true)?).create()?;
        consumer.subscribe(&[&task.topic])?;
        let receiving = tokio::spawn(async move {
            loop {
                match consumer.recv().await {
                    Ok(message) => arrived(message.payload()),
                    Err(error) => eprintln!("{error}"),
                }
            }
        });
        let producer: FutureProducer =
            settings::rdkafka(settings::producer(settings::latency_options(task))?).create()?;
        let stopwatch = Stopwatch::start();
        paced(task.records, || {
            let value = value(now());
            let record = FutureRecord::<(), [u8]>::to(&task.topic).payload(&value);
            let sent = producer.send_result(record).map(drop).map_err(|(error, _)| error.into());
            std::future::ready(sent)
        })
        .await?;
        finish(task.records, &stopwatch).await?;
        receiving.abort();
        Ok(())
    })
}

/// Sends at a steady rate: a tick that comes late is made up for, so that no slow moment hides.
async fn paced<F: Future<Output = Result<()>>>(records: u64, mut send: impl FnMut() -> F) -> Result<()> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..records / RECORDS_PER_TICK {
        ticks.tick().await;
        for _ in 0..RECORDS_PER_TICK {
            send().await?;
        }
    }
    Ok(())
}

async fn finish(records: u64, stopwatch: &Stopwatch) -> Result<()> {
    let wanted = usize::try_from(records / RECORDS_PER_TICK * RECORDS_PER_TICK)?;
    let count = || TAKEN.lock().unwrap_or_else(PoisonError::into_inner).len();
    while count() < wanted {
        ARRIVED.notified().await;
    }
    let mut measurement = stopwatch.stop(records);
    let mut taken =
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).split_off(wanted * WARM_UP_PERCENT / 100);
    taken.sort_unstable();
    for (name, per_mille) in [("p50_ms", 500), ("p99_ms", 990), ("p999_ms", 999), ("max_ms", 1_000)] {
        let index = (taken.len() * per_mille / 1_000).min(taken.len() - 1);
        measurement.set(name, to_f64(taken[index]) / 1e6);
    }
    report(measurement)
}
