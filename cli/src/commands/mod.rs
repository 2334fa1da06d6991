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

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kafka_boot::DeadLetters;
use kafka_boot_client::{Admin, ClientError, ClientEvent, ErrorKind};
use tokio::sync::watch;

use crate::arguments::{Cli, Command, OnCluster};
use crate::connection::Connected;
use crate::error::{CliError, is_unreachable};
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
            let connected = Connected::new(&cli.connection, environment, output.errors)?;
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
    // A request only fails with that no connection came about in time. Why not is told beside it, and soon.
    let (tell, mut refused) = watch::channel(None);
    let admin = Admin::with_events(&connected.admin(), move |event| {
        if let ClientEvent::Error(error) = event
            && *error.kind() == ErrorKind::Authentication
        {
            tell.send_replace(Some(error));
        }
    })?;
    // Who goes on for long outlives a refusal, such as that of a token that was not renewed in time.
    let goes_on = matches!(command, OnCluster::Consume(_) | OnCluster::Produce(_));
    let mut told = refused.clone();
    let outcome = tokio::select! {
        outcome = with_admin(command, connected, &admin, output) => outcome,
        reason = refusal(&mut told), if !goes_on => Err(reason.into()),
    };
    match (outcome, refused.borrow_and_update().clone()) {
        (Err(CliError::Client(error)), Some(reason)) if is_unreachable(&error) => Err(reason.into()),
        (outcome, _) => outcome,
    }
}

/// Waits until the brokers refuse this client.
async fn refusal(told: &mut watch::Receiver<Option<ClientError>>) -> ClientError {
    let refused = told.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
    match refused {
        Some(reason) => reason,
        // Nobody is left to tell.
        None => std::future::pending().await,
    }
}

async fn with_admin(
    command: &OnCluster,
    connected: &Connected,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        OnCluster::Topics(command) => topics::execute(command, admin, output).await,
        OnCluster::Configs(command) => configs::execute(command, admin, output).await,
        OnCluster::Groups(command) => groups::execute(command, admin, output).await,
        OnCluster::Produce(command) => produce::execute(command, connected, admin, output).await,
        OnCluster::Consume(command) => consume::execute(command, connected, admin, output).await,
        OnCluster::Offsets(command) => offsets::execute(command, admin, output).await,
        OnCluster::Records(command) => records::execute(command, admin, output).await,
        OnCluster::Dlt(command) => {
            let letters = DeadLetters::new(connected.admin(), connected.producer());
            dlt::execute(command, &letters, admin, output).await
        }
        OnCluster::Cluster(command) => cluster::execute(command, admin, output).await,
    }
}

/// How long a cluster may not be ready: it elects a leader, or its coordinator loads its groups.
const NOT_READY: Duration = Duration::from_secs(10);
/// The pause before it is asked again.
const NOT_READY_PAUSE: Duration = Duration::from_millis(50);

/// The answer for each item, asked again while it is that the cluster is only not ready yet. What is asked must bear being
/// asked twice.
async fn answered<K, T, F>(ask: impl Fn() -> F) -> Result<Answers<K, T>, ClientError>
where
    F: Future<Output = Result<Answers<K, T>, ClientError>>,
{
    let deadline = Instant::now() + NOT_READY;
    loop {
        let answers = ask().await?;
        let is_not_ready =
            answers.iter().any(|(_, answer)| answer.as_ref().is_err_and(ClientError::is_retriable));
        if !is_not_ready || Instant::now() >= deadline {
            return Ok(answers);
        }
        tokio::time::sleep(NOT_READY_PAUSE).await;
    }
}

type Answers<K, T> = Vec<(K, Result<T, ClientError>)>;

/// Each of `names` once, in the order in which they are given.
fn unique(names: &[String]) -> Vec<&str> {
    let mut seen = HashSet::new();
    names.iter().map(String::as_str).filter(|name| seen.insert(*name)).collect()
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
