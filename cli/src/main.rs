//! The `kafka-boot` command: hands its process to [`kafka_boot_cli::run`].

use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;

use kafka_boot_cli::{Interrupt, Process, Terminals, run};

fn main() -> ExitCode {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment: Vec<_> = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
    let terminals = Terminals {
        input: io::stdin().is_terminal(),
        output: io::stdout().is_terminal(),
        errors: io::stderr().is_terminal(),
    };
    let color = terminals.output && std::env::var_os("NO_COLOR").is_none();
    let mut process = Process {
        environment,
        color,
        terminals,
        interrupt: Interrupt::of_process(),
        input: Box::new(BufReader::new(io::stdin())),
        output: &mut io::stdout().lock(),
        errors: &mut io::stderr().lock(),
    };
    ExitCode::from(run(std::env::args_os(), &mut process))
}
