//! `produce`: writes records, a line each, and tells of every one that was not written.
//!
//! 1. Every record accepted is awaited before the command ends, also when it is told to end early.
//! 2. Records are sent in the order of their lines.
//! 3. What is in hand is bounded: blocks read ahead, and records without an outcome.

mod lines;
mod outcomes;
mod pace;
mod record;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use clap::{Args, ValueEnum};
use kafka_boot_client::{Admin, Producer, ProducerLimits};
use serde_json::json;

use self::lines::{Block, Lines};
use self::outcomes::Outcomes;
use self::pace::Pace;
use self::record::{Form, Shape};
use super::positions;
use crate::connection::Connected;
use crate::error::CliError;
use crate::output::Output;
use crate::progress::Progress;

/// How many records may be under way. More only spreads them over memory that no cache holds.
const IN_FLIGHT: usize = 20_000;

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The topic
    topic: String,
    /// Read from a file instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What a line is: a value, or a JSON object as `consume --format json` writes it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// What stands between the key and the value of a line; `\t` is a tab
    #[arg(long, value_name = "TEXT", value_parser = super::separator)]
    key_separator: Option<String>,
    /// The key of every record
    #[arg(long, conflicts_with = "key_separator")]
    key: Option<String>,
    /// A header of every record
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A value that stands for none: the record becomes a tombstone
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,
    /// The partition of every record [default: the one of its key, or of its JSON object]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Leave the partitions to the keys, whatever the JSON objects say
    #[arg(long, conflicts_with = "partition")]
    repartition: bool,
    /// How batches are compressed [default: as the service's producer]
    #[arg(long, value_enum)]
    compression: Option<Compression>,
    /// How many replicas confirm a record [default: as the service's producer, else all]
    #[arg(long, value_enum)]
    acks: Option<Acks>,
    /// At most so many records a second
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Acks {
    /// No answer is waited for: a lost record goes unnoticed
    #[value(name = "0")]
    None,
    /// The leader's
    #[value(name = "1")]
    Leader,
    /// The leader's, once all in-sync replicas have it
    All,
}

/// `name=value`, as an argument.
fn header(text: &str) -> Result<(String, String), String> {
    super::setting(text).map_err(|_| "expected `name=value`, such as `source=shell`".to_owned())
}

pub(super) async fn execute(
    command: &Command,
    connected: &Connected,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let count = positions::partitions(&command.topic, admin).await?.len();
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    if let Some(partition) = command.partition.filter(|partition| *partition >= count) {
        return Err(positions::no_partition(&command.topic, partition, usize::try_from(count).unwrap_or(0)));
    }
    let (input, size) = open(command, output)?;
    let producer = producer(command, connected)?;
    let shape = shape(command, count);
    output.interrupt.listen();
    if command.file.is_none() && output.terminals.input {
        output.note("Each line becomes a record; Ctrl-D ends.");
    }
    let progress = Progress::new(size, output.terminals.input, output);
    let mut sending = Sending {
        producer: &producer,
        shape,
        outcomes: Outcomes::default(),
        pace: command.rate.map(Pace::new),
        progress,
    };
    let ended = sending.send(Lines::read(input)?, output).await;
    // Whatever ended it: what was accepted is awaited.
    sending.outcomes.finish(output).await;
    sending.progress.clear(output);
    report(command, &sending.outcomes, ended, output)
}

/// Where the lines come from, and how many bytes there are, where that is known.
fn open(command: &Command, output: &mut Output<'_>) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    let Some(path) = &command.file else {
        return Ok((Box::new(std::mem::replace(output.input, Box::new(io::empty()))), None));
    };
    let failed = |error| {
        CliError::failed(format!("`--file {}`: {error}", path.display()))
            .with_help("name a file that can be read, or leave `--file` out to read standard input")
    };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

