//! The example on real Kafka, looked at with Kafka's own tools: the records are there, and each commit mode has committed
//! what it promises.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::path::Path;
use std::time::Duration;

use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::process::{Program, Signal, workspace_binary};

const MINUTE: Duration = Duration::from_mins(1);
const RECORDS: usize = 10;

#[test]
fn kafkas_own_tools_see_the_records_and_the_offsets_of_each_commit_mode() {
    // Of its own, because the example's topic has a fixed name.
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    if !kafka.has_tools() {
        return;
    }
    let example = workspace_binary("scheduled-producer", "scheduled-producer").unwrap();
    for mode in ["sync", "async", "auto"] {
        let group = format!("tools-{mode}");
        let mut service = Program::new(&example)
            .directory(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
            .arg(format!("--kafka.consumer.group-id={group}"))
            .arg(format!("--kafka.listeners.consume.commit={mode}"))
            .arg("--kafka.consumer.auto-offset-reset=earliest")
            .arg("--scheduling.jobs.produce.fixed-delay=50ms")
            .start()
            .unwrap();
        let mut seen = 0;
        for _ in 0..RECORDS {
            seen = service.wait_for_line_after(seen, MINUTE, |line| line.contains(" consumed ")).unwrap().0;
        }
        service.signal(Signal::Terminate).unwrap();
        assert!(service.wait(MINUTE).unwrap().success(), "{mode}");

        let consumed = service.lines().iter().filter(|line| line.text.contains(" consumed ")).count();
        let rows = kafka.consumer_groups_describe(&group).unwrap();
        assert!(rows.iter().all(|row| row.topic == "test"), "{mode}: {rows:?}");
        // A partition that never had a record has no committed offset, and may have no row.
        let committed: i64 = rows.iter().filter_map(|row| row.committed).sum();
        assert_eq!(committed, i64::try_from(consumed).unwrap(), "{mode}: {rows:?}");
        assert!(rows.iter().all(|row| row.member.is_none()), "{mode}: the member has left: {rows:?}");
    }
    let records = kafka.console_consumer("test", RECORDS, MINUTE).unwrap();
    assert_eq!(records.len(), RECORDS);
    assert!(records.iter().all(|record| record.value.starts_with("This is record ")), "{records:?}");
}
