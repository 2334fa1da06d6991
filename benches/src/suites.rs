//! What runs when, and the table that each suite ends with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_boot_tests::process::{Program, Signal, workspace_binary};
use kafka_boot_tests::produce::{Seeding, create_topic};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::contenders::json::document;
use crate::contenders::keys::{NO_WORK, RANDOM_WORK};
use crate::contenders::{FIRST_RECORD, POISONED_KEYS, raw_produce};
use crate::measure::{Measurement, peak_kib, to_f64};
use crate::table::{Results, Table};
use crate::task::{Task, run_client_example, workspace};
use crate::{CONTENDER_DEADLINE, Plan, Result, settings};

/// Measures on a cluster and returns Markdown.
pub(crate) type Suite = fn(&Plan, &str) -> Result<String>;

pub(crate) const PARTITIONS: i32 = 6;
/// The loop that has nothing around librdkafka: an example of the client crate, because it needs `unsafe`.
const BARE_LOOP: &str = "bare_batch_loop";
const LATENCY_RECORDS: u64 = 50_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The topic of the example service.
const EXAMPLE_TOPIC: &str = "test";

/// Consumes one topic again and again, each time in a new group.
pub(crate) fn consume(plan: &Plan, servers: &str) -> Result<String> {
    let contenders =
        ["stream-consumer", "base-consumer", BARE_LOOP, "client-poll", "framework", "framework-string"];
    let topic = seeded_topic(plan, servers)?;
    let results = rounds(plan, &contenders, |contender| {
        let task = task(plan, servers, &topic, plan.records);
        match contender {
            BARE_LOOP => bare_loop(&task),
            _ => task.run(contender),
        }
    })?;
    throughput(
        &format!("Consume {} records of 100 bytes, {PARTITIONS} partitions", plan.records),
        &results,
        &["stream-consumer", BARE_LOOP],
    )
}

/// The table of Parallel Consumer's page: the row, our `ordering`, how many keys, and the seconds that it publishes.
const PARALLEL_CONSUMER: [(&str, &str, u64, &str); 11] = [
    ("partition", "partition", 10_000, "22.22"),
    ("key, 1 key", "key", 1, "26.74"),
    ("key, 2 keys", "key", 2, "13.58"),
    ("key, 5 keys", "key", 5, "5.92"),
    ("key, 10 keys", "key", 10, "3.31"),
    ("key, 20 keys", "key", 20, "2.24"),
    ("key, 50 keys", "key", 50, "2.20"),
    ("key, 100 keys", "key", 100, "2.18"),
    ("key, 1 000 keys", "key", 1_000, "2.06"),
    ("key, 10 000 keys", "key", 10_000, "2.13"),
    ("none", "none", 10_000, "2.83"),
];

/// Asynchronous work, many records at once: 200 000 records of 5 ms, then the table that Parallel Consumer publishes.
pub(crate) fn keys(plan: &Plan, servers: &str) -> Result<String> {
    const RECORDS: u64 = 200_000;
    const KEYS: u64 = 10_000;
    let mut text = String::new();
    for at_work_max in [100, 1_000] {
        let topic = keyed_topic(servers, "fixed", RECORDS, KEYS, PARTITIONS)?;
        let results = rounds(plan, &["keys-bare", "keys-framework"], |contender| {
            keyed_task(plan, servers, &topic, RECORDS, "key", at_work_max).run(contender)
        })?;
        let heading = format!(
            "{RECORDS} records of {KEYS} keys, 5 ms each, {PARTITIONS} partitions, {at_work_max} at work"
        );
        text += &throughput(&heading, &results, &["keys-bare"])?;
        text += "\n";
    }
    let heading = "10 000 records, 0 to 4 ms each, 1 partition, 100 at work: seconds";
    let columns = ["", "Parallel Consumer, published", "plain fn", "async fn", "bare loop, any order"];
    let mut table = Table::new(heading, &columns);
    for (name, ordering, keys, published) in PARALLEL_CONSUMER {
        let topic = keyed_topic(servers, RANDOM_WORK, 10_000, keys, 1)?;
        let contenders: &[_] = &["keys-threads", "keys-framework", "keys-bare"];
        // The bare loop has one order, so it is measured once.
        let contenders = if ordering == "none" { contenders } else { &contenders[..2] };
        let results = rounds(plan, contenders, |contender| {
            keyed_task(plan, servers, &topic, 10_000, ordering, 100).run(contender)
        })?;
        let seconds = |name: &str| -> Result<String> {
            let median = results.median(name, |measured| measured.get("seconds"))?;
            Ok(median.map_or_else(String::new, |seconds| format!("{seconds:.2}")))
        };
        let (on_threads, in_tasks, bare) =
            (seconds("keys-threads")?, seconds("keys-framework")?, seconds("keys-bare")?);
        table.row(&[name.to_owned(), published.to_owned(), on_threads, in_tasks, bare]);
    }
    Ok(text + &table.into_markdown())
}

