//! R21: a network that is slow, cut, silent and chopped, between a service and a real broker. Nothing is lost, and as the
//! session survives all of that, nothing is repeated either.
//!
//! Each test has a broker and a proxy of its own, and prints its row of the fault table.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::proxy::{Link, Proxy};
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::volume::volume;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
/// What one kind of network does to a service.
struct Kind {
    name: &'static str,
    records: u64,
    /// How long the rest of the records may take.
    deadline: Duration,
    /// What is done while records are handled.
    faults: fn(&Proxy),
}

impl Kind {
    fn run(&self) {
        let proxy = Proxy::start().unwrap();
        let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default().behind(&proxy)) else { return };
        kafka.lead(&proxy).unwrap();
        let began = Instant::now();
        let mut scenario = Scenario::new(&kafka, SERVICE, self.name, PARTITIONS).unwrap().through(&proxy);
        // Work that lasts while the network is bad.
        scenario = scenario.setting("ledger.delay", "1ms").setting("ledger.delay-every", 3);
        scenario.seed(self.records).unwrap();
        let instance = scenario.start().unwrap();
        scenario.work_on(self.records / 20).unwrap();
        (self.faults)(&proxy);
        scenario.drain(self.deadline).unwrap();
        proxy.set(Link::default());
        scenario.stop(instance).unwrap();
        let (connections, took) = (proxy.connections(), began.elapsed());
        let history = scenario.finish().unwrap();
        let fault = format!("network: {}", self.name);
        let row = Row { goal: "R21", fault: &fault, faults: connections, repeats_each: 0 };
        row.judge(&history, took);
    }
}

#[test]
fn a_slow_and_narrow_link_loses_and_repeats_nothing() {
    let kind = Kind {
        name: "slow",
        records: volume(20_000, 200_000),
        deadline: Duration::from_mins(volume(3, 30)),
        faults: |proxy| {
            proxy.set(Link {
                delay: Duration::from_millis(volume(300, 1_000)),
                jitter: Duration::from_millis(volume(150, 500)),
                bytes_per_second: Some(volume(512, 64) * 1024),
                ..Link::default()
            });
        },
    };
    kind.run();
}

#[test]
fn connections_that_are_reset_every_second_lose_and_repeat_nothing() {
    let kind = Kind {
        name: "resets",
        records: volume(50_000, 200_000),
        deadline: Duration::from_mins(volume(3, 30)),
        faults: |proxy| {
            proxy.set(Link {
                lifetime: Some((Duration::from_millis(500), Duration::from_millis(1_500))),
                ..Link::default()
            });
            // Those that are there already.
            proxy.reset();
        },
    };
    kind.run();
}

#[test]
fn a_black_hole_shorter_than_the_session_loses_and_repeats_nothing() {
    let kind = Kind {
        name: "black hole",
        records: volume(50_000, 200_000),
        deadline: Duration::from_mins(volume(3, 10)),
        faults: |proxy| {
            proxy.set(Link { is_black_hole: true, ..Link::default() });
            std::thread::sleep(Duration::from_secs(volume(8, 30)));
            proxy.set(Link::default());
        },
    };
    kind.run();
}

#[test]
fn answers_that_never_come_lose_and_repeat_nothing() {
    let kind = Kind {
        name: "half open",
        records: volume(50_000, 200_000),
        deadline: Duration::from_mins(volume(3, 10)),
        faults: |proxy| {
            proxy.set(Link { is_half_open: true, ..Link::default() });
            std::thread::sleep(Duration::from_secs(volume(8, 30)));
            // A connection of which something is missing is of no use any more.
            proxy.reset();
            proxy.set(Link::default());
        },
    };
    kind.run();
}

#[test]
fn bytes_that_come_one_by_one_lose_and_repeat_nothing() {
    let kind = Kind {
        name: "byte by byte",
        records: volume(20_000, 200_000),
        deadline: Duration::from_mins(volume(3, 30)),
        faults: |proxy| proxy.set(Link { is_byte_by_byte: true, ..Link::default() }),
    };
    kind.run();
}
