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
        is_reader_gone,
        errors: &mut io::stderr().lock(),
    };
    ExitCode::from(run(std::env::args_os(), &mut process))
}

/// Whether the pipe that the output goes to has nobody at its other end.
#[cfg(unix)]
fn is_reader_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // Nothing is asked for: that the other end is gone is told all the same.
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|_| fds[0].revents().contains(PollFlags::ERR))
}

#[cfg(not(unix))]
fn is_reader_gone() -> bool {
    false
}