/// What one key that fails for ten seconds costs the others: those of `keys-framework` without any failure.
pub(crate) fn poisoned(plan: &Plan, servers: &str) -> Result<String> {
    const RECORDS: u64 = 200_000;
    let topic = keyed_topic(servers, "fixed", RECORDS, POISONED_KEYS, PARTITIONS)?;
    let results = rounds(plan, &["keys-framework", "keys-poisoned"], |contender| {
        keyed_task(plan, servers, &topic, RECORDS, "key", 100).run(contender)
    })?;
    let heading = format!(
        "{RECORDS} records of {POISONED_KEYS} keys, 5 ms each, 100 at work: no failures, and one key that fails for 10 s"
    );
    throughput(&heading, &results, &["keys-framework"])
}

fn keyed_task(
    plan: &Plan,
    servers: &str,
    topic: &str,
    records: u64,
    ordering: &str,
    at_work_max: u32,
) -> Task {
    let mut task = task(plan, servers, topic, records);
    task.settings.push(format!("--kafka.listeners.consume.ordering={ordering}"));
    task.settings.push(format!("--kafka.listeners.consume.max-in-flight={at_work_max}"));
    task
}

/// A topic of records with keys, in turn; filled once per cluster.
fn keyed_topic(servers: &str, purpose: &str, records: u64, keys: u64, partitions: i32) -> Result<String> {
    let topic = format!("bench-keys-{purpose}-{records}-{keys}");
    let plan = Plan { rounds: 1, records, sends: 0, only: Vec::new(), settings: Vec::new() };
    if create_missing_topic(
        &asking_client(&task(&plan, servers, &topic, records))?,
        servers,
        &topic,
        partitions,
    )? {
        Seeding::new(&topic, records).keys(keys).produce(servers)?;
    }
    Ok(topic)
}

/// What a confirmed commit costs: `sync` against `async` for whole batches, and a commit for each record by key.
pub(crate) fn commits(plan: &Plan, servers: &str) -> Result<String> {
    const RECORDS: u64 = 200_000;
    const KEYS: u64 = 1_000;
    let topic = seeded_topic(plan, servers)?;
    let results = rounds(plan, &["framework", "framework-async"], |contender| {
        let mut task = task(plan, servers, &topic, plan.records);
        if contender == "framework-async" {
            task.settings.push("--kafka.consumer.commit=async".to_owned());
        }
        task.run(contender)
    })?;
    let heading = format!("Consume {} records, `commit: sync` against `commit: async`", plan.records);
    let by_batch = throughput(&heading, &results, &["framework-async"])?;
    let topic = keyed_topic(servers, NO_WORK, RECORDS, KEYS, PARTITIONS)?;
    let results = rounds(plan, &["keys-framework"], |contender| {
        let mut task = keyed_task(plan, servers, &topic, RECORDS, "key", 1_000);
        task.settings.push("--kafka.consumer.ack-mode=record".to_owned());
        task.run(contender)
    })?;
    let heading =
        format!("{RECORDS} records of {KEYS} keys, `ack-mode: record`, `commit: sync`, `ordering: key`");
    Ok(format!("{by_batch}\n{}", throughput(&heading, &results, &[])?))
}

/// What decoding costs beyond `serde_json` itself.
pub(crate) fn json(plan: &Plan, servers: &str) -> Result<String> {
    let topic = format!("bench-json-{}", plan.records);
    let seeding = task(plan, servers, &topic, plan.records);
    if create_missing_topic(&asking_client(&seeding)?, servers, &topic, PARTITIONS)? {
        raw_produce::seed_with(&seeding, PARTITIONS, document)?;
    }
    let results = rounds(plan, &["json-ignored", "json-decoded", "serde-alone"], |contender| {
        task(plan, servers, &topic, plan.records).run(contender)
    })?;
    let cpu = |name: &str| -> Result<f64> {
        let each = |measured: &Measurement| Ok(measured.get("cpu_seconds")? / measured.get("records")? * 1e6);
        Ok(results.median(name, each)?.unwrap_or_default())
    };
    let (added, alone) = (cpu("json-decoded")? - cpu("json-ignored")?, cpu("serde-alone")?);
    let text =
        throughput(&format!("{} JSON documents of 200 bytes", plan.records), &results, &["json-ignored"])?;
    Ok(format!(
        "{text}\nDecoding adds {added:.2} CPU s per million records, {:.2} of what `serde_json` takes alone.\n",
        added / alone
    ))
}

