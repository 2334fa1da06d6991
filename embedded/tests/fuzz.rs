//! A short run of the fuzzer, always with the same seed. The long one is `examples/fuzz.rs`.

use std::time::Duration;

use kafka_boot_embedded::fuzz::{Options, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

#[test]
fn nothing_that_is_sent_panics_hangs_or_takes_much_memory() {
    let options = Options { duration: Duration::from_secs(3), seed: 1 };
    match run(options, || ALLOCATOR.stats().bytes_allocated) {
        Ok(report) => assert!(report.inputs > 0 && report.answers > report.inputs / 4, "{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}
