//! Asynchronous work of some milliseconds a record, many at once: a listener by key against a bare loop that spawns a task
//! a record, in any order.

use std::sync::Arc;
use std::time::Duration;

use kafka_boot::config::Settings;
use kafka_boot::listeners;
use kafka_boot::prelude::*;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use tokio::sync::Semaphore;

use super::framework::app;
use super::progress::Progress;
use crate::task::Task;
use crate::{Result, settings};

static PROGRESS: Progress = Progress::new();

/// The part of a topic's name that says that records take 0 to 4 ms, as in Parallel Consumer's table, rather than 5. (Its page
/// says 0 to 5; its load test sleeps `nextInt(0, 5)` milliseconds, which are whole ones and never 5.)
pub(crate) const RANDOM_WORK: &str = "random";
/// The part of a topic's name that says that records take no time at all.
pub(crate) const NO_WORK: &str = "instant";

/// How long a record takes: always the same for the same offset.
fn duration(topic: &str, offset: i64) -> Duration {
    if topic.contains(RANDOM_WORK) {
        // The upper half of a multiple of the golden ratio: spread evenly, and without a pattern that keys share.
        Duration::from_millis((offset.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 5)
    } else if topic.contains(NO_WORK) {
        Duration::ZERO
    } else {
        Duration::from_millis(5)
    }
}

async fn work(topic: &str, offset: i64) {
    PROGRESS.begin();
    let duration = duration(topic, offset);
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
    PROGRESS.end();
}

#[kafka_listener(id = "consume", topic = "bench")]
async fn by_key(record: Record<()>) {
    work(record.topic(), record.offset()).await;
}

/// The same work as Parallel Consumer's own, which sleeps on threads.
#[kafka_listener(id = "consume", topic = "bench")]
fn by_key_on_threads(record: Record<()>) {
    PROGRESS.begin();
    std::thread::sleep(duration(record.topic(), record.offset()));
    PROGRESS.end();
}

/// The framework with a plain function.
pub(super) fn framework_on_threads(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![by_key_on_threads]))
}

/// The framework: order within each key, at least once, what is done out of order kept with the commit.
pub(super) fn framework(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![by_key]))
}

/// No framework: a task a record, as many at once as there are permits, in any order, and committed whatever happens.
pub(super) fn bare(task: &Task) -> Result<()> {
    PROGRESS.expect(task.records);
    let listener = Settings::load(settings::load_options(task))?.listener("consume", &[])?;
    let at_work_max = usize::try_from(listener.consumer.max_in_flight)?;
    super::runtime()?.block_on(async {
        let consumer: StreamConsumer =
            settings::rdkafka(settings::consumer(settings::load_options(task), true)?).create()?;
        consumer.subscribe(&[&task.topic])?;
        let (permits, topic) = (Arc::new(Semaphore::new(at_work_max)), Arc::<str>::from(task.topic.as_str()));
        for _ in 0..task.records {
            let offset = consumer.recv().await?.offset();
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let topic = Arc::clone(&topic);
            tokio::spawn(async move {
                work(&topic, offset).await;
                drop(permit);
            });
        }
        PROGRESS.until_finished().await;
        Ok::<(), crate::Error>(())
    })?;
    PROGRESS.report()
}
