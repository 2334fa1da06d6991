//! The consumer, end to end, on the mock cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "support/produce.rs"]
mod produce;
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kafka_boot_client::{
    ClientConfig, Consumer, ConsumerEvent, ErrorCode, ErrorKind, MockCluster, PartitionOffset, Producer,
    ProducerLimits, ProducerRecord, Protocol, Timestamp, TopicPartition,
};
use produce::producer_config;
use support::{Driver, PATIENCE, block_on, config};

fn produce(cluster: &MockCluster, topic: &str, partition: i32, values: std::ops::Range<u32>) {
    let producer = Producer::new(&producer_config(cluster), ProducerLimits::default()).unwrap();
    block_on(async {
        for value in values {
            let text = value.to_string();
            let mut record = ProducerRecord::new(topic)
                .partition(partition)
                .key(text.clone())
                .payload(text)
                .timestamp(1_700_000_000_000 + i64::from(value))
                .header("trace", "first");
            record.headers.push(("empty".to_owned(), None));
            let delivery = producer.enqueue(record.header("trace", "last")).await.unwrap();
            drop(delivery);
        }
        producer.flush(PATIENCE).await.unwrap();
    });
}

fn started(topic: &str, partitions: i32) -> MockCluster {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

fn values(driver: &Driver) -> Vec<u32> {
    driver
        .records
        .iter()
        .map(|record| std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_record_arrives_with_everything_it_was_sent_with() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 7..8);
    let mut driver = Driver::subscribe(&config(&cluster, "all-fields"), "orders");
    driver.poll_until("no record", |driver| !driver.records.is_empty());

    let record = &driver.records[0];
    assert_eq!((record.topic(), record.partition(), record.offset()), ("orders", 0, 0));
    assert_eq!((record.key(), record.payload()), (Some(&b"7"[..]), Some(&b"7"[..])));
    assert_eq!(record.timestamp(), Timestamp::CreateTime(1_700_000_000_007));
    let headers: Vec<_> = record.headers().collect();
    let expected: [(&str, Option<&[u8]>); 3] =
        [("trace", Some(b"first")), ("empty", None), ("trace", Some(b"last"))];
    assert_eq!(headers, expected);
    assert_eq!(record.header("trace"), Some(Some(&b"last"[..])));
    assert_eq!(record.header("empty"), Some(None));
    assert_eq!(record.header("absent"), None);
}

#[test]
fn a_new_consumer_continues_where_the_last_commit_stands() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..100);
    let config = config(&cluster, "continues");
    let partition = TopicPartition::new("orders", 0);

    let mut first = Driver::subscribe(&config, "orders");
    first.poll_until("not all records", |driver| driver.records.len() == 100);
    assert_eq!(values(&first), (0..100).collect::<Vec<_>>());
    let upto = PartitionOffset {
        metadata: Some("forty-two".to_owned()),
        leader_epoch: first.records[41].leader_epoch(),
        ..PartitionOffset::new(partition.clone(), 42)
    };
    let mut events = Vec::new();
    let results = first.consumer.commit_blocking(std::slice::from_ref(&upto), PATIENCE, &mut events).unwrap();
    assert_eq!((results.len(), results[0].0.offset), (1, 42));
    assert!(results[0].1.is_ok());
    let committed = first.consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap();
    assert_eq!((committed[0].offset, committed[0].metadata.as_deref()), (42, Some("forty-two")));
    first.consumer.close(PATIENCE, |_, _| {}).unwrap();

    let mut second = Driver::subscribe(&config, "orders");
    second.poll_until("not the rest", |driver| driver.records.len() == 58);
    assert_eq!(values(&second), (42..100).collect::<Vec<_>>());
    assert_eq!(second.consumer.position(std::slice::from_ref(&partition)).unwrap()[0].offset, 100);
    assert_eq!(second.consumer.watermarks(&partition, PATIENCE).unwrap(), (0, 100));
    assert_eq!(second.consumer.cached_watermarks(&partition), Some((0, 100)));
}

