//! Transactional producers of librdkafka, and consumers that read what is committed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use kafka_boot_client::{Admin, OffsetSpec, TopicPartition};
use kafka_boot_embedded::EmbeddedBroker;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use support::{Driver, PATIENCE, Running};

fn started() -> Running {
    Running::start(EmbeddedBroker::builder().topic("orders", 1).topic("bills", 1))
}

/// A producer with its transactional id taken.
fn producer(broker: &Running, id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("transactional.id", id)
        .set("linger.ms", "0")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn send(producer: &BaseProducer, values: &[&str]) {
    for value in values {
        producer.send(BaseRecord::<(), str>::to("orders").partition(0).payload(value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// What a new consumer reads first, as many as are expected.
fn read(broker: &Running, isolation: &str, count: usize) -> Vec<String> {
    let mut config = broker.consumer_config(&format!("{isolation}-{count}"));
    config.set("isolation.level", isolation);
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("not all records", |driver| driver.records.len() >= count);
    let text = |payload: Option<&[u8]>| String::from_utf8(payload.unwrap().to_vec()).unwrap();
    driver.records.iter().map(|record| text(record.payload())).collect()
}

fn end_offset(broker: &Running, isolation: &str) -> i64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap_servers()).set("isolation.level", isolation);
    let consumer: BaseConsumer = config.set("group.id", "ends").create().unwrap();
    consumer.fetch_watermarks("orders", 0, PATIENCE).unwrap().1
}

#[test]
fn committed_records_are_seen_and_aborted_ones_are_not() {
    let broker = started();
    let producer = producer(&broker, "teller");
    for (values, commit) in [(["a", "b"], true), (["c", "d"], false), (["e", "f"], true)] {
        producer.begin_transaction().unwrap();
        send(&producer, &values);
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    assert_eq!(read(&broker, "read_committed", 4), ["a", "b", "e", "f"]);
    assert_eq!(read(&broker, "read_uncommitted", 6), ["a", "b", "c", "d", "e", "f"]);
    let admin = Admin::new(&broker.client()).unwrap();
    let end = [(TopicPartition::new("orders", 0), OffsetSpec::Latest)];
    let listed = broker.block_on(admin.list_offsets(&end, PATIENCE)).unwrap();
    assert_eq!(listed[0].1.as_ref().unwrap().offset, Some(9), "six records and three markers");
}

#[test]
fn an_open_transaction_holds_back_what_comes_after_it() {
    let broker = started();
    let slow = producer(&broker, "slow");
    slow.begin_transaction().unwrap();
    send(&slow, &["open"]);
    broker.produce("orders", 0, 7..8);
    assert_eq!(read(&broker, "read_uncommitted", 2), ["open", "7"]);
    assert_eq!((end_offset(&broker, "read_committed"), end_offset(&broker, "read_uncommitted")), (0, 2));
    slow.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&broker, "read_committed", 2), ["open", "7"]);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first() {
    let broker = started();
    let old = producer(&broker, "teller");
    old.begin_transaction().unwrap();
    send(&old, &["lost"]);
    let new = producer(&broker, "teller");
    new.begin_transaction().unwrap();
    send(&new, &["kept"]);
    new.commit_transaction(PATIENCE).unwrap();
    let error = old.commit_transaction(PATIENCE).unwrap_err();
    assert!(matches!(&error, KafkaError::Transaction(error) if error.is_fatal()), "{error:?}");
    let fenced = Some(RDKafkaErrorCode::Fenced);
    assert_eq!(error.rdkafka_error_code(), fenced, "{error:?}");
    assert_eq!(read(&broker, "read_committed", 1), ["kept"]);
}

#[test]
fn offsets_are_committed_with_the_transaction_or_not_at_all() {
    let broker = started();
    broker.produce("bills", 0, 0..10);
    let producer = producer(&broker, "teller");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("group.id", "billing")
        .create()
        .unwrap();
    let committed = || {
        let mut asked = TopicPartitionList::new();
        asked.add_partition("bills", 0);
        consumer.committed_offsets(asked, PATIENCE).unwrap().elements()[0].offset()
    };
    for (offset, commit, expected) in [(3, true, Offset::Offset(3)), (7, false, Offset::Offset(3))] {
        producer.begin_transaction().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("bills", 0, Offset::Offset(offset)).unwrap();
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
        assert_eq!(committed(), expected);
    }
}
