//! The `kafka-boot` command line tool, as a library: everything but the process itself, so that tests need none.
//!
//! [`run`] takes arguments and a [`Process`] and returns the exit code: 0 for success, 1 for a failure, 2 for arguments
//! that make no sense, 69 when no broker answers, 78 for a bad configuration.

mod arguments;
mod commands;
mod connection;
mod error;
mod output;

use std::ffi::OsString;
use std::io::{BufRead, Write};

use clap::Parser;

use crate::arguments::{Cli, Format};
use crate::error::{CliError, USAGE};
use crate::output::Output;

/// What a command has of its process.
pub struct Process<'a> {
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// Whether the output is for eyes, and may have colours.
    pub color: bool,
    /// Where answers to questions come from.
    pub input: &'a mut dyn BufRead,
    /// Where results go.
    pub output: &'a mut dyn Write,
    /// Where questions and errors go.
    pub errors: &'a mut dyn Write,
}

impl std::fmt::Debug for Process<'_> {
    /// Leaves out the environment, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("color", &self.color).finish_non_exhaustive()
    }
}

/// Runs one command, the program's name being the first of `arguments`, and returns its exit code.
///
/// ```
/// use kafka_boot_cli::{Process, run};
///
/// let (mut output, mut errors) = (Vec::new(), Vec::new());
/// let mut process = Process {
///     environment: Vec::new(),
///     color: false,
///     input: &mut std::io::empty(),
///     output: &mut output,
///     errors: &mut errors,
/// };
/// assert_eq!(run(["kafka-boot", "--version"], &mut process), 0);
/// assert!(output.starts_with(b"kafka-boot "));
/// ```
pub fn run<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    process: &mut Process<'_>,
) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(told) => {
            let (stream, code) =
                if told.use_stderr() { (&mut *process.errors, USAGE) } else { (&mut *process.output, 0) };
            // Whoever closed the stream does not want to know.
            let _ = write!(stream, "{}", told.render());
            return code;
        }
    };
    let outcome = execute(&cli, process);
    match outcome {
        Ok(()) => 0,
        // The reader of a pipe has seen enough, as `head` has.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let _ = write!(process.errors, "{error}");
            error.exit_code()
        }
    }
}

fn execute(cli: &Cli, process: &mut Process<'_>) -> Result<(), CliError> {
    let (client, producer) = connection::settings(&cli.connection, &process.environment)?;
    let admin = kafka_boot_client::Admin::new(&client)?;
    let letters = kafka_boot::DeadLetters::new(client, producer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| CliError::failed(format!("the tool's runtime does not start: {error}")))?;
    let mut output = Output {
        json: cli.output == Format::Json,
        color: process.color,
        yes: cli.yes,
        input: process.input,
        sink: process.output,
        errors: process.errors,
    };
    runtime.block_on(commands::execute(&cli.command, &admin, &letters, &mut output))?;
    output.sink.flush()?;
    Ok(())
}
