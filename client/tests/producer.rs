//! The producer, end to end, on the mock cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "support/produce.rs"]
mod produce;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use kafka_boot_client::{
    ClientEvent, ErrorCode, ErrorKind, MockCluster, Producer, ProducerLimits, ProducerRecord,
};
use produce::producer_config;
use support::{Driver, PATIENCE, block_on, config};

fn started(partitions: i32) -> MockCluster {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic("orders", partitions, 1).unwrap();
    cluster
}

fn producer(cluster: &MockCluster) -> Producer {
    Producer::new(&producer_config(cluster), ProducerLimits::default()).unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::yield_now();
    }
}

#[test]
fn every_delivery_says_where_its_record_went() {
    let cluster = started(2);
    let producer = producer(&cluster);
    block_on(async {
        let mut deliveries = Vec::new();
        for value in 0..1_000 {
            let record = ProducerRecord::new("orders").partition(1).payload(value.to_string());
            deliveries.push(producer.enqueue(record).await.unwrap());
        }
        for (offset, delivery) in (0_i64..).zip(deliveries) {
            let delivered = delivery.await.unwrap();
            assert_eq!((delivered.partition, delivered.offset), (1, offset));
            assert!(delivered.timestamp.millis().is_some());
        }
    });
    assert_eq!(producer.in_flight(), 0);
}

#[test]
fn null_and_empty_values_keys_and_headers_stay_what_they_are() {
    let cluster = started(1);
    let producer = producer(&cluster);
    let mut with_nothing = ProducerRecord::new("orders");
    with_nothing.headers.push(("none".to_owned(), None));
    let with_empty = ProducerRecord::new("orders").key("").payload("").header("empty", "");
    block_on(async {
        for record in [with_nothing, with_empty] {
            producer.enqueue(record).await.unwrap().await.unwrap();
        }
    });
    let mut driver = Driver::subscribe(&config(&cluster, "nulls"), "orders");
    driver.poll_until("no records", |driver| driver.records.len() == 2);
    let [nothing, empty] = driver.records.as_slice() else { unreachable!() };
    assert_eq!((nothing.key(), nothing.payload(), nothing.header("none")), (None, None, Some(None)));
    let bytes: Option<&[u8]> = Some(b"");
    assert_eq!((empty.key(), empty.payload(), empty.header("empty")), (bytes, bytes, Some(bytes)));
}

#[test]
fn a_full_producer_refuses_or_makes_wait_but_never_loses() {
    let cluster = started(1);
    cluster.broker_round_trip(1, Duration::from_millis(50)).unwrap();
    let limits = ProducerLimits { max_in_flight_records: 8, max_in_flight_bytes: 1_024 };
    let producer = Producer::new(&producer_config(&cluster), limits).unwrap();
    block_on(async {
        let mut deliveries = Vec::new();
        let refused = loop {
            match producer.try_enqueue(ProducerRecord::new("orders").payload("x")) {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => break error,
            }
        };
        assert_eq!((deliveries.len(), refused.kind()), (8, &ErrorKind::QueueFull));
        let mut record = refused.into_record();
        for _ in 0..100 {
            deliveries.push(producer.enqueue(record.clone()).await.unwrap());
            assert!(producer.in_flight() <= 8);
            record = record.header("n", "1");
            record.headers.truncate(3);
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    });
}

#[test]
fn bytes_are_limited_as_well_as_records() {
    let cluster = started(1);
    cluster.broker_round_trip(1, Duration::from_millis(20)).unwrap();
    let limits = ProducerLimits { max_in_flight_records: 1_000, max_in_flight_bytes: 1_000 };
    let producer = Producer::new(&producer_config(&cluster), limits).unwrap();
    let record = ProducerRecord::new("orders").payload(vec![7_u8; 400]);
    block_on(async {
        let first = producer.try_enqueue(record.clone()).unwrap();
        let second = producer.try_enqueue(record.clone()).unwrap();
        assert_eq!(producer.try_enqueue(record.clone()).unwrap_err().kind(), &ErrorKind::QueueFull);
        let third = producer.enqueue(record.clone()).await.unwrap();
        for delivery in [first, second, third] {
            delivery.await.unwrap();
        }
        let too_large = ProducerRecord::new("orders").payload(vec![7_u8; 1_001]);
        let refused = producer.enqueue(too_large.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), &ErrorKind::MessageTooLarge);
        assert_eq!(refused.into_record(), too_large);
    });
}

