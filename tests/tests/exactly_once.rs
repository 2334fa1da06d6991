//! R30: a listener that copies records in transactions, while its processes are killed, frozen and replaced, and the
//! broker crashes. Who reads committed records sees each copy once and in order, and none is missing.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use kafka_boot_tests::consume::{Consumed, Follower, read_topic};
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::ledger::{Outcome, Produced};
use kafka_boot_tests::observer::Sample;
use kafka_boot_tests::process::Signal;
use kafka_boot_tests::produce::{Seeding, Stamp};
use kafka_boot_tests::scenario::{History, Scenario};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::volume::volume;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const MINUTE: Duration = Duration::from_mins(1);
/// What Kafka's own tests of this kind have in a transaction.
const TRANSACTION_RECORDS: u32 = 750;

/// A scenario whose service copies to `output` instead of only working.
fn copying<'k>(kafka: &'k Kafka, name: &str, output: &str) -> Scenario<'k> {
    kafka.create_topic(output, PARTITIONS).unwrap();
    Scenario::new(kafka, SERVICE, name, PARTITIONS)
        .unwrap()
        .setting("kafka.listeners.work.auto-startup", false)
        .setting("kafka.listeners.copy.auto-startup", true)
        .setting("kafka.consumer.max-poll-records", TRANSACTION_RECORDS)
        .setting("kafka.consumer.max-in-flight", 2 * TRANSACTION_RECORDS)
        .setting("ledger.output", output)
}

/// The numbers of records by partition, in the order of their offsets.
type Numbers = BTreeMap<i32, Vec<u64>>;

fn numbers(records: &[Consumed]) -> Numbers {
    let mut numbers = Numbers::new();
    for record in records {
        let stamp = Stamp::parse(record.value.as_deref().unwrap()).unwrap();
        numbers.entry(record.partition).or_default().push(stamp.uid);
    }
    numbers
}

/// What is to be in the output: what was acknowledged and is no dead letter, in its order.
fn expected(history: &History) -> Numbers {
    let dead: HashSet<u64> = history.dead_letters.iter().copied().collect();
    assert_eq!(dead.len(), history.dead_letters.len(), "each dead letter is written once");
    let mut numbers = Numbers::new();
    // By partition and offset, as the seeding returns them, one seeding after the other.
    for produced in history.acked.iter().filter(|produced| !dead.contains(&produced.uid)) {
        numbers.entry(produced.partition).or_default().push(produced.uid);
    }
    numbers
}

/// Compares partition by partition, and says of the first that differs where.
fn assert_same(what: &str, found: &Numbers, expected: &Numbers) {
    let count = |numbers: &Numbers| numbers.values().map(Vec::len).sum::<usize>();
    for partition in 0..PARTITIONS {
        let of = |numbers: &Numbers| numbers.get(&partition).cloned().unwrap_or_default();
        let (found_here, expected_here) = (of(found), of(expected));
        let Some(place) = (0..found_here.len().max(expected_here.len()))
            .find(|place| found_here.get(*place) != expected_here.get(*place))
        else {
            continue;
        };
        let unique: HashSet<u64> = found_here.iter().copied().collect();
        let missing = expected_here.iter().filter(|uid| !unique.contains(uid)).count();
        panic!(
            "{what}: {} records and not {}; in partition {partition} record {place} is {:?} and not {:?}; there {missing} \
             are missing and {} are there twice",
            count(found),
            count(expected),
            found_here.get(place),
            expected_here.get(place),
            found_here.len() - unique.len(),
        );
    }
}

/// What two readers of committed records see: one that was there all the time, and one that came afterwards.
fn assert_copied_once(kafka: &Kafka, output: &str, follower: Follower, history: &History) -> Vec<Consumed> {
    let expected = expected(history);
    let count = expected.values().map(Vec::len).sum();
    let afterwards = read_topic(kafka.bootstrap_servers(), output, MINUTE).unwrap();
    assert_same("read afterwards", &numbers(&afterwards), &expected);
    let at_once = follower.until(count, MINUTE).unwrap();
    assert_same("followed", &numbers(&at_once), &expected);
    afterwards
}

