//! What depends on how a broker answers, on real Kafka, or with `KAFKA_BOOT_TEST_BROKER=embedded` on the embedded broker.

use std::time::{Duration, Instant};

use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{begin, tool, words};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn reading_is_the_same_on_kafka() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    let servers = kafka.bootstrap_servers().to_owned();
    let arguments = |command: &str| words(&format!("--bootstrap-servers {servers} {command}"));
    let says = |command: &str| tool(&arguments(command), &[], "");
    let produce = |partition: u32, lines: &str| {
        let told = tool(&arguments(&format!("produce orders --partition {partition}")), &[], lines);
        assert!(told.starts_with("exit code 0\n"), "{told}");
    };
    let succeeds = |command: &str| {
        let told = says(command);
        assert!(told.starts_with("exit code 0\n"), "{command}: {told}");
        told
    };
    succeeds("topics create orders --partitions 2");

    // The last records are records, whatever transactions left between them.
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &servers).set("transactional.id", "t");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(MINUTE).unwrap();
    for number in 0..6 {
        producer.begin_transaction().unwrap();
        let payload = number.to_string();
        producer.send(BaseRecord::<(), str>::to("orders").partition(0).payload(&payload)).unwrap();
        producer.flush(MINUTE).unwrap();
        if number % 2 == 0 {
            producer.commit_transaction(MINUTE).unwrap();
        } else {
            producer.abort_transaction(MINUTE).unwrap();
        }
    }
    let last = |count: u32| succeeds(&format!("consume orders --until-end --partition 0 --last {count}"));
    assert!(last(2).contains("--- output\n2\n4\n--- errors"), "{}", last(2));
    assert!(last(9).contains("--- output\n0\n2\n4\n--- errors"), "{}", last(9));

    // A group stands where it began before there is a record.
    let begun = begin(&arguments("consume orders --group early"));
    let deadline = Instant::now() + MINUTE;
    while !says("groups describe early").contains("early  orders  0          12") {
        assert!(Instant::now() < deadline, "{}", says("groups describe early"));
    }
    assert_eq!(begun.end().0, 0);
    produce(1, "missed\n");
    let told = succeeds("consume orders --group early --from-end --until-end");
    assert!(told.contains("--- output\nmissed\n"), "{told}");

    // Partitions that are added are read from their beginning.
    let begun = begin(&arguments("consume orders --last 1 --partition 1"));
    assert_eq!(begun.lines(1), ["missed"]);
    let following = begin(&arguments("consume orders --last 1 --template {partition}:{value}"));
    assert_eq!(following.lines(2).len(), 2);
    succeeds("topics partitions orders 3");
    produce(2, "new\n");
    assert_eq!(following.lines(3)[2], "2:new");
    produce(1, "old\n");
    assert_eq!(following.lines(4)[3], "1:old");
    assert_eq!(following.end().0, 0);
    assert_eq!(begun.lines(2), ["missed", "old"], "who named partitions reads those");
    assert_eq!(begun.end().0, 0);

    // Of several that fail each is told, and what is named twice is asked for once.
    let told = says("topics delete nothing orders nowhere orders --yes");
    assert!(told.starts_with("exit code 1\n") && told.contains("Deleted topic orders."), "{told}");
    assert!(told.contains("`nothing`") && told.contains("`nowhere`"), "{told}");
    let told = says("groups delete-offsets early --topic orders:0 --topic orders:1 --yes --output json");
    assert!(told.starts_with("exit code 1\n") && told.contains("{\"code\":1,\"error\":"), "{told}");
}
