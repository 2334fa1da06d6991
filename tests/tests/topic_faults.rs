//! R28: topics that grow, lose records to retention, are deleted and come back, under a service that reads them. Each test
//! prints its row of the fault table.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_boot_tests::fault_table::Row;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::ledger::now_ns;
use kafka_boot_tests::scenario::Scenario;
use kafka_boot_tests::topics::delete_records;
use kafka_boot_tests::volume::volume;
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const MINUTE: Duration = Duration::from_mins(1);
const METADATA_INTERVAL: Duration = Duration::from_secs(2);

fn scenario<'k>(kafka: &'k Kafka, name: &str) -> Scenario<'k> {
    Scenario::new(kafka, SERVICE, name, PARTITIONS)
        .unwrap()
        .setting("kafka.consumer.metadata-max-age", format_args!("{}s", METADATA_INTERVAL.as_secs()))
        .setting("kafka.consumer.heartbeat-interval", "500ms")
        .setting("ledger.delay", "1ms")
        .setting("ledger.delay-every", 3)
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning_without_a_repeat() {
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records) = (Instant::now(), volume(30_000, 100_000));
    let mut scenario = scenario(kafka, "grows");
    scenario.seed(records / 2).unwrap();
    let instance = scenario.start().unwrap();
    scenario.work_on(records / 20).unwrap();
    scenario.grow(2 * PARTITIONS).unwrap();
    let grown = Instant::now();
    // These are there before the service knows of the partitions they are in.
    scenario.seed(records / 2).unwrap();
    let last = format!("{}-{}\"", scenario.topic(), 2 * PARTITIONS - 1);
    let is_assigned = |line: &str| line.contains("partitions assigned") && line.contains(&last);
    let line = instance.process.wait_for_line(MINUTE, is_assigned).unwrap();
    let took = line.at.saturating_duration_since(grown);
    scenario.drain(MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    let history = scenario.finish().unwrap();
    let fault = format!("12 partitions become 24; they are read after {took:.1?}");
    Row { goal: "R28", fault: &fault, faults: 1, repeats_each: 0 }.judge(&history, began.elapsed());
    assert!(took <= METADATA_INTERVAL + Duration::from_secs(5), "the new partitions came after {took:.1?}");
}

/// Records that are gone before the group got to them are skipped, and each partition's are told and counted.
#[test]
fn what_retention_takes_from_under_a_group_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records) = (Instant::now(), volume(30_000, 100_000));
    let mut scenario = scenario(kafka, "retention");
    scenario.seed(records).unwrap();
    let instance = scenario.start().unwrap();
    scenario.work_on(records / 10).unwrap();
    scenario.stop(instance).unwrap();
    let mut gone: HashMap<i32, (i64, i64)> = HashMap::new();
    for sample in scenario.look().unwrap() {
        let from = sample.committed.unwrap_or_default();
        gone.insert(sample.partition, (from, (from + 100 + i64::from(sample.partition)).min(sample.end)));
    }
    let before: Vec<(i32, i64)> = gone.iter().map(|(partition, (_, to))| (*partition, *to)).collect();
    delete_records(kafka.bootstrap_servers(), scenario.topic(), &before).unwrap();
    let instance = scenario.start().unwrap();
    scenario.drain(MINUTE).unwrap();
    let process = scenario.stop(instance).unwrap();
    let topic = scenario.topic().to_owned();
    let mut history = scenario.finish().unwrap();
    let is_gone = |partition: i32, offset: i64| (gone[&partition].0..gone[&partition].1).contains(&offset);
    let all = history.acked.len();
    history.acked.retain(|record| !is_gone(record.partition, record.offset));
    let skipped = all - history.acked.len();
    let fault = format!("retention passes the committed offsets: {skipped} records gone, each told");
    Row { goal: "R28", fault: &fault, faults: 12, repeats_each: 0 }.judge(&history, began.elapsed());
    let lines = process.lines();
    for (partition, (from, to)) in gone.iter().filter(|(_, (from, to))| from < to) {
        let told = |text: &str| {
            text.contains(&format!("partition={topic}-{partition} "))
                && text.contains("records were gone before they were read")
                && text.contains(&format!("from={from} to={to} skipped={}", to - from))
        };
        let is_told = lines.iter().any(|line| told(&line.text));
        assert!(is_told, "{topic}-{partition} from {from} to {to}: {lines:?}");
    }
}

/// What is in a topic of the same name that came later is not what was read of the one before. As long as it is not longer
/// when it is first looked at, its offsets tell.
#[test]
fn a_topic_that_is_deleted_and_comes_back_is_read_from_its_beginning() {
    let Some(kafka) = Kafka::shared() else { return };
    let (began, records) = (Instant::now(), volume(30_000, 100_000));
    let mut scenario = scenario(kafka, "comes-back");
    let before = records / 4;
    scenario.seed(before).unwrap();
    let instance = scenario.start().unwrap();
    scenario.drain(MINUTE).unwrap();
    scenario.recreate_topic().unwrap();
    let recreated_ns = now_ns();
    eventually(MINUTE, "every partition to be begun anew", || {
        let lines = instance.process.lines();
        let said = |what: &str| lines.iter().filter(|line| line.text.contains(what)).count();
        // Unless the service learns in between that the topic is gone, and is given its partitions again.
        said("the offset to read is not there") == 12 || said("partitions assigned") > 1
    });
    // More than there were: offsets of the topic before are offsets of this one, too.
    scenario.seed(records - before).unwrap();
    scenario.drain(MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    let mut history = scenario.finish().unwrap();
    let first: Vec<u64> = history.entries.iter().map(|entry| entry.uid).filter(|uid| *uid < before).collect();
    assert_eq!(first.len() as u64, before, "what was in the topic before was done");
    history.acked.retain(|record| record.uid >= before);
    history.entries.retain(|entry| entry.uid >= before);
    history.samples.retain(|sample| sample.at_ns > recreated_ns);
    let fault = "the topic is deleted and created again";
    Row { goal: "R28", fault, faults: 1, repeats_each: 0 }.judge(&history, began.elapsed());
}
