//! Benchmarks: the framework against the raw client loops that it replaces, on a real Apache Kafka.
//!
//! Every contender runs in a process of its own (this binary again), one after another and round by round, so that a
//! machine that is busy for a while slows all of them alike. What counts are the medians and their ratios.
//!
//! 1. All contenders have the same settings by construction: they are those that the framework renders, see
//!    [`settings`].
//! 2. A contender measures itself and prints one line; the parent only starts it and reads that line.
//!
//! `README.md` says what is measured, and what came out.

use std::process::ExitCode;
use std::time::Duration;

use kafka_boot_tests::kafka::Kafka;

mod contenders;
mod embedded;
mod measure;
mod settings;
mod suites;
mod table;
mod task;

/// A failure of the benchmark itself. Each one ends it.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

const USAGE: &str = "usage: kafka-boot-benches [consume|commits|keys|poisoned|json|produce|latency|startup|memory|listeners|embedded|all] [--rounds=5] \
    [--records=4000000] [--sends=2000000] [--only=<contender>,…] [--kafka.<key>=<value>…]
       kafka-boot-benches broker
       kafka-boot-benches contender <name> <bootstrap servers> <topic> <group> <records> [--kafka.<key>=<value>…]

`broker` runs a broker until standard input ends, for KAFKA_BOOTSTRAP_SERVERS of later runs.";

/// What to run, and how often.
#[derive(Debug, Clone)]
struct Plan {
    rounds: usize,
    /// Records to consume in one run.
    records: u64,
    /// Records to produce in one run.
    sends: u64,
    /// The contenders to run; empty stands for all.
    only: Vec<String>,
    /// Settings of the framework, which the raw loops get as well where librdkafka has them.
    settings: Vec<String>,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut plan =
            Self { rounds: 5, records: 4_000_000, sends: 2_000_000, only: Vec::new(), settings: Vec::new() };
        for argument in arguments {
            match argument.split_once('=') {
                Some(("--rounds", value)) => plan.rounds = value.parse()?,
                Some(("--records", value)) => plan.records = value.parse()?,
                Some(("--sends", value)) => plan.sends = value.parse()?,
                Some(("--only", value)) => plan.only = value.split(',').map(str::to_owned).collect(),
                _ if argument.starts_with("--kafka.") => plan.settings.push(argument.clone()),
                _ => return Err(format!("unknown argument `{argument}`\n{USAGE}").into()),
            }
        }
        Ok(plan)
    }

    fn includes(&self, contender: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == contender)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    if command == "contender" {
        return contenders::run(rest);
    }
    let kafka = Kafka::shared().ok_or("there is no Kafka to measure on: install Java 17 and Maven")?;
    if command == "broker" {
        println!("KAFKA_BOOTSTRAP_SERVERS={}", kafka.bootstrap_servers());
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        return Ok(());
    }
    let plan = Plan::parse(rest)?;
    let servers = kafka.bootstrap_servers();
    let (consume, produce) = (suites::consume as suites::Suite, suites::produce as suites::Suite);
    let (keys, commits, json) = (suites::keys as suites::Suite, suites::commits, suites::json);
    let (latency, startup, memory) = (suites::latency, suites::startup, suites::memory);
    let (listeners, poisoned) = (suites::listeners as suites::Suite, suites::poisoned as suites::Suite);
    let embedded = embedded::embedded;
    let chosen: &[suites::Suite] = match command.as_str() {
        "consume" => &[consume],
        "commits" => &[commits],
        "keys" => &[keys],
        "poisoned" => &[poisoned],
        "json" => &[json],
        "produce" => &[produce],
        "latency" => &[latency],
        "startup" => &[startup],
        "memory" => &[memory],
        "listeners" => &[listeners],
        "embedded" => &[embedded],
        "all" => {
            &[consume, commits, keys, poisoned, json, produce, latency, startup, memory, listeners, embedded]
        }
        _ => return Err(USAGE.into()),
    };
    for suite in chosen {
        println!("{}\n", suite(&plan, servers)?);
    }
    Ok(())
}

/// How long one contender may take before it counts as hung.
const CONTENDER_DEADLINE: Duration = Duration::from_mins(1);