/// R30 under the faults of R2 (the broker crashes), R5 (members come and go) and R7 (members are killed), with records that fail at
/// first, after they were copied, and some that always fail.
#[test]
fn copies_are_exactly_once_whatever_happens_to_broker_and_members() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    let output = unique_name("copies");
    let scenario = copying(&kafka, "exactly-once", &output).short_session();
    r30(&kafka, scenario, &output, volume((20_000, 2), (100_000, 2)));
}

/// The same with the group protocol of KIP-848, where a member's epoch fences it.
#[test]
fn copies_are_exactly_once_with_the_new_group_protocol() {
    let broker = KafkaOptions::default()
        .property("group.consumer.min.session.timeout.ms", "3000")
        .property("group.consumer.session.timeout.ms", "3000")
        .property("group.consumer.min.heartbeat.interval.ms", "500")
        .property("group.consumer.heartbeat.interval.ms", "500");
    let Some(kafka) = Kafka::start_or_skip(&broker) else { return };
    let output = unique_name("copies");
    let scenario =
        copying(&kafka, "exactly-once", &output).setting("kafka.consumer.group-protocol", "consumer");
    r30(&kafka, scenario, &output, volume((10_000, 1), (100_000, 2)));
}

fn r30(kafka: &Kafka, scenario: Scenario<'_>, output: &str, (records, rounds): (u64, u64)) {
    let scenario = scenario
        .setting("ledger.error-every", 997)
        .setting("ledger.poison-every", 4_999)
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 5);
    let follower = Follower::start(kafka.bootstrap_servers(), output, PARTITIONS).unwrap();
    let began = Instant::now();
    let mut load =
        Load { scenario, portion: records / (rounds * 5), acked: Vec::new(), faults: 0, while_busy: 0 };
    let mut stays = load.scenario.start().unwrap();
    for _ in 0..rounds {
        // R5: one joins, the other leaves.
        let joins = load.under(|scenario| scenario.start().unwrap());
        load.under(|scenario| scenario.stop(stays).unwrap());
        // R7: one of two members is killed, and then the only one.
        let last = load.scenario.start().unwrap();
        load.under(|scenario| scenario.kill(joins).unwrap());
        load.under(|scenario| scenario.kill(last).unwrap());
        stays = load.scenario.start().unwrap();
        // R2.
        load.under(|_| {
            kafka.kill9(0).unwrap();
            kafka.restart(0).unwrap();
        });
    }
    let Load { mut scenario, faults, while_busy, acked, .. } = load;
    scenario.drain(3 * MINUTE).unwrap();
    scenario.stop(stays).unwrap();
    let took = began.elapsed();
    let history = History { acked, ..scenario.finish().unwrap() };
    assert_eq!(history.acked.len() as u64, records);
    let failed = history.entries.iter().filter(|entry| entry.outcome == Outcome::Error).count();
    let copied = assert_copied_once(kafka, output, follower, &history);
    eprintln!(
        "R30: {records} records in transactions of up to {}; {faults} faults (of each five: a join, a leave, two kills, a crash \
         of the broker), {while_busy} while records came in; {} attempts, of which {failed} failed and {} repeated what was done; {} \
         dead letters; 0 lost, 0 twice, in order; {took:.1?}",
        longest_transaction(&copied),
        history.entries.len(),
        history.repeats(),
        history.dead_letters.len(),
    );
    assert!(history.repeats() > 0, "something was aborted after it was handled");
    assert_eq!(history.dead_letters.len() as u64, records.div_ceil(4_999));
}

/// The marker at the end of a transaction has an offset of its own.
fn longest_transaction(records: &[Consumed]) -> usize {
    let follows =
        |one: &Consumed, next: &Consumed| one.partition == next.partition && one.offset + 1 == next.offset;
    records.chunk_by(follows).map(<[Consumed]>::len).max().unwrap_or_default()
}

/// Records that come in portions, one for each fault.
struct Load<'k> {
    scenario: Scenario<'k>,
    portion: u64,
    acked: Vec<Produced>,
    faults: u32,
    while_busy: u32,
}

