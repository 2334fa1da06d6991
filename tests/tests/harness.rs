//! The harness judged by itself: a real broker starts, keeps what it acknowledged, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_boot_tests::ErrorKind;
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::observer::Observer;
use kafka_boot_tests::process::{Process, Program, Signal, Stream, resident_bytes, workspace_binary};
use kafka_boot_tests::produce::{Seeding, Stamp};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::wait::eventually;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_shared_broker_answers_kafkas_own_tools_and_refuses_to_be_killed() {
    let Some(kafka) = Kafka::shared() else { return };
    if !kafka.has_tools() {
        return;
    }
    let topic = unique_name("tools");
    kafka.create_topic(&topic, 3).unwrap();
    let listed =
        kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"], Duration::from_mins(1)).unwrap();
    assert!(listed.success().unwrap().stdout.contains(&topic));
    assert!(kafka.consumer_groups_describe("nobody").unwrap().is_empty());
    assert_eq!(kafka.kill9(0).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_broker_comes_back_on_its_port_after_a_crash_a_stop_and_a_pause() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    if !kafka.has_tools() {
        return;
    }
    let topic = unique_name("restart");
    let address = kafka.broker_address(0).unwrap();
    kafka.create_topic(&topic, 1).unwrap();

    kafka.kill9(0).unwrap();
    assert_eq!(kafka.broker_pid(0).unwrap(), None);
    kafka.restart(0).unwrap();
    kafka.stop(0).unwrap();
    kafka.restart(0).unwrap();
    kafka.pause(0).unwrap();
    kafka.resume(0).unwrap();
    kafka.pause(0).unwrap();
    kafka.restart(0).unwrap();

    assert_eq!(kafka.broker_address(0).unwrap(), address);
    let listed =
        kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"], Duration::from_mins(1)).unwrap();
    assert!(listed.success().unwrap().stdout.contains(&topic));
}

#[test]
fn ten_thousand_acknowledged_records_survive_a_kill_and_are_all_read_back_by_kafkas_own_consumer() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    if !kafka.has_tools() {
        return;
    }
    let topic = unique_name("survive");
    kafka.create_topic(&topic, 3).unwrap();
    let seeded = Seeding::new(&topic, 10_000).keys(100).produce(kafka.bootstrap_servers()).unwrap();
    assert_eq!((seeded.acked.len(), seeded.failed.len()), (10_000, 0));

    kafka.kill9(0).unwrap();
    kafka.restart(0).unwrap();

    let read = kafka.console_consumer(&topic, 10_000, Duration::from_secs(20)).unwrap();
    let found: BTreeMap<u64, (i32, i64)> = read
        .iter()
        .map(|record| (Stamp::parse(record.value.as_bytes()).unwrap().uid, (record.partition, record.offset)))
        .collect();
    let acked: BTreeMap<u64, (i32, i64)> =
        seeded.acked.iter().map(|produced| (produced.uid, (produced.partition, produced.offset))).collect();
    assert_eq!(found, acked);
}

#[test]
fn the_observer_and_kafkas_own_tool_agree_on_what_a_group_has_committed() {
    let Some(kafka) = Kafka::shared() else { return };
    if !kafka.has_tools() {
        return;
    }
    let (topic, group) = (unique_name("observed"), unique_name("group"));
    kafka.create_topic(&topic, 2).unwrap();
    let acked = Seeding::new(&topic, 1_000).produce(kafka.bootstrap_servers()).unwrap().acked;
    let ends = [0, 1].map(|partition| {
        let count = acked.iter().filter(|produced| produced.partition == partition).count();
        i64::try_from(count).unwrap()
    });

    let observer = Observer::start(kafka.bootstrap_servers(), &group, &topic, 2).unwrap();
    eventually(DEADLINE, "a first look at both partitions", || {
        let latest = observer.latest();
        (latest.len() == 2 && latest.iter().map(|sample| sample.end).eq(ends)).then_some(())
    });
    assert!(!observer.is_drained());

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut commit = TopicPartitionList::new();
    for (partition, end) in (0..).zip(ends) {
        commit.add_partition_offset(&topic, partition, Offset::Offset(end)).unwrap();
    }
    consumer.commit(&commit, CommitMode::Sync).unwrap();
    eventually(DEADLINE, "the observer to see the commit", || observer.is_drained());

    let samples = observer.stop();
    assert!(samples.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
    let mut rows = kafka.consumer_groups_describe(&group).unwrap();
    rows.sort_by_key(|row| row.partition);
    assert_eq!(rows.iter().map(|row| row.committed).collect::<Vec<_>>(), ends.map(Some));
    assert!(rows.iter().all(|row| row.lag == Some(0) && row.member.is_none()));
}

#[test]
fn three_brokers_serve_a_topic_while_one_of_them_is_dead() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default().brokers(3)) else { return };
    if !kafka.has_tools() {
        return;
    }
    let topic = unique_name("three");
    kafka.create_topic(&topic, 3).unwrap();
    kafka.kill9(2).unwrap();
    let seeded = Seeding::new(&topic, 1_000).produce(kafka.bootstrap_servers()).unwrap();
    assert_eq!((seeded.acked.len(), seeded.failed.len()), (1_000, 0));
    kafka.restart(2).unwrap();
    assert_eq!(kafka.console_consumer(&topic, 1_000, Duration::from_secs(20)).unwrap().len(), 1_000);
}

