//! Producers and consumers of librdkafka on the embedded broker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use kafka_boot_client::{
    ConfigChange, ConfigOperation, ConfigResource, ConsumerEvent, ErrorCode, ErrorKind, OffsetSpec,
    PartitionOffset, ProducerRecord, RawRecord, Timestamp, TopicPartition,
};
use kafka_boot_embedded::EmbeddedBroker;
use support::{Driver, PATIENCE, Running, first_ms};

fn started(topic: &str, partitions: i32) -> Running {
    Running::start(EmbeddedBroker::builder().topic(topic, partitions))
}

fn values(driver: &Driver) -> Vec<u32> {
    let number =
        |record: &RawRecord| std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap();
    driver.records.iter().map(number).collect()
}

#[test]
fn a_record_arrives_with_everything_it_was_sent_with() {
    let broker = started("orders", 1);
    let producer = broker.producer(&[]);
    let mut record = ProducerRecord::new("orders")
        .key("7")
        .payload("seven")
        .timestamp(first_ms() + 7)
        .header("trace", "first");
    record.headers.push(("empty".to_owned(), None));
    let delivered = broker.block_on(async { producer.enqueue(record).await.unwrap().await.unwrap() });
    assert_eq!((delivered.partition, delivered.offset), (0, 0));

    let mut driver = Driver::subscribe(&broker.consumer_config("fields"), "orders");
    driver.poll_until("no record", |driver| !driver.records.is_empty());
    let record = &driver.records[0];
    assert_eq!((record.topic(), record.partition(), record.offset()), ("orders", 0, 0));
    assert_eq!((record.key(), record.payload()), (Some(&b"7"[..]), Some(&b"seven"[..])));
    assert_eq!(record.timestamp(), Timestamp::CreateTime(first_ms() + 7));
    assert_eq!((record.header("trace"), record.header("empty")), (Some(Some(&b"first"[..])), Some(None)));
}

#[test]
fn every_codec_and_every_kind_of_acknowledgement_gets_through() {
    let broker = started("orders", 1);
    let settings = [
        ("compression.codec", "gzip"),
        ("compression.codec", "snappy"),
        ("compression.codec", "lz4"),
        ("compression.codec", "zstd"),
        ("acks", "0"),
        ("acks", "1"),
        ("acks", "all"),
        ("enable.idempotence", "true"),
    ];
    for (number, setting) in (0_u32..).zip(settings) {
        let producer = broker.producer(&[setting]);
        let payload = number.to_string();
        broker.block_on(async {
            // Alike enough to be worth compressing.
            producer
                .enqueue(ProducerRecord::new("orders").payload(payload).header("x", "y".repeat(2_000)))
                .await
                .unwrap()
                .await
                .unwrap();
        });
    }
    let mut driver = Driver::subscribe(&broker.consumer_config("codecs"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == settings.len());
    assert_eq!(values(&driver), (0..8).collect::<Vec<_>>());
}

#[test]
fn a_record_in_a_compressed_batch_is_found_by_time_and_refused_without_a_key() {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let broker = started("orders", 1);
        let producer = broker.producer(&[("compression.codec", codec), ("linger.ms", "50")]);
        let record =
            |value: i64| ProducerRecord::new("orders").payload("x".repeat(500)).timestamp(first_ms() + value);
        let admin = kafka_boot_client::Admin::new(&broker.client()).unwrap();
        let partition = TopicPartition::new("orders", 0);
        broker.block_on(async {
            for value in 0..20 {
                drop(producer.enqueue(record(value)).await.unwrap());
            }
            producer.flush(PATIENCE).await.unwrap();
            let wanted = [(partition, OffsetSpec::AtOrAfter(first_ms() + 13))];
            let listed = admin.list_offsets(&wanted, PATIENCE).await.unwrap();
            assert_eq!(listed[0].1.as_ref().unwrap().offset, Some(13), "{codec}");

            let operation = ConfigOperation::Set("compact".to_owned());
            let change = ConfigChange { name: "cleanup.policy".to_owned(), operation };
            let changes = [(ConfigResource::Topic("orders".to_owned()), vec![change])];
            admin.incremental_alter_configs(&changes, PATIENCE).await.unwrap()[0].1.as_ref().unwrap();
            let error = producer.enqueue(record(0)).await.unwrap().await.unwrap_err();
            assert_eq!(error.error().code(), Some(ErrorCode::from_number(87)), "{codec}: {error:?}");
            producer.enqueue(record(0).key("k")).await.unwrap().await.unwrap();
        });
    }
}