/// Produces to a new topic each time.
pub(crate) fn produce(plan: &Plan, servers: &str) -> Result<String> {
    let contenders = ["future-producer", "template"];
    let results = rounds(plan, &contenders, |contender| {
        let topic = new_topic(servers, "sends")?;
        task(plan, servers, &topic, plan.sends).run(contender)
    })?;
    throughput(
        &format!("Produce {} records of 100 bytes, acks=all, idempotent, each outcome awaited", plan.sends),
        &results,
        &["future-producer"],
    )
}

/// Sends at a steady rate and measures how long each record takes to the code that handles it.
pub(crate) fn latency(plan: &Plan, servers: &str) -> Result<String> {
    let results = rounds(plan, &["raw-latency", "framework-latency"], |contender| {
        let topic = new_topic(servers, "latency")?;
        task(plan, servers, &topic, LATENCY_RECORDS).run(contender)
    })?;
    let columns = ["p50_ms", "p99_ms", "p999_ms", "max_ms", "cpu_seconds"];
    let heading = "End-to-end latency at 5000 records/s, in ms (linger 0)";
    let mut table = Table::new(heading, &["", "p50", "p99", "p99.9", "max", "CPU s"]);
    for name in results.names() {
        let mut cells = vec![(*name).to_owned()];
        for column in columns {
            let median = results.median(name, |measured| measured.get(column))?;
            cells.push(median.map_or_else(String::new, |value| format!("{value:.2}")));
        }
        table.row(&cells);
    }
    Ok(table.into_markdown())
}

/// From the start of the process to its first record.
pub(crate) fn startup(plan: &Plan, servers: &str) -> Result<String> {
    let topic = new_topic(servers, "startup")?;
    raw_produce::seed(&task(plan, servers, &topic, 1), PARTITIONS)?;
    let contenders = ["raw-startup", "framework-startup", "embedded-startup"];
    let results = rounds(plan, &contenders, |contender| {
        let took = task(plan, servers, &topic, 1).time_to_line(contender, FIRST_RECORD)?;
        let mut measurement = Measurement::default();
        measurement.set("ms", took.as_secs_f64() * 1e3);
        Ok(measurement)
    })?;
    let mut table =
        Table::new("Start of the process to its first record, in ms, in a new group", &["", "median"]);
    for name in results.names() {
        let median = results.median(name, |measured| measured.get("ms"))?.unwrap_or_default();
        table.row(&[(*name).to_owned(), format!("{median:.0}")]);
    }
    Ok(table.into_markdown())
}

/// A thousand listeners in one process, on its embedded broker: start, threads and memory of each.
pub(crate) fn listeners(plan: &Plan, servers: &str) -> Result<String> {
    const LISTENERS: u64 = 1_000;
    let results = rounds(plan, &["many-listeners"], |contender| {
        task(plan, servers, "bench", LISTENERS).run(contender)
    })?;
    let heading = format!("{LISTENERS} listeners of one topic, each with a group of its own, in one process");
    let mut table = Table::new(
        &heading,
        &["", "start in s", "threads a listener", "KiB a listener", "idle CPU %", "stop in s"],
    );
    let median = |name: &str| -> Result<f64> {
        Ok(results.median("many-listeners", |measured| measured.get(name))?.unwrap_or_default())
    };
    let (threads, kibibytes) = (median("threads")? / to_f64(LISTENERS), median("kib")? / to_f64(LISTENERS));
    table.row(&[
        "embedded broker in the process".to_owned(),
        format!("{:.2}", median("start")?),
        format!("{threads:.1}"),
        format!("{kibibytes:.0}"),
        format!("{:.1}", median("idle_percent")?),
        format!("{:.2}", median("stop")?),
    ]);
    Ok(table.into_markdown())
}

/// The memory of the example service after ten records.
pub(crate) fn memory(plan: &Plan, servers: &str) -> Result<String> {
    let binary = workspace_binary("scheduled-producer", "scheduled-producer")?;
    let client = asking_client(&task(plan, servers, EXAMPLE_TOPIC, 0))?;
    create_missing_topic(&client, servers, EXAMPLE_TOPIC, 3)?;
    let mut table = Table::new(
        "Resident memory of `examples/scheduled-producer` after ten records, in MiB",
        &["", "now", "peak"],
    );
    for (name, servers) in [("embedded broker in the process", "embedded"), ("real broker", servers)] {
        let mut service =
            Program::new(&binary).directory(workspace()).env("KAFKA_BOOTSTRAP_SERVERS", servers).start()?;
        let mut seen = 0;
        for _ in 0..10 {
            let consumed = |line: &str| line.contains("consumed");
            let (read, _) = service.wait_for_line_after(seen, CONTENDER_DEADLINE, consumed)?;
            seen = read;
        }
        let mebibytes = |kibibytes: f64| format!("{:.1}", kibibytes / 1024.0);
        let (now, peak) = (to_f64(service.resident_bytes()? / 1024), peak_kib(&service.pid().to_string())?);
        table.row(&[name.to_owned(), mebibytes(now), mebibytes(peak)]);
        service.signal(Signal::Terminate)?;
        service.wait(CONTENDER_DEADLINE)?;
    }
    Ok(table.into_markdown())
}