/// The child of [`no_broker_outlives_a_test_process_that_is_killed`]: holds a broker until it is killed.
#[test]
#[ignore = "run by another test, as a process to kill"]
fn hold_a_broker() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    println!("broker={}", kafka.broker_pid(0).unwrap().unwrap());
    loop {
        std::thread::park();
    }
}

#[test]
fn no_broker_outlives_a_test_process_that_is_killed() {
    if Kafka::shared().is_none_or(|kafka| kafka.broker_count() == 0) {
        return;
    }
    let test = Program::new(std::env::current_exe().unwrap());
    let holder = test.args(["--exact", "hold_a_broker", "--ignored", "--nocapture"]).start().unwrap();
    let line = holder.wait_for_line(Duration::from_mins(2), |line| line.contains("broker=")).unwrap();
    let pid: u32 = line.text.split("broker=").nth(1).unwrap().trim().parse().unwrap();
    assert!(resident_bytes(pid).unwrap() > 1_000_000);

    holder.signal(Signal::Kill).unwrap();
    eventually(DEADLINE, "the broker to die with its test process", || resident_bytes(pid).is_err());
}

/// Runs one test of this file in a process of its own, by a shell script that ends in `exec "$0" "$@"`.
fn run_alone(test: &str, script: &str, environment: &[(&str, &str)]) -> Process {
    let mut program = Program::new("sh").args(["-c", script]).arg(std::env::current_exe().unwrap());
    program = program.args(["--exact", test, "--nocapture"]);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    program.start().unwrap()
}

#[test]
fn a_missing_broker_skips_a_test_and_says_so_but_fails_it_in_ci() {
    let test = "a_shared_broker_answers_kafkas_own_tools_and_refuses_to_be_killed";
    for (ci, code, said) in [("false", 0, "skipped: "), ("true", 101, "Kafka is needed in CI: ")] {
        let script =
            "unset KAFKA_BOOTSTRAP_SERVERS KAFKA_BOOT_TEST_BROKER; PATH=/nonexistent; exec \"$0\" \"$@\"";
        let mut alone = run_alone(test, script, &[("CI", ci)]);
        assert_eq!(alone.wait(DEADLINE).unwrap().code(), Some(code), "{:?}", alone.lines());
        assert!(alone.text(Stream::Err).contains(said), "{:?}", alone.lines());
    }
}

#[test]
fn a_cluster_from_outside_is_used_and_never_hurt() {
    let Some(kafka) = Kafka::shared() else { return };
    let outside = [("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())];
    for (test, said) in [
        ("a_shared_broker_answers_kafkas_own_tools_and_refuses_to_be_killed", "using the cluster of"),
        ("three_brokers_serve_a_topic_while_one_of_them_is_dead", "skipped: three_brokers"),
    ] {
        let mut alone = run_alone(test, "exec \"$0\" \"$@\"", &outside);
        assert_eq!(alone.wait(Duration::from_mins(1)).unwrap().code(), Some(0), "{:?}", alone.lines());
        assert!(alone.text(Stream::Err).contains(said), "{:?}", alone.lines());
    }
}

#[test]
fn a_binary_of_another_package_is_built_when_a_test_needs_it() {
    assert!(workspace_binary("scheduled-producer", "scheduled-producer").unwrap().is_file());
    let error = workspace_binary("scheduled-producer", "nothing-of-this-name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert!(error.to_string().contains("nothing-of-this-name"), "{error}");
}

#[test]
fn a_child_process_is_seen_signalled_and_waited_for() {
    let script = "trap 'echo stopping; exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done";
    let mut child = Program::new("sh").args(["-c", script]).start().unwrap();
    let line = child.wait_for_line(DEADLINE, |line| line == "ready").unwrap();
    assert_eq!(line.stream, Stream::Err);
    assert!(child.is_running().unwrap() && child.resident_bytes().unwrap() > 0);

    child.signal(Signal::Terminate).unwrap();
    assert_eq!(child.wait(DEADLINE).unwrap().code(), Some(7));
    assert_eq!(child.text(Stream::Out), "stopping");
    let missed = child.wait_for_line(DEADLINE, |line| line == "never").unwrap_err();
    assert_eq!(missed.kind(), ErrorKind::Tool);
    assert!(missed.to_string().contains("stopping"), "{missed}");
}
