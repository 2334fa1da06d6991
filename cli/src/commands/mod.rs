//! One module a command.

pub(crate) mod cluster;
pub(crate) mod configs;
pub(crate) mod dlt;
pub(crate) mod groups;
pub(crate) mod offsets;
pub(crate) mod records;
pub(crate) mod topics;

use std::time::Duration;

use kafka_boot::DeadLetters;
use kafka_boot_client::Admin;

use crate::arguments::Command;
use crate::error::CliError;
use crate::output::Output;

/// How long a question to the cluster may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a change may take until the cluster has carried it out.
const OPERATION: Duration = Duration::from_secs(10);

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    letters: &DeadLetters,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::Dlt(command) => dlt::execute(command, letters, output).await,
        Command::Topics(command) => topics::execute(command, admin, output).await,
        Command::Configs(command) => configs::execute(command, admin, output).await,
        Command::Groups(command) => groups::execute(command, admin, output).await,
        Command::Offsets(command) => offsets::execute(command, admin, output).await,
        Command::Records(command) => records::execute(command, admin, output).await,
        Command::Cluster(command) => cluster::execute(command, admin, output).await,
    }
}

/// `name=value`, as an argument.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected `name=value`, such as `retention.ms=60000`".to_owned()),
    }
}
