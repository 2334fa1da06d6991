//! The harness judged by itself: a real broker starts, keeps what it acknowledged, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::Duration;

use kafka_boot_tests::ErrorKind;
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::seed::unique_name;

#[test]
fn a_shared_broker_answers_kafkas_own_tools_and_refuses_to_be_killed() {
    let Some(kafka) = Kafka::shared() else { return };
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

    assert_eq!(kafka.broker_address(0).unwrap(), address);
    let listed =
        kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"], Duration::from_mins(1)).unwrap();
    assert!(listed.success().unwrap().stdout.contains(&topic));
}
