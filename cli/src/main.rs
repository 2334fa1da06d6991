//! The `kafka-boot` command: hands its process to [`kafka_boot_cli::run`].

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use kafka_boot_cli::{Process, run};

fn main() -> ExitCode {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment: Vec<_> = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
    let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut process = Process {
        environment,
        color,
        input: &mut io::stdin().lock(),
        output: &mut io::stdout().lock(),
        errors: &mut io::stderr().lock(),
    };
    ExitCode::from(run(std::env::args_os(), &mut process))
}