impl<'k> Load<'k> {
    /// Does something while the next portion comes in and the service is at it.
    fn under<T>(&mut self, fault: impl FnOnce(&mut Scenario<'k>) -> T) -> T {
        let seeding = Seeding::new(self.scenario.topic(), self.portion).keys(1_000);
        let seeding = seeding.first_uid(self.acked.len() as u64);
        let servers = self.scenario.bootstrap_servers().to_owned();
        let target = self.scenario.attempts().unwrap() + self.portion / 10;
        let coming = std::thread::spawn(move || seeding.produce(&servers));
        eventually(MINUTE, "the service to be at the next records", || {
            self.scenario.attempts().unwrap() >= target
        });
        let mut open: Option<i64> = None;
        eventually(MINUTE, "the broker to tell how far the service is", || {
            // A broker that has just been killed may be slow to answer.
            open = self.scenario.look().ok().map(|samples| samples.iter().map(Sample::lag).sum());
            open.is_some()
        });
        self.faults += 1;
        self.while_busy += u32::from(open.is_some_and(|open| open > 0));
        let outcome = fault(&mut self.scenario);
        let seeded = coming.join().unwrap().unwrap();
        assert!(seeded.failed.is_empty(), "{:?}", seeded.failed);
        self.acked.extend(seeded.acked);
        outcome
    }
}

/// R16 for transactions: a member that is frozen in the middle of them, until its partitions are somebody else's.
#[test]
fn a_frozen_member_that_wakes_up_is_fenced() {
    let Some(kafka) = Kafka::shared() else { return };
    let output = unique_name("copies");
    let mut scenario = copying(kafka, "zombie", &output)
        .short_session()
        .setting("ledger.delay", "2ms")
        .setting("ledger.delay-every", 2);
    scenario.seed(20_000).unwrap();
    let follower = Follower::start(kafka.bootstrap_servers(), &output, PARTITIONS).unwrap();
    let frozen = scenario.start().unwrap();
    let other = scenario.start().unwrap();
    scenario.work_on(2_000).unwrap();
    frozen.process.signal(Signal::Stop).unwrap();
    eventually(MINUTE, "the group to miss the frozen member", || {
        scenario.members().is_ok_and(|members| members.len() == 1)
    });
    // The other one gets past what the frozen one has in hand.
    scenario.work_on(5_000).unwrap();
    frozen.process.signal(Signal::Continue).unwrap();
    frozen.process.wait_for_line(MINUTE, |line| line.contains("partitions lost")).unwrap();
    eventually(MINUTE, "both members to be back", || {
        scenario.members().is_ok_and(|members| members.len() == 2)
    });
    assert!(scenario.attempts().unwrap() < 20_000, "the member was frozen under load");
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(frozen).unwrap();
    scenario.stop(other).unwrap();
    let history = scenario.finish().unwrap();
    eprintln!("20000 records, 1 member frozen, {} repeated", history.repeats());
    assert!(history.repeats() > 0, "what was open is done again");
    assert_copied_once(kafka, &output, follower, &history);
}

/// What a killed member has left open does not hold its successor up, nor those who read, until the transaction's timeout.
#[test]
fn the_successor_of_a_killed_member_goes_on_at_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let output = unique_name("copies");
    // Each record takes longer than one transaction may stay open, so that all lanes have one open when they are killed.
    let mut scenario = copying(kafka, "killed", &output).short_session().setting("ledger.delay", "700ms");
    scenario.seed(100).unwrap();
    let follower = Follower::start(kafka.bootstrap_servers(), &output, PARTITIONS).unwrap();
    let killed = scenario.start().unwrap();
    scenario.work_on(20).unwrap();
    scenario.kill(killed).unwrap();
    let at_kill = Instant::now();
    scenario.set("ledger.delay", "0ms");
    let successor = scenario.start().unwrap();
    scenario.drain(MINUTE).unwrap();
    let took = at_kill.elapsed();
    scenario.stop(successor).unwrap();
    let history = scenario.finish().unwrap();
    assert_copied_once(kafka, &output, follower, &history);
    eprintln!("all was copied {took:.1?} after the kill; a transaction may stay open for a minute");
    assert!(took < MINUTE / 2, "{took:?}");
}
