//! Very many listeners in one process, on its embedded broker: what each costs.

use std::time::{Duration, Instant};

use kafka_boot::__private::ListenerDescriptor;
use kafka_boot::listeners;
use kafka_boot::prelude::*;

use super::framework::{app, stop};
use crate::measure::{Measurement, Stopwatch, report, to_f64};
use crate::task::Task;
use crate::{Result, settings};

/// How long they are watched while nothing happens.
const IDLE: Duration = Duration::from_secs(5);

#[kafka_listener(id = "consume", topic = "bench", group = "bench")]
async fn rest(_record: Record<()>) {}

/// As many listeners as the task has records.
pub(super) fn listeners(task: &Task) -> Result<()> {
    let count = task.records;
    let embedded = Task { servers: "embedded".to_owned(), ..task.clone() };
    let mut options = settings::sender_options(&embedded);
    options.arguments.push(format!("--kafka.topics[0].name={}", task.topic));
    for number in 0..count {
        options.arguments.push(format!("--kafka.listeners.listener-{number}.group-id=group-{number}"));
    }
    let began = Instant::now();
    super::runtime()?.block_on(async {
        let before = figure("VmRSS")?;
        let running = app(options).listeners(copies(count)).start().await?;
        let waiting = running
            .listeners()
            .list()
            .iter()
            .filter(|listener| listener.assigned.concat().is_empty())
            .count();
        if waiting > 0 {
            return Err(format!("{waiting} listeners have no assignment").into());
        }
        let mut measurement = Measurement::default();
        measurement.set("start", began.elapsed().as_secs_f64());
        measurement.set("threads", figure("Threads")?);
        measurement.set("kib", figure("VmRSS")? - before);
        let stopwatch = Stopwatch::start();
        tokio::time::sleep(IDLE).await;
        let idle = stopwatch.stop(count);
        measurement.set("idle_percent", idle.get("cpu_seconds")? / idle.get("seconds")? * 100.0);
        let stopping = Instant::now();
        stop(running).await?;
        measurement.set("stop", stopping.elapsed().as_secs_f64());
        measurement.set("records", to_f64(count));
        report(measurement)
    })
}

/// The same listener under many ids. A program has its descriptors for as long as it runs, and so has this one.
fn copies(count: u64) -> &'static [&'static ListenerDescriptor] {
    let [one] = listeners![rest] else { unreachable!("one function, one descriptor") };
    let copy = |number: u64| -> &'static ListenerDescriptor {
        let id: &'static str = format!("listener-{number}").leak();
        Box::leak(Box::new(ListenerDescriptor { id, ..**one }))
    };
    (0..count).map(copy).collect::<Vec<_>>().leak()
}

/// A figure of this process, as the kernel shows it.
fn figure(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.ok_or_else(|| format!("`/proc` has no `{name}`"))?.parse()?)
}