#[test]
fn an_async_commit_is_answered_by_an_event_that_wakes_the_poll() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..1);
    let mut driver = Driver::subscribe(&config(&cluster, "async"), "orders");
    driver.poll_until("no record", |driver| driver.records.len() == 1);

    let offset = PartitionOffset::new(TopicPartition::new("orders", 0), 1);
    let expected = driver.consumer.commit(&[offset]).unwrap();
    let (mut records, mut events, started) = (Vec::new(), Vec::new(), Instant::now());
    while events.is_empty() {
        driver.consumer.poll(10, PATIENCE, &mut records, &mut events).unwrap();
    }
    assert!(started.elapsed() < PATIENCE / 2, "the poll slept over the answer");
    let ConsumerEvent::Committed { id, result } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*id, expected);
    assert_eq!(result.as_ref().unwrap()[0].0.offset, 1);
}

#[test]
fn a_refused_commit_says_why() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..1);
    let mut driver = Driver::subscribe(&config(&cluster, "refused"), "orders");
    driver.poll_until("no record", |driver| driver.records.len() == 1);

    cluster.push_request_errors(8, &[ErrorCode::OFFSET_METADATA_TOO_LARGE]).unwrap();
    let offset = PartitionOffset::new(TopicPartition::new("orders", 0), 1);
    let outcome = driver.consumer.commit_blocking(&[offset], PATIENCE, &mut Vec::new());
    let error = match outcome {
        Err(error) => error,
        Ok(results) => results.into_iter().find_map(|(_, result)| result.err()).expect("a failure"),
    };
    assert_eq!(error.code(), Some(ErrorCode::OFFSET_METADATA_TOO_LARGE));
}

#[test]
fn a_blocking_commit_gives_up_at_its_deadline() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..1);
    let mut driver = Driver::subscribe(&config(&cluster, "commit-deadline"), "orders");
    driver.poll_until("no record", |driver| driver.records.len() == 1);

    cluster.broker_down(1).unwrap();
    let offset = PartitionOffset::new(TopicPartition::new("orders", 0), 1);
    let started = Instant::now();
    let error =
        driver.consumer.commit_blocking(&[offset], Duration::from_millis(300), &mut Vec::new()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Transport), "{error:?}");
}

#[test]
fn records_outlive_their_consumer_and_may_be_dropped_by_any_thread() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..3_000);
    let mut driver = Driver::subscribe(&config(&cluster, "outlive"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == 3_000);
    let Driver { consumer, mut records, .. } = driver;
    consumer.close(PATIENCE, |_, _| {}).unwrap();

    thread::scope(|scope| {
        for third in 0..3 {
            let share = records.split_off(records.len() - 1_000);
            scope.spawn(move || {
                for (index, record) in share.into_iter().enumerate() {
                    let expected = (2 - third) * 1_000 + index;
                    assert_eq!(record.payload(), Some(expected.to_string().as_bytes()));
                    assert_eq!(record.headers().len(), 3);
                }
            });
        }
    });
}

#[test]
fn one_record_may_be_read_by_many_threads_at_once() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..200);
    let mut driver = Driver::subscribe(&config(&cluster, "shared"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == 200);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for record in &driver.records {
                    assert_eq!(record.header("trace"), Some(Some(&b"last"[..])));
                }
            });
        }
    });
}

#[test]
fn a_waker_ends_a_poll_in_progress_and_outlives_the_consumer() {
    let cluster = started("orders", 1);
    let mut consumer = Consumer::new(&config(&cluster, "waker")).unwrap();
    let waker = consumer.waker();
    let (polling, polled) = mpsc::channel();
    let thread = thread::spawn(move || {
        let started = Instant::now();
        polling.send(()).unwrap();
        consumer.poll(10, PATIENCE, &mut Vec::new(), &mut Vec::new()).unwrap();
        started.elapsed()
    });
    polled.recv().unwrap();
    waker.wake();
    assert!(thread.join().unwrap() < PATIENCE / 2);
    waker.wake();
}

