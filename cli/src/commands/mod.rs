//! One module a command.

pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod configs;
pub(crate) mod consume;
pub(crate) mod dev;
pub(crate) mod dlt;
pub(crate) mod groups;
pub(crate) mod new;
pub(crate) mod offsets;
mod positions;
pub(crate) mod produce;
pub(crate) mod records;
pub(crate) mod shell;
mod time;
pub(crate) mod topics;

use std::time::Duration;

use kafka_boot::DeadLetters;
use kafka_boot_client::Admin;

use crate::arguments::{Cli, Command, OnCluster};
use crate::connection::Connected;
use crate::error::CliError;
use crate::output::Output;

/// How long a question to the cluster may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a change may take until the cluster has carried it out.
const OPERATION: Duration = Duration::from_secs(10);

pub(crate) fn execute(
    cli: &Cli,
    environment: &[(String, String)],
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match &cli.command {
        Command::OnCluster(command) => {
            let connected = Connected::new(&cli.connection, environment)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(|error| CliError::failed(format!("the tool's runtime does not start: {error}")))?;
            runtime.block_on(on_cluster(command, &connected, output))
        }
        Command::New(command) => new::execute(command, output),
        Command::Dev(command) => dev::execute(command, output),
        Command::Config(command) => config::execute(command, &cli.connection, environment, output),
        Command::Completions(command) => shell::completions(command, output),
        Command::Man(command) => shell::man(command, output),
    }
}

async fn on_cluster(
    command: &OnCluster,
    connected: &Connected,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let admin = Admin::new(&connected.admin())?;
    match command {
        OnCluster::Topics(command) => topics::execute(command, &admin, output).await,
        OnCluster::Configs(command) => configs::execute(command, &admin, output).await,
        OnCluster::Groups(command) => groups::execute(command, &admin, output).await,
        OnCluster::Produce(command) => produce::execute(command, connected, &admin, output).await,
        OnCluster::Consume(command) => consume::execute(command, connected, &admin, output).await,
        OnCluster::Offsets(command) => offsets::execute(command, &admin, output).await,
        OnCluster::Records(command) => records::execute(command, &admin, output).await,
        OnCluster::Dlt(command) => {
            let letters = DeadLetters::new(connected.admin(), connected.producer());
            dlt::execute(command, &letters, output).await
        }
        OnCluster::Cluster(command) => cluster::execute(command, &admin, output).await,
    }
}

/// `name=value`, as an argument.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected `name=value`, such as `retention.ms=60000`".to_owned()),
    }
}

/// A separator, as an argument: `\t`, `\n`, `\0` and `\\` stand for what they stand for elsewhere.
fn separator(text: &str) -> Result<String, String> {
    let expected =
        || "expected at least one character; `\\t`, `\\n`, `\\0` and `\\\\` are understood".to_owned();
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('0') => '\0',
                Some('\\') => '\\',
                _ => return Err(expected()),
            },
            other => other,
        });
    }
    if plain.is_empty() { Err(expected()) } else { Ok(plain) }
}
