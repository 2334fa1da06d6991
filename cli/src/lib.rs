//! The `kafka-boot` command line tool, as a library: everything but the process itself, so that tests need none.
//!
//! [`run`] takes arguments and a [`Process`] and returns the exit code: 0 for success, 1 for a failure, 2 for arguments
//! that make no sense, 69 when no broker answers, 78 for a bad configuration, 130 when it was told to end too early.

mod arguments;
mod commands;
mod connection;
mod error;
mod interrupt;
mod output;
mod progress;
mod properties;

use std::ffi::OsString;
use std::io::{BufRead, Write};

use clap::Parser;

use crate::arguments::{Cli, Format};
use crate::error::{CliError, USAGE};
pub use crate::interrupt::Interrupt;
use crate::output::{Heedless, Output, for_eyes};

/// What a command has of its process.
pub struct Process<'a> {
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// Whether the output may have colours.
    pub color: bool,
    /// What of it is a terminal.
    pub terminals: Terminals,
    /// What ends a command that follows something.
    pub interrupt: Interrupt,
    /// Where answers to questions, and records to write, come from.
    pub input: Box<dyn BufRead + Send>,
    /// Where results go.
    pub output: &'a mut dyn Write,
    /// Whether whoever read the results is gone, as `head` is when it has seen enough: a command that waits for more to write
    /// then ends, which a write would tell it of only when there is more.
    pub is_reader_gone: fn() -> bool,
    /// Where questions and errors go.
    pub errors: &'a mut dyn Write,
}

/// Which of a process's streams are a person's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminals {
    /// Somebody types the input.
    pub input: bool,
    /// Somebody looks at the output: what could harm a terminal is escaped.
    pub output: bool,
    /// Somebody looks at the errors: long work shows its progress there.
    pub errors: bool,
}

impl std::fmt::Debug for Process<'_> {
    /// Leaves out the environment, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("color", &self.color)
            .field("terminals", &self.terminals)
            .finish_non_exhaustive()
    }
}

/// Runs one command, the program's name being the first of `arguments`, and returns its exit code.
///
/// ```
/// use kafka_boot_cli::{Interrupt, Process, Terminals, run};
///
/// let (mut output, mut errors) = (Vec::new(), Vec::new());
/// let mut process = Process {
///     environment: Vec::new(),
///     color: false,
///     terminals: Terminals::default(),
///     interrupt: Interrupt::new(),
///     input: Box::new(std::io::empty()),
///     output: &mut output,
///     is_reader_gone: || false,
///     errors: &mut errors,
/// };
/// assert_eq!(run(["kafka-boot", "--version"], &mut process), 0);
/// assert!(output.starts_with(b"kafka-boot "));
/// ```
pub fn run<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    process: &mut Process<'_>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let mut errors = Heedless(&mut *process.errors);
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(told) if !told.use_stderr() => {
            // Whoever closed the stream does not want to know.
            let _ = write!(process.output, "{}", told.render());
            return 0;
        }
        Err(told) => {
            let told = told.render().to_string();
            let _ = if asks_for_json(&arguments) {
                writeln!(errors, "{}", error::usage(&told))
            } else {
                write!(errors, "{told}")
            };
            return USAGE;
        }
    };
    let mut output = Output {
        json: cli.output == Format::Json,
        color: process.color,
        terminals: process.terminals,
        interrupt: &process.interrupt,
        yes: cli.yes,
        input: &mut process.input,
        sink: process.output,
        is_reader_gone: process.is_reader_gone,
        errors: &mut errors,
    };
    let outcome =
        commands::execute(&cli, &process.environment, &mut output).and_then(|()| Ok(output.sink.flush()?));
    match outcome {
        Ok(()) => 0,
        // The reader of a pipe has seen enough, as `head` has.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let text = if output.json { error.to_json_lines() } else { error.to_string() };
            let text = if process.terminals.errors { for_eyes(&text) } else { text.into() };
            let _ = write!(errors, "{text}");
            error.exit_code()
        }
    }
}

/// Whether arguments that make no sense as a whole ask for JSON.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let follows = |pair: &[OsString]| pair[0] == "--output" && pair[1] == "json";
    arguments.iter().any(|argument| argument == "--output=json") || arguments.windows(2).any(follows)
}
