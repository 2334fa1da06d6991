//! The embedded broker: how fast it starts, answers and idles, and how it compares with Apache Kafka.

use std::time::{Duration, Instant};

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_tests::process::{Process, Program, Signal, workspace_binary};
use kafka_boot_tests::produce::create_topic;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::measure::{Measurement, to_f64};
use crate::suites::{PARTITIONS, bare_loop, task, unique};
use crate::table::{Results, Table, median};
use crate::{CONTENDER_DEADLINE, Plan, Result};

const STARTS: usize = 100;
const ROUND_TRIPS: u32 = 200;
const JOINS: usize = 10;
/// How long an idle broker is watched.
const IDLE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Everything about the embedded broker; `servers` is the Apache Kafka it is compared with.
pub(crate) fn embedded(plan: &Plan, servers: &str) -> Result<String> {
    let figures = [starts()?, round_trips()?, joins()?, idle()?, throughput(plan, servers)?];
    Ok(figures.join("\n"))
}

fn starts() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut took = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let began = Instant::now();
        let broker = runtime.block_on(EmbeddedBroker::builder().start())?;
        took.push(milliseconds(began.elapsed()));
        runtime.block_on(broker.shutdown());
    }
    Ok(single("Start of the embedded broker, in ms", took))
}

/// A record sent alone, until a consumer that waits for it has it.
fn round_trips() -> Result<String> {
    let broker = Broker::start(None)?;
    create_topic(&broker.servers, "trips", 1)?;
    let producer: BaseProducer = broker.client().set("linger.ms", "0").create()?;
    let consumer: BaseConsumer = broker.client().set("group.id", "trips").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset("trips", 0, Offset::Beginning)?;
    consumer.assign(&start)?;
    let mut took = Vec::new();
    for number in 0..ROUND_TRIPS {
        let began = Instant::now();
        producer.send(BaseRecord::<(), [u8]>::to("trips").payload(b"there and back")).map_err(|(e, _)| e)?;
        received(&consumer)?;
        // The first one pays for the connections.
        if number > 0 {
            took.push(milliseconds(began.elapsed()));
        }
        producer.flush(TIMEOUT)?;
    }
    Ok(single("Round trip of one record through librdkafka, in ms", took))
}

/// Waits for one record. A poll may also come back for something else, with nothing.
fn received(consumer: &BaseConsumer) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        if let Some(message) = consumer.poll(TIMEOUT) {
            message?;
            return Ok(());
        }
    }
    Err("the record did not come back".into())
}

/// From the subscription of a new consumer to its first assignment.
fn joins() -> Result<String> {
    let broker = Broker::start(None)?;
    create_topic(&broker.servers, "joins", PARTITIONS)?;
    let mut took = Vec::new();
    for _ in 0..JOINS {
        let consumer: BaseConsumer = broker.client().set("group.id", unique("join")).create()?;
        let began = Instant::now();
        consumer.subscribe(&["joins"])?;
        while consumer.assignment()?.count() == 0 {
            if let Some(Err(error)) = consumer.poll(Duration::from_millis(1)) {
                return Err(error.into());
            }
        }
        took.push(milliseconds(began.elapsed()));
    }
    Ok(single("First group join through librdkafka, in ms", took))
}

/// What a broker costs that nobody uses.
fn idle() -> Result<String> {
    let broker = Broker::start(None)?;
    let before = cpu_time(&broker.process)?;
    std::thread::sleep(IDLE);
    let spent = cpu_time(&broker.process)?.saturating_sub(before);
    let percent = spent.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let mebibytes = to_f64(broker.process.resident_bytes()? / 1024) / 1024.0;
    let mut table = Table::new("The embedded broker without clients", &["", "CPU %", "RSS MiB"]);
    table.row(&["idle".to_owned(), format!("{percent:.2}"), format!("{mebibytes:.1}")]);
    Ok(table.into_markdown())
}

/// Produces to, and reads from, each broker in turn.
fn throughput(plan: &Plan, servers: &str) -> Result<String> {
    let (mut produced, mut fetched) = (Results::default(), Results::default());
    let data = tempfile::tempdir()?;
    for round in 1..=plan.rounds {
        for kind in ["Apache Kafka", "embedded", "embedded, data directory"] {
            let own = match kind {
                "embedded" => Some(Broker::start(None)?),
                "Apache Kafka" => None,
                _ => Some(Broker::start(Some(&data.path().join(round.to_string())))?),
            };
            let servers = own.as_ref().map_or(servers, |broker| &broker.servers);
            let topic = unique("broker");
            create_topic(servers, &topic, PARTITIONS)?;
            let measured = task(plan, servers, &topic, plan.sends / 2).run("future-producer")?;
            eprintln!("round {round} produce to {kind}: {measured}");
            produced.add(kind, measured);
            // One record more was sent, to warm up.
            let measured = bare_loop(&task(plan, servers, &topic, plan.sends / 2))?;
            eprintln!("round {round} fetch from {kind}: {measured}");
            fetched.add(kind, measured);
        }
    }
    let rate = |measured: &Measurement| Ok(measured.get("records")? / measured.get("seconds")?);
    let heading = format!("{} records of 100 bytes, through librdkafka", plan.sends / 2);
    let mut table = Table::new(&heading, &["", "produce/s", "× Apache", "fetch/s", "× Apache"]);
    for kind in produced.names() {
        let mut cells = vec![(*kind).to_owned()];
        for results in [&produced, &fetched] {
            let own = results.median(kind, rate)?.unwrap_or_default();
            let apache = results.median("Apache Kafka", rate)?.unwrap_or_default();
            cells.extend([format!("{:.2} M", own / 1e6), format!("{:.2}", own / apache)]);
        }
        table.row(&cells);
    }
    Ok(table.into_markdown())
}

/// An embedded broker as a process of its own.
struct Broker {
    process: Process,
    servers: String,
}

impl Broker {
    fn start(data: Option<&std::path::Path>) -> Result<Self> {
        let binary = workspace_binary("kafka-boot-tests", "embedded-broker")?;
        let program = Program::new(binary).arg("0").args(data);
        let process = program.start()?;
        let line = process.wait_for_line(CONTENDER_DEADLINE, |line| line.starts_with("listening on "))?;
        let servers = line.text.trim_start_matches("listening on ").to_owned();
        Ok(Self { process, servers })
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("broker.address.family", "v4");
        config
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, which its user has noticed.
        let _ = self.process.signal(Signal::Terminate);
    }
}

/// The processor time that all threads of a process have had.
fn cpu_time(process: &Process) -> Result<Duration> {
    let mut nanoseconds: u64 = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", process.pid()))? {
        let statistics = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += statistics.split_whitespace().next().ok_or("`schedstat` is empty")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn single(heading: &str, took: Vec<f64>) -> String {
    let worst = took.iter().copied().fold(0.0, f64::max);
    let mut table = Table::new(heading, &["", "median", "worst"]);
    let median = median(took).unwrap_or_default();
    table.row(&["embedded".to_owned(), format!("{median:.2}"), format!("{worst:.2}")]);
    table.into_markdown()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