#[test]
fn an_unknown_topic_is_created_for_a_producer_unless_that_is_switched_off() {
    let broker = Running::start(EmbeddedBroker::builder().partitions(3));
    broker.produce("new", 2, 0..1);

    let strict = Running::start(EmbeddedBroker::builder().auto_create_topics(false));
    let producer = strict.producer(&[("topic.metadata.propagation.max.ms", "100")]);
    let error = strict.block_on(async {
        match producer.enqueue(ProducerRecord::new("new").payload("x")).await {
            Ok(delivery) => delivery.await.unwrap_err(),
            Err(error) => panic!("refused before it was sent: {error}"),
        }
    });
    assert_eq!(error.error().code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{error:?}");
}

#[test]
fn a_consumer_continues_where_the_last_commit_stands() {
    let broker = started("orders", 1);
    broker.produce("orders", 0, 0..100);
    let config = broker.consumer_config("continues");
    let partition = TopicPartition::new("orders", 0);

    let mut first = Driver::subscribe(&config, "orders");
    first.poll_until("not all records", |driver| driver.records.len() == 100);
    let upto = PartitionOffset {
        metadata: Some("forty-two".to_owned()),
        leader_epoch: first.records[41].leader_epoch(),
        ..PartitionOffset::new(partition.clone(), 42)
    };
    let results =
        first.consumer.commit_blocking(std::slice::from_ref(&upto), PATIENCE, &mut Vec::new()).unwrap();
    assert!(results[0].1.is_ok(), "{results:?}");
    let committed = first.consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap();
    assert_eq!((committed[0].offset, committed[0].metadata.as_deref()), (42, Some("forty-two")));
    assert_eq!(committed[0].leader_epoch, upto.leader_epoch);
    first.consumer.close(PATIENCE, |_, _| {}).unwrap();

    let mut second = Driver::subscribe(&config, "orders");
    second.poll_until("not the rest", |driver| driver.records.len() == 58);
    assert_eq!(values(&second), (42..100).collect::<Vec<_>>());
    assert_eq!(second.consumer.watermarks(&partition, PATIENCE).unwrap(), (0, 100));
}

#[test]
fn members_share_the_partitions_and_take_over_from_one_another() {
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        let broker = started("orders", 4);
        let mut config = broker.consumer_config("shared");
        config.set("partition.assignment.strategy", assignor);
        let mut first = Driver::subscribe(&config, "orders");
        first.poll_until("no assignment", |driver| driver.assigned.len() == 4);

        let mut second = Driver::subscribe(&config, "orders");
        second.poll_until("the second has no part", |second| {
            first.poll();
            (first.assigned.len(), second.assigned.len()) == (2, 2)
        });
        let all: BTreeSet<_> =
            first.assigned.iter().chain(&second.assigned).map(|one| one.partition).collect();
        assert_eq!(all.len(), 4, "{assignor}");

        second.consumer.close(PATIENCE, |_, _| {}).unwrap();
        first.poll_until("the first did not take over", |driver| driver.assigned.len() == 4);
    }
}

#[test]
fn a_static_member_returns_to_its_place_and_loses_it_when_its_session_ends() {
    let broker = started("orders", 2);
    broker.produce("orders", 0, 0..1);
    let mut config = broker.consumer_config("static");
    config.set("group.instance.id", "one");
    let mut first = Driver::subscribe(&config, "orders");
    first.poll_until("no assignment", |driver| driver.assigned.len() == 2);
    let generation = first.consumer.group_metadata().map(|group| group.generation_id);
    // A static member does not leave when it is closed.
    first.consumer.close(PATIENCE, |_, _| {}).unwrap();
    let mut again = Driver::subscribe(&config, "orders");
    again.poll_until("no assignment", |driver| driver.assigned.len() == 2);
    assert_eq!(again.consumer.group_metadata().map(|group| group.generation_id), generation);
    again.consumer.close(PATIENCE, |_, _| {}).unwrap();

    let mut other = Driver::subscribe(&broker.consumer_config("static"), "orders");
    other.poll_until("nobody took over", |driver| driver.assigned.len() == 2);
}

#[test]
fn a_waiting_fetch_is_woken_by_a_record() {
    let broker = started("orders", 1);
    let mut config = broker.consumer_config("waits");
    config.set("fetch.wait.max.ms", "20000");
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("no assignment", |driver| driver.assigned.len() == 1);
    let started = Instant::now();
    for value in 0..3 {
        broker.produce("orders", 0, value..value + 1);
        driver.poll_until("no record", |driver| driver.records.len() > value as usize);
    }
    assert!(started.elapsed() < PATIENCE / 2, "the fetch slept over the records: {:?}", started.elapsed());
}

#[test]
fn a_full_broker_refuses_with_an_error_that_is_final() {
    let broker = Running::start(EmbeddedBroker::builder().topic("orders", 1).memory_limit_bytes(10_000));
    let producer = broker.producer(&[]);
    broker.block_on(async {
        loop {
            let record = ProducerRecord::new("orders").payload("x".repeat(1_000));
            if let Err(error) = producer.enqueue(record).await.unwrap().await {
                assert_eq!(error.error().code(), Some(ErrorCode::from_number(44)), "{error:?}");
                break;
            }
        }
    });
}

#[test]
fn an_offset_that_is_gone_is_reset() {
    let broker = started("orders", 1);
    broker.produce("orders", 0, 0..10);
    let admin = kafka_boot_client::Admin::new(&broker.client()).unwrap();
    let partition = TopicPartition::new("orders", 0);
    let until = PartitionOffset::new(partition.clone(), 6);
    broker.block_on(admin.delete_records(&[until], PATIENCE)).unwrap()[0].1.as_ref().unwrap();

    let mut driver = Driver::subscribe(&broker.consumer_config("resets"), "orders");
    driver.poll_until("not what is left", |driver| driver.records.len() == 4);
    assert_eq!(values(&driver), (6..10).collect::<Vec<_>>());

    let mut strict = broker.consumer_config("strict");
    strict.set("auto.offset.reset", "error");
    let mut driver = Driver::subscribe(&strict, "orders");
    driver.poll_until("no error", |driver| {
        driver.seen.iter().any(
            |event| matches!(event, ConsumerEvent::Error(error) if *error.kind() != ErrorKind::Transport),
        )
    });
}
