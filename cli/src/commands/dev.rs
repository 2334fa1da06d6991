//! `dev`: a broker for development, in this process, until Ctrl-C.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::Args;
use kafka_boot_embedded::{EmbeddedBroker, StartErrorKind};
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;

/// Where everything is kept unless somebody says otherwise, in the current folder.
const FOLDER: &str = ".kafka-boot";

/// What that folder says to version control: nothing in here is to be kept.
const IGNORE: &str = "*\n";

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The port of the first broker; each further one has the next. 0 is any that is free
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// The address to listen on. Whoever reaches it may read and write everything
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// How many brokers there are
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    brokers: u16,
    /// Where records, offsets and topics are kept [default: .kafka-boot/data]
    #[arg(long, value_name = "FOLDER")]
    data_directory: Option<PathBuf>,
    /// Keep everything in memory, until the end
    #[arg(long, conflicts_with = "data_directory")]
    in_memory: bool,
    /// How many partitions a topic gets that is created by its first use
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// A topic that is there from the start
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = topic)]
    topics: Vec<(String, Option<i32>)>,
}

/// `name` or `name:partitions`, as an argument.
fn topic(text: &str) -> Result<(String, Option<i32>), String> {
    let expected = || "expected a topic, or a topic and its partitions as `orders:3`".to_owned();
    let (name, partitions) = match text.split_once(':') {
        None => (text, None),
        Some((name, number)) => {
            let number = number.parse().ok().filter(|number| *number > 0);
            (name, Some(number.ok_or_else(expected)?))
        }
    };
    if name.is_empty() { Err(expected()) } else { Ok((name.to_owned(), partitions)) }
}

pub(super) fn execute(command: &Command, output: &mut Output<'_>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("the broker's runtime does not start: {error}")))?;
    output.interrupt.listen();
    runtime.block_on(run(command, output))
}

async fn run(command: &Command, output: &mut Output<'_>) -> Result<(), CliError> {
    let mut builder = EmbeddedBroker::builder()
        .address(command.address)
        .port(command.port)
        .brokers(command.brokers)
        .partitions(command.partitions);
    for (name, partitions) in &command.topics {
        builder = builder.topic(name, partitions.unwrap_or(command.partitions));
    }
    let kept = match &command.data_directory {
        _ if command.in_memory => None,
        Some(folder) => Some(folder.clone()),
        None => Some(prepare(Path::new(FOLDER))?),
    };
    if let Some(folder) = &kept {
        builder = builder.data_directory(folder);
    }
    let broker = builder.start().await.map_err(|error| {
        let failed = CliError::failed(format!("the broker does not start: {}", chain(&error)));
        match error.kind() {
            StartErrorKind::Listen => {
                failed.with_help("is another broker there? `--port` chooses another one")
            }
            StartErrorKind::Storage | StartErrorKind::InUse => {
                failed.with_help("`--data-directory` names another folder, `--in-memory` needs none")
            }
            _ => failed,
        }
    })?;
    let servers = broker.bootstrap_servers().to_owned();
    let kept = kept.map(|folder| folder.display().to_string());
    if output.json {
        output.json(&json!({ "bootstrapServers": servers, "dataDirectory": kept }))?;
    } else {
        let place = kept.map_or("in memory".to_owned(), |folder| format!("kept in {folder}"));
        output.line(&format!("Kafka for development on {servers}, {place}. Ctrl-C ends it."))?;
    }
    output.sink.flush()?;
    output.interrupt.interrupted().await;
    broker.shutdown().await;
    Ok(())
}

/// Makes a folder that version control leaves alone, and returns the one for the data in it.
fn prepare(folder: &Path) -> Result<PathBuf, CliError> {
    let ignore = folder.join(".gitignore");
    let make = || {
        std::fs::create_dir_all(folder)?;
        if ignore.exists() { Ok(()) } else { std::fs::write(&ignore, IGNORE) }
    };
    match make() {
        Ok(()) => Ok(folder.join("data")),
        Err(error) => Err(CliError::failed(format!("`{}`: {error}", folder.display()))
            .with_help("`--data-directory` names another folder, `--in-memory` needs none")),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