/// Runs every contender once a round, for as many rounds as planned.
fn rounds(
    plan: &Plan,
    contenders: &[&'static str],
    mut run: impl FnMut(&'static str) -> Result<Measurement>,
) -> Result<Results> {
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        for contender in contenders.iter().filter(|name| plan.includes(name)) {
            let measurement = run(contender).map_err(|error| format!("{contender}: {error}"))?;
            eprintln!("round {round} {contender}: {measurement}");
            results.add(contender, measurement);
        }
    }
    Ok(results)
}

/// A table of rates, with each contender's ratio to those of `baselines`.
fn throughput(heading: &str, results: &Results, baselines: &[&str]) -> Result<String> {
    let rate = |measured: &Measurement| Ok(measured.get("records")? / measured.get("seconds")?);
    let mut columns = vec![String::new(), "records/s".to_owned()];
    columns.extend(baselines.iter().map(|baseline| format!("× {baseline}")));
    columns.extend(["CPU s per million".to_owned(), "peak RSS MiB".to_owned()]);
    let mut table = Table::new(heading, &columns.iter().map(String::as_str).collect::<Vec<_>>());
    for name in results.names() {
        let own = results.median(name, rate)?.unwrap_or_default();
        let mut cells = vec![(*name).to_owned(), format!("{:.2} M", own / 1e6)];
        for baseline in baselines {
            let ratio = results.median(baseline, rate)?.map(|baseline| own / baseline);
            cells.push(ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
        }
        let cpu = |measured: &Measurement| Ok(measured.get("cpu_seconds")? / measured.get("records")? * 1e6);
        let peak = |measured: &Measurement| Ok(measured.get("peak_kib")? / 1024.0);
        cells.push(format!("{:.2}", results.median(name, cpu)?.unwrap_or_default()));
        cells.push(format!("{:.0}", results.median(name, peak)?.unwrap_or_default()));
        table.row(&cells);
    }
    Ok(table.into_markdown())
}

/// The topic that is consumed; filled once per cluster.
fn seeded_topic(plan: &Plan, servers: &str) -> Result<String> {
    let topic = format!("bench-consume-{}", plan.records);
    let task = task(plan, servers, &topic, plan.records);
    let client = asking_client(&task)?;
    if create_missing_topic(&client, servers, &topic, PARTITIONS)? {
        raw_produce::seed(&task, PARTITIONS)?;
    }
    let mut records = 0;
    for partition in 0..PARTITIONS {
        let (first, end) = client.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)?;
        records += end - first;
    }
    if u64::try_from(records)? != plan.records {
        return Err(
            format!("topic `{topic}` has {records} records; delete it to have it filled again").into()
        );
    }
    Ok(topic)
}

/// Creates a topic unless it is there; whether it was created.
fn create_missing_topic(client: &BaseConsumer, servers: &str, topic: &str, partitions: i32) -> Result<bool> {
    let metadata = client.fetch_metadata(None, REQUEST_TIMEOUT)?;
    let is_missing = metadata.topics().iter().all(|known| known.name() != topic);
    if is_missing {
        create_topic(servers, topic, partitions)?;
    }
    Ok(is_missing)
}

/// A client that only asks.
fn asking_client(task: &Task) -> Result<BaseConsumer> {
    Ok(settings::rdkafka(settings::consumer(settings::load_options(task), false)?).create()?)
}

fn new_topic(servers: &str, purpose: &str) -> Result<String> {
    let topic = unique(purpose);
    create_topic(servers, &topic, PARTITIONS)?;
    Ok(topic)
}

pub(crate) fn task(plan: &Plan, servers: &str, topic: &str, records: u64) -> Task {
    Task {
        servers: servers.to_owned(),
        topic: topic.to_owned(),
        group: unique("group"),
        records,
        settings: plan.settings.clone(),
    }
}

/// A name that no earlier run has used.
pub(crate) fn unique(purpose: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("bench-{purpose}-{}", now.as_micros())
}

/// Reads with nothing around librdkafka.
pub(crate) fn bare_loop(task: &Task) -> Result<Measurement> {
    run_client_example(BARE_LOOP, &bare_loop_arguments(task)?)
}

/// `<topic> <records> <setting>=<value>…`
fn bare_loop_arguments(task: &Task) -> Result<Vec<String>> {
    let mut arguments = vec![task.topic.clone(), task.records.to_string()];
    let settings = settings::consumer(settings::load_options(task), true)?;
    arguments.extend(settings.into_iter().map(|(name, value)| format!("{name}={value}")));
    Ok(arguments)
}