#[test]
fn closing_hands_out_the_last_revocation_and_answers_it_if_nobody_does() {
    let cluster = started("orders", 2);
    let config = config(&cluster, "closing");
    for answer in [false, true] {
        let mut driver = Driver::subscribe(&config, "orders");
        driver.poll_until("no assignment", |driver| driver.assigned.len() == 2);
        let mut revoked = 0;
        let closed = driver.consumer.close(PATIENCE, |consumer, event| {
            if let ConsumerEvent::Revoke { partitions, lost } = event {
                assert!(!lost);
                revoked += partitions.len();
                let offset = PartitionOffset::new(partitions[0].clone(), 0);
                consumer.commit_blocking(&[offset], PATIENCE, &mut Vec::new()).unwrap();
                if answer {
                    consumer.unassign_all().unwrap();
                }
            }
        });
        closed.unwrap();
        assert_eq!(revoked, 2, "answered by the owner: {answer}");
    }
}

#[test]
fn closing_keeps_its_deadline_when_the_broker_is_gone() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..10);
    let mut driver = Driver::subscribe(&config(&cluster, "gone"), "orders");
    driver.poll_until("no record", |driver| driver.records.len() == 10);
    cluster.broker_down(1).unwrap();

    let started = Instant::now();
    // Whether librdkafka gets it done without the broker is its business; that it takes no longer is ours.
    let _ = driver.consumer.close(Duration::from_millis(500), |_, _| {});
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn dropping_a_consumer_does_not_block() {
    let cluster = started("orders", 1);
    let mut driver = Driver::subscribe(&config(&cluster, "dropped"), "orders");
    driver.poll_until("no assignment", |driver| !driver.assigned.is_empty());
    let started = Instant::now();
    drop(driver);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    // The group is left in the background, so that a successor need not wait for the session to time out.
    let mut successor = Driver::subscribe(&config(&cluster, "dropped"), "orders");
    successor.poll_until("no assignment", |driver| !driver.assigned.is_empty());
}

#[test]
fn two_consumers_share_the_partitions_with_either_protocol() {
    for (strategy, protocol) in [("range", Protocol::Eager), ("cooperative-sticky", Protocol::Cooperative)] {
        let cluster = started("orders", 4);
        let mut config = config(&cluster, strategy);
        config.set("partition.assignment.strategy", strategy);
        let mut one = Driver::subscribe(&config, "orders");
        one.poll_until("no assignment", |driver| driver.assigned.len() == 4);
        assert_eq!(one.consumer.rebalance_protocol(), protocol);

        let mut two = Driver::subscribe(&config, "orders");
        let started = Instant::now();
        while (one.assigned.len(), two.assigned.len()) != (2, 2) {
            assert!(started.elapsed() < PATIENCE, "{strategy}: {:?} / {:?}", one.assigned, two.assigned);
            one.poll();
            two.poll();
        }
        let member = two.consumer.group_metadata().unwrap();
        assert_eq!(member.group_id, strategy);
        assert!(member.generation_id > 0 && !member.member_id.is_empty());
        assert_ne!(one.consumer.member_id(), two.consumer.member_id());

        two.consumer.close(PATIENCE, |_, _| {}).unwrap();
        one.poll_until("the partitions did not come back", |driver| driver.assigned.len() == 4);
    }
}

