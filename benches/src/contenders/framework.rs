//! The same work as a service of the framework.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{Ended, PendingSend, RunningApp, jobs, listeners};
use tokio::sync::Notify;

use super::progress::Progress;
use super::{FIRST_RECORD, WINDOW, value};
use crate::measure::{Stopwatch, report};
use crate::task::Task;
use crate::{Result, settings};

static PROGRESS: Progress = Progress::new();
static GREETED: Notify = Notify::const_new();

/// Counts a record and reads its payload.
fn count(payload: Option<&[u8]>) {
    PROGRESS.begin();
    std::hint::black_box(payload.map_or(0, <[u8]>::len));
    PROGRESS.end();
}

/// A handler that does nothing: the payload is looked at where it lies, as in the raw loops.
#[kafka_listener(id = "consume", topic = "bench")]
async fn look(record: Record<()>) {
    count(record.payload());
}

/// A handler that takes what most handlers take: text of its own, checked and copied.
#[kafka_listener(id = "consume", topic = "bench")]
async fn take(record: Record<String>) {
    count(Some(record.value().as_bytes()));
}

/// Says so when the first record is there.
#[kafka_listener(id = "consume", topic = "bench")]
async fn greet(_record: Record<()>) {
    static IS_FIRST: AtomicBool = AtomicBool::new(true);
    if IS_FIRST.swap(false, Ordering::Relaxed) {
        println!("{FIRST_RECORD}");
        GREETED.notify_one();
    }
}

/// Sends the record that [`greet`] waits for.
#[scheduled(fixed_delay = 1000)]
async fn call(kafka: Bean<KafkaTemplate>) -> kafka_boot::Result {
    kafka.send("bench", "hello").await?;
    Ok(())
}

/// An application has a listener or a job; one that only sends from outside of them has this.
#[scheduled(fixed_delay = "1h")]
async fn rest() {}

pub(super) fn app(options: LoadOptions) -> App {
    App::new().without_discovery().load_options(options)
}

pub(super) async fn stop(running: RunningApp) -> Result<()> {
    match running.stop().await {
        Ended::Clean => Ok(()),
        Ended::Failed(reason) => Err(reason.into()),
    }
}

/// At-least-once, committed in batches, each commit confirmed unless the task says otherwise.
pub(super) fn consume_records(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![look]))
}

pub(super) fn consume_strings(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![take]))
}

/// `KafkaTemplate` with many records under way, each outcome awaited in order.
pub(super) fn produce(task: &Task) -> Result<()> {
    super::runtime()?.block_on(async {
        let running = app(settings::sender_options(task)).jobs(jobs![rest]).start().await?;
        let template = running.beans().bean::<KafkaTemplate, kafka_boot::Primary>()?;
        send(&template, task, 1).await?;
        let stopwatch = Stopwatch::start();
        send(&template, task, task.records).await?;
        report(stopwatch.stop(task.records))?;
        stop(running).await
    })
}

async fn send(template: &KafkaTemplate, task: &Task, records: u64) -> Result<()> {
    let topic: std::sync::Arc<str> = task.topic.as_str().into();
    let mut pending: VecDeque<PendingSend> = VecDeque::with_capacity(WINDOW);
    for number in 0..records {
        if let Some(oldest) = pending.pop_front_if(|_| number >= WINDOW as u64) {
            oldest.await?;
        }
        let record = ProducerRecord::new(std::sync::Arc::clone(&topic)).payload(value(number));
        pending.push_back(template.enqueue(record).await?);
    }
    while let Some(oldest) = pending.pop_front() {
        oldest.await?;
    }
    Ok(())
}

/// Start-up on the cluster of `task`, whose topic has a record.
pub(super) fn first_record(task: &Task) -> Result<()> {
    greeted(app(settings::load_options(task)).listeners(listeners![greet]))
}

/// Start-up with the embedded broker; a job sends the record.
pub(super) fn first_record_embedded(task: &Task) -> Result<()> {
    let embedded = Task { servers: "embedded".to_owned(), topic: "bench".to_owned(), ..task.clone() };
    let mut options = settings::load_options(&embedded);
    options.arguments.push("--kafka.topics[0].name=bench".to_owned());
    greeted(app(options).listeners(listeners![greet]).jobs(jobs![call]))
}

fn greeted(app: App) -> Result<()> {
    super::runtime()?.block_on(async {
        let running = app.start().await?;
        GREETED.notified().await;
        stop(running).await
    })
}