fn producer(command: &Command, connected: &Connected) -> Result<Producer, CliError> {
    let mut config = connected.producer();
    if let Some(acks) = command.acks {
        config.remove("request.required.acks");
        config.set("acks", acks.to_possible_value().map_or(String::new(), |acks| acks.get_name().to_owned()));
        if acks != Acks::All {
            // A producer is idempotent only with the answers of all.
            config.set("enable.idempotence", "false");
        }
    }
    if let Some(compression) = command.compression {
        let name = compression.to_possible_value().map_or(String::new(), |name| name.get_name().to_owned());
        config.remove("compression.codec");
        config.set("compression.type", name);
    }
    let limits = ProducerLimits { max_in_flight_records: IN_FLIGHT, ..ProducerLimits::default() };
    Ok(Producer::new(&config, limits)?)
}

fn shape(command: &Command, partitions: i32) -> Shape {
    let bytes = |text: &String| bytes::Bytes::copy_from_slice(text.as_bytes());
    Shape {
        topic: Arc::from(command.topic.as_str()),
        form: command.format,
        separator: command.key_separator.as_ref().map(|text| text.clone().into_bytes()),
        key: command.key.as_ref().map(bytes),
        headers: command.headers.iter().map(|(name, value)| (name.clone(), Some(bytes(value)))).collect(),
        null_marker: command.null_marker.as_ref().map(bytes),
        partition: command.partition,
        repartition: command.repartition,
        partitions,
        read_at: None,
    }
}

/// What is needed to send a line.
struct Sending<'a> {
    producer: &'a Producer,
    shape: Shape,
    outcomes: Outcomes,
    pace: Option<Pace>,
    progress: Progress,
}

/// Why no more lines were sent.
enum Ended {
    AtTheEnd,
    Interrupted,
}

impl Sending<'_> {
    async fn send(&mut self, mut lines: Lines, output: &mut Output<'_>) -> Result<Ended, CliError> {
        loop {
            let block = tokio::select! {
                block = lines.next() => block?,
                () = output.interrupt.interrupted() => return Ok(Ended::Interrupted),
            };
            let Some(block) = block else { return Ok(Ended::AtTheEnd) };
            if let Ended::Interrupted = self.send_block(&block, output).await? {
                return Ok(Ended::Interrupted);
            }
            self.outcomes.take_ready(output);
            self.progress.show(|| block.end_bytes, self.outcomes.written(), output);
        }
    }

    async fn send_block(&mut self, block: &Block, output: &mut Output<'_>) -> Result<Ended, CliError> {
        // One look at the clock for all of them, unless they are sent one by one.
        self.shape.read_at = self.pace.is_none().then(|| Utc::now().timestamp_millis());
        for (number, line) in (block.first_line..).zip(block.lines()) {
            if let Some(pace) = &mut self.pace {
                tokio::select! {
                    () = pace.wait() => {}
                    () = output.interrupt.interrupted() => return Ok(Ended::Interrupted),
                }
                self.outcomes.take_ready(output);
            }
            let record = self.shape.record(&line).map_err(|fault| {
                CliError::failed(format!("line {number}: {}", fault.message)).with_help(fault.help)
            })?;
            match self.producer.enqueue(record).await {
                Ok(delivery) => self.outcomes.wait_for(number, delivery, output).await,
                Err(error) => {
                    self.outcomes.failed(number, &error, output);
                    if let Some(fatal) = self.producer.fatal_error() {
                        return Err(fatal.into());
                    }
                }
            }
        }
        Ok(Ended::AtTheEnd)
    }
}

fn report(
    command: &Command,
    outcomes: &Outcomes,
    ended: Result<Ended, CliError>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let (written, failed) = (outcomes.written(), outcomes.not_written());
    let told = if output.json {
        output.json(&json!({ "topic": command.topic, "written": written, "failed": failed }))
    } else {
        let records = if written == 1 { "record" } else { "records" };
        output.line(&format!("Wrote {written} {records} to {}.", command.topic))
    };
    // Whether somebody reads the result or not: what was not written is no success.
    if failed > 0 && ended.is_ok() {
        return Err(CliError::failed(format!("{failed} of {} records were not written", written + failed))
            .with_help("the lines are named above"));
    }
    match ended? {
        Ended::AtTheEnd => told,
        Ended::Interrupted => Err(CliError::Interrupted),
    }
}
