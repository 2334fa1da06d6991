//! Fuzzes the broker: `cargo run --release -p kafka-boot-embedded --example fuzz -- --seconds 600 [--seed N]`.
//!
//! Prints the seed first. Ends with the first input that panics, hangs or has too much allocated, and prints it in hex.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_boot_embedded::fuzz::{Options, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const USAGE: &str = "usage: fuzz [--seconds <how long, 60>] [--seed <a number, the time>]";

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    println!("seed {}, for {:?}", options.seed, options.duration);
    match run(options, || ALLOCATOR.stats().bytes_allocated) {
        Ok(report) => {
            println!("nothing found: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut options = Options { duration: Duration::from_mins(1), seed: now.as_secs() };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--seconds" => options.duration = Duration::from_secs(value),
            "--seed" => options.seed = value,
            _ => return None,
        }
    }
    Some(options)
}
