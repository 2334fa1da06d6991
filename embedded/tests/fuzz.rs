//! A short run of the fuzzer, always with the same seed. The long one is `examples/fuzz.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Claims a gigabyte for everything.
fn a_spendthrift() -> usize {
    static CLAIMED: AtomicUsize = AtomicUsize::new(0);
    CLAIMED.fetch_add(1 << 30, Ordering::Relaxed)
}

#[test]
fn what_takes_much_memory_is_found_and_told_with_its_seed_and_bytes() {
    let options = Options { duration: Duration::from_mins(1), seed: 42 };
    let failures = [run(options, a_spendthrift), run(options, a_spendthrift)].map(|found| {
        let Err(failure) = found else { panic!("not found") };
        failure
    });
    let [first, again] = &failures;
    assert_eq!((first.seed, first.number), (42, 0));
    // The ids of topics in it are those of the broker.
    assert_eq!(first.input.len(), again.input.len(), "the same seed gives the same input");
    let told = first.to_string();
    assert!(told.contains("1073741824 bytes were allocated") && told.contains("--seed 42"), "{told}");
}
