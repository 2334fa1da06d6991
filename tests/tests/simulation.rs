//! R32: tracker, rebalance machine, lanes, committer and poll loop on a simulated group and log, twenty thousand seeds.

use std::time::{Duration, Instant};

use kafka_boot::__simulation::simulate;
use kafka_boot_tests::seed::notice;
use kafka_boot_tests::simulation::Seeds;

#[test]
fn every_seed_holds_every_invariant_and_then_finishes() {
    let seeds = Seeds::from_environment();
    if seeds.is_verbose {
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(std::io::stderr).init();
    }
    let campaign = seeds.run();
    notice(&format!(
        "R32: {} seeds, {} faults, {} records done, {} of them again, {} failures, {:.1?}",
        campaign.simulations,
        campaign.faults,
        campaign.done,
        campaign.repeated,
        campaign.failures.len(),
        campaign.took
    ));
    campaign.assert_holds();
}

#[test]
fn a_seed_reproduces_its_history_at_once() {
    let mut slowest = Duration::ZERO;
    for seed in (0..200).chain(u64::MAX - 10..u64::MAX) {
        let began = Instant::now();
        let one = simulate(seed, false);
        slowest = slowest.max(began.elapsed());
        let two = simulate(seed, false);
        let differs = one.notes.iter().zip(&two.notes).find(|(one, two)| one != two);
        assert_eq!(
            (differs, one.notes.len(), one.hash()),
            (None, two.notes.len(), two.hash()),
            "seed {seed}"
        );
    }
    assert!(slowest < Duration::from_secs(1), "one took {slowest:?}");
    notice(&format!("R32: 210 seeds twice, each with the same history; the slowest took {slowest:.1?}"));
}