#[test]
fn a_producer_under_many_tasks_keeps_to_its_limits_and_delivers_everything() {
    let cluster = started(4);
    let limits = ProducerLimits { max_in_flight_records: 50, max_in_flight_bytes: 10_000 };
    let producer = Producer::new(&producer_config(&cluster), limits).unwrap();
    let delivered = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                block_on(async {
                    for value in 0..2_000_u32 {
                        let record =
                            ProducerRecord::new("orders").key(value.to_be_bytes().to_vec()).payload("x");
                        producer.enqueue(record).await.unwrap().await.unwrap();
                        assert!(producer.in_flight() <= 50);
                        delivered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
    });
    assert_eq!(delivered.load(Ordering::Relaxed), 8_000);
}

#[test]
fn a_failed_delivery_gives_the_record_back() {
    let cluster = started(1);
    let mut config = producer_config(&cluster);
    config.set("enable.idempotence", "false").set("retries", "0");
    let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
    let record = ProducerRecord::new("orders").key("k").payload("v").header("h", "1");
    block_on(async {
        cluster.push_request_errors(0, &[ErrorCode::MESSAGE_TOO_LARGE]).unwrap();
        let failed = producer.enqueue(record.clone()).await.unwrap().await.unwrap_err();
        assert_eq!(failed.kind(), &ErrorKind::MessageTooLarge, "{failed:?}");
        assert!(!failed.is_possibly_written());
        producer.enqueue(failed.into_record()).await.unwrap().await.unwrap();
    });
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_record() {
    let cluster = started(1);
    let producer = producer(&cluster);
    block_on(async {
        producer.enqueue(ProducerRecord::new("orders").payload("warm")).await.unwrap().await.unwrap();
        let table = [
            (ProducerRecord::new("a\0b"), ErrorKind::Invalid),
            (ProducerRecord::new("orders").payload(vec![0; 2_000_000]), ErrorKind::MessageTooLarge),
            (ProducerRecord::new("orders").partition(7), ErrorKind::UnknownTopic),
        ];
        for (record, kind) in table {
            let refused = match producer.enqueue(record.clone()).await {
                Err(refused) => refused,
                Ok(delivery) => delivery.await.unwrap_err(),
            };
            assert_eq!(refused.kind(), &kind, "{refused:?}");
            assert_eq!(refused.into_record(), record);
        }
    });
    assert_eq!(producer.in_flight(), 0);
}

#[test]
fn a_record_for_a_dead_broker_times_out_and_flush_says_what_remains() {
    let cluster = started(1);
    let mut config = producer_config(&cluster);
    config.set("message.timeout.ms", "1500");
    let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
    block_on(async {
        producer.enqueue(ProducerRecord::new("orders").payload("warm")).await.unwrap().await.unwrap();
        cluster.broker_down(1).unwrap();
        let delivery = producer.enqueue(ProducerRecord::new("orders").payload("late")).await.unwrap();
        let unflushed = producer.flush(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(unflushed.remaining, 1);
        let failed = delivery.await.unwrap_err();
        assert_eq!(failed.kind(), &ErrorKind::Timeout, "{failed:?}");
        producer.flush(PATIENCE).await.unwrap();
    });
}

#[test]
fn dropping_the_delivery_and_the_producer_still_sends() {
    let cluster = started(1);
    cluster.broker_round_trip(1, Duration::from_millis(100)).unwrap();
    let producer = producer(&cluster);
    let (answer, answered) = mpsc::channel();
    block_on(async {
        for value in 0..10 {
            let record = ProducerRecord::new("orders").payload(value.to_string());
            drop(producer.enqueue(record).await.unwrap());
        }
        let last = ProducerRecord::new("orders").payload("10");
        producer.enqueue_with(last, move |outcome| answer.send(outcome).unwrap()).await.unwrap();
    });
    let started = Instant::now();
    drop(producer);
    assert!(started.elapsed() < Duration::from_millis(50), "dropping blocked");
    assert_eq!(answered.recv_timeout(PATIENCE).unwrap().unwrap().offset, 10);
    let mut driver = Driver::subscribe(&config(&cluster, "dropped"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == 11);
}

#[test]
fn a_panicking_callback_does_not_end_the_producer() {
    let cluster = started(1);
    let producer = producer(&cluster);
    block_on(async {
        producer
            .enqueue_with(ProducerRecord::new("orders").payload("x"), |_| panic!("a callback's own fault"))
            .await
            .unwrap();
        let delivered = producer.enqueue(ProducerRecord::new("orders").payload("y")).await.unwrap().await;
        assert_eq!(delivered.unwrap().offset, 1);
    });
}

#[test]
fn a_flush_does_not_linger() {
    let cluster = started(1);
    let mut config = producer_config(&cluster);
    config.set("linger.ms", "60000");
    let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
    block_on(async {
        let delivery = producer.enqueue(ProducerRecord::new("orders").payload("x")).await.unwrap();
        producer.flush(PATIENCE).await.unwrap();
        delivery.await.unwrap();
    });
}

#[test]
fn metadata_and_partition_counts_come_without_blocking_the_caller() {
    let cluster = started(3);
    let producer = producer(&cluster);
    block_on(async {
        assert_eq!(producer.partitions_of("orders", PATIENCE).await.unwrap(), 3);
        let metadata = producer.metadata(None, PATIENCE).await.unwrap();
        assert!(metadata.topics.iter().any(|topic| topic.name == "orders"));
    });
}

#[test]
fn errors_and_statistics_reach_the_listener() {
    let cluster = started(1);
    let mut config = producer_config(&cluster);
    config.set("statistics.interval.ms", "100");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let producer = Producer::with_events(&config, ProducerLimits::default(), move |event| {
        sink.lock().unwrap().push(event);
    })
    .unwrap();
    wait_until("no statistics", || {
        seen.lock().unwrap().iter().any(|event| matches!(event, ClientEvent::Statistics(_)))
    });
    drop(cluster);
    wait_until("no error", || {
        seen.lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, ClientEvent::Error(error) if error.is_retriable()))
    });
    assert!(producer.fatal_error().is_none());
}

#[test]
fn librdkafkas_own_limits_can_only_lower_ours() {
    let cluster = started(1);
    cluster.broker_down(1).unwrap();
    let mut config = producer_config(&cluster);
    config.set("queue.buffering.max.messages", "3").set("message.timeout.ms", "1000");
    let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
    for _ in 0..3 {
        drop(producer.try_enqueue(ProducerRecord::new("orders").payload("x")).unwrap());
    }
    let refused = producer.try_enqueue(ProducerRecord::new("orders").payload("x")).unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::QueueFull);
    assert!(refused.to_string().contains("3 records"), "{refused}");
    // The three time out by themselves, so that the producer's thread ends before the test program does.
    wait_until("records did not time out", || producer.in_flight() == 0);
}