#[test]
fn pausing_holds_records_back_and_resuming_loses_none() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..500);
    let mut driver = Driver::subscribe(&config(&cluster, "pause"), "orders");
    let (mut records, mut events) = (Vec::new(), Vec::new());
    driver.poll_until("no assignment", |driver| !driver.assigned.is_empty());
    let partitions = driver.assigned.clone();
    while records.is_empty() {
        driver.consumer.poll(10, PATIENCE, &mut records, &mut events).unwrap();
    }
    driver.records.append(&mut records);
    driver.consumer.pause(&partitions).unwrap();
    driver.consumer.poll(10, Duration::from_millis(200), &mut records, &mut events).unwrap();
    assert!(records.is_empty(), "a paused partition handed out {records:?}");
    driver.consumer.resume(&partitions).unwrap();
    driver.poll_until("not all records", |driver| driver.records.len() >= 500);
    assert_eq!(values(&driver), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_failed_fetch_before_a_pause_loses_no_record() {
    for code in [ErrorCode::CORRUPT_MESSAGE, ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorCode::UNKNOWN] {
        let cluster = started("orders", 1);
        produce(&cluster, "orders", 0, 0..10);
        let mut driver = Driver::subscribe(&config(&cluster, "failed-fetch"), "orders");
        driver.poll_until("not all records", |driver| driver.records.len() == 10);
        // The first may be hidden by the end of the partition, which librdkafka notices at the same time.
        cluster.push_request_errors(1, &[code; 3]).unwrap();
        driver.poll_until(&format!("no error {code}"), |driver| {
            driver
                .seen
                .iter()
                .any(|event| matches!(event, ConsumerEvent::Error(error) if error.code() == Some(code)))
        });
        let partitions = driver.assigned.clone();
        driver.consumer.pause(&partitions).unwrap();
        produce(&cluster, "orders", 0, 10..20);
        driver.consumer.resume(&partitions).unwrap();
        driver.poll_until("not the rest", |driver| values(driver).last() == Some(&19));
        assert_eq!(values(&driver), (0..20).collect::<Vec<_>>(), "{code}");
    }
}

#[test]
fn seeking_reads_again() {
    let cluster = started("orders", 1);
    produce(&cluster, "orders", 0, 0..10);
    let mut driver = Driver::subscribe(&config(&cluster, "seek"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == 10);
    let back = PartitionOffset::new(TopicPartition::new("orders", 0), 4);
    driver.consumer.seek(&[back], PATIENCE).unwrap();
    driver.poll_until("not again", |driver| driver.records.len() == 16);
    assert_eq!(values(&driver)[10..], [4, 5, 6, 7, 8, 9]);
}

#[test]
fn storing_an_offset_is_refused_once_its_partition_is_gone() {
    let cluster = started("orders", 1);
    let mut driver = Driver::subscribe(&config(&cluster, "store"), "orders");
    driver.poll_until("no assignment", |driver| !driver.assigned.is_empty());
    let offset = PartitionOffset::new(TopicPartition::new("orders", 0), 1);
    assert!(driver.consumer.store_offsets(std::slice::from_ref(&offset)).unwrap()[0].1.is_ok());
    driver.consumer.unassign_all().unwrap();
    let results = driver.consumer.store_offsets(&[offset]).unwrap();
    assert_eq!(results[0].1.as_ref().unwrap_err().kind(), &ErrorKind::Invalid);
}

#[test]
fn statistics_come_as_events() {
    let cluster = started("orders", 1);
    let mut config = config(&cluster, "statistics");
    config.set("statistics.interval.ms", "100");
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("no statistics", |driver| {
        driver
            .seen
            .iter()
            .any(|event| matches!(event, ConsumerEvent::Statistics(json) if json.starts_with('{')))
    });
}

#[test]
fn an_unreachable_cluster_is_an_event_not_an_end() {
    let cluster = MockCluster::start(1).unwrap();
    let config = config(&cluster, "unreachable");
    drop(cluster);
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("no error", |driver| {
        driver.seen.iter().any(|event| {
            matches!(event, ConsumerEvent::Error(error)
                if matches!(error.kind(), ErrorKind::AllBrokersDown | ErrorKind::Transport) && error.is_retriable())
        })
    });
    assert!(driver.consumer.fatal_error().is_none());
}

#[test]
fn metadata_lists_partitions_and_their_leaders() {
    let cluster = started("orders", 3);
    let driver = Driver::subscribe(&config(&cluster, "metadata"), "orders");
    let metadata = driver.consumer.metadata(Some("orders"), PATIENCE).unwrap();
    assert_eq!(metadata.brokers.len(), 1);
    let topic = &metadata.topics[0];
    assert_eq!((topic.name.as_str(), topic.partitions.len()), ("orders", 3));
    assert!(topic.partitions.iter().all(|partition| partition.leader == Some(1)));
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[], "group.id"),
        (&[("group.id", "")], "group.id"),
        (&[("group.id", "g"), ("enable.partition.eof", "true")], "enable.partition.eof"),
        (&[("group.id", "g"), ("max.poll.records", "500")], "max.poll.records"),
    ];
    for (settings, key) in table {
        let config: ClientConfig = settings.iter().copied().collect();
        let error = Consumer::new(&config).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Configuration { key: key.to_owned() }, "{error}");
    }
    let contradiction = ClientConfig::from_iter([
        ("group.id", "g"),
        ("max.poll.interval.ms", "10"),
        ("session.timeout.ms", "100"),
    ]);
    let error = Consumer::new(&contradiction).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Configuration { key } if !key.is_empty()), "{error:?}");
}
