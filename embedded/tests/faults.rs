//! librdkafka on brokers that stop, move, fail and forget to answer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_boot_client::{
    Admin, ConsumerEvent, OffsetSpec, PartitionOffset, Producer, ProducerRecord, RawRecord, TopicPartition,
};
use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::{ApiKey, ReceivedRequest, RequestOutcome, ResponseError};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use support::{Driver, PATIENCE, Running};

fn three(partitions: i32) -> Running {
    Running::start(EmbeddedBroker::builder().brokers(3).topic("orders", partitions))
}

fn value(record: &RawRecord) -> u32 {
    std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap()
}

/// A producer that comes back soon after its connection was cut.
fn persistent(broker: &Running, idempotent: bool) -> Producer {
    broker.producer(&[
        ("enable.idempotence", if idempotent { "true" } else { "false" }),
        ("acks", "all"),
        ("max.in.flight.requests.per.connection", if idempotent { "5" } else { "1" }),
        ("reconnect.backoff.ms", "10"),
        ("reconnect.backoff.max.ms", "50"),
        ("retry.backoff.ms", "10"),
        ("topic.metadata.refresh.fast.interval.ms", "20"),
    ])
}

/// Produces from `from` on to all partitions in turn until told to stop, has every record confirmed, and says where the
/// values end.
async fn load(producer: &Producer, from: u32, partitions: i32, enough: &AtomicBool) -> u32 {
    let mut next = from;
    while !enough.load(Ordering::Relaxed) {
        let mut deliveries = Vec::new();
        for _ in 0..20 {
            let partition = i32::try_from(next).unwrap() % partitions;
            let record = ProducerRecord::new("orders").partition(partition).payload(next.to_string());
            deliveries.push(producer.enqueue(record).await.unwrap());
            next += 1;
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    }
    next
}

/// Everything that is stored, by partition, in the order of the log.
fn stored(broker: &Running, partitions: i32) -> BTreeMap<i32, Vec<u32>> {
    let admin = Admin::new(&broker.client()).unwrap();
    let all: Vec<_> =
        (0..partitions).map(|index| (TopicPartition::new("orders", index), OffsetSpec::Latest)).collect();
    let ends = broker.block_on(admin.list_offsets(&all, PATIENCE)).unwrap();
    // Without transactions, there are as many records as offsets.
    let count: i64 = ends.iter().map(|(_, end)| end.as_ref().unwrap().offset.unwrap()).sum();
    let mut reader = Driver::subscribe(&broker.consumer_config("reads-all"), "orders");
    reader.poll_until("not all records", |reader| i64::try_from(reader.records.len()) == Ok(count));
    let mut by_partition: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for record in &reader.records {
        by_partition.entry(record.partition()).or_default().push(value(record));
    }
    by_partition
}

#[track_caller]
fn assert_once_and_in_order(stored: &BTreeMap<i32, Vec<u32>>, values: u32) {
    for (partition, values) in stored {
        assert!(values.is_sorted(), "partition {partition} is out of order");
    }
    let all: Vec<u32> = stored.values().flatten().copied().collect();
    let distinct: BTreeSet<u32> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "stored twice");
    assert!(distinct.into_iter().eq(0..values), "lost");
}

#[test]
fn leaders_that_move_under_load_cost_an_idempotent_producer_nothing() {
    let broker = three(3);
    let control = broker.broker.control();
    let producer = persistent(&broker, true);
    let enough = AtomicBool::new(false);
    let sent = broker.block_on(async {
        let (sent, ()) = tokio::join!(load(&producer, 0, 3, &enough), async {
            for turn in 0..12 {
                let partition = turn % 3;
                let to = control.leader("orders", partition).unwrap().unwrap() % 3 + 1;
                control.move_leader("orders", partition, to).unwrap();
                control.forget_requests();
                // The producer has noticed, and gone on at the new leader.
                let moved = control.wait_for(|request| {
                    request.api == ApiKey::Produce
                        && request.broker == to
                        && request.is_about_partition("orders", partition)
                        && request.succeeded()
                });
                moved.await.unwrap();
            }
            enough.store(true, Ordering::Relaxed);
        });
        sent
    });
    assert_eq!(control.leader_epoch("orders", 0).unwrap(), 4);
    assert_once_and_in_order(&stored(&broker, 3), sent);
}

#[test]
fn brokers_that_stop_and_start_cost_neither_records_nor_the_group() {
    let broker = three(3);
    let control = broker.broker.control();
    let producer = persistent(&broker, true);
    let mut config = broker.consumer_config("survives");
    for (name, value) in [("reconnect.backoff.ms", "10"), ("reconnect.backoff.max.ms", "50")] {
        config.set(name, value);
    }
    config.set("session.timeout.ms", "30000");
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("no assignment", |driver| driver.assigned.len() == 3);

    let mut next = 0;
    for stopped in 1..=3 {
        broker.block_on(control.stop_broker(stopped)).unwrap();
        control.forget_requests();
        let enough = AtomicBool::new(false);
        next = broker.block_on(async {
            let (sent, ()) = tokio::join!(load(&producer, next, 3, &enough), async {
                for partition in 0..3 {
                    control
                        .wait_for(|request| {
                            request.api == ApiKey::Produce
                                && request.is_about_partition("orders", partition)
                                && request.succeeded()
                        })
                        .await
                        .unwrap();
                }
                enough.store(true, Ordering::Relaxed);
            });
            sent
        });
        driver.poll_until("the group does not go on", |driver| driver.records.len() >= next as usize);
        let offsets: Vec<PartitionOffset> = (0..3)
            .map(|partition| {
                let of_it = driver.records.iter().filter(|record| record.partition() == partition);
                let end = of_it.map(RawRecord::offset).max().unwrap() + 1;
                PartitionOffset::new(TopicPartition::new("orders", partition), end)
            })
            .collect();
        let committed = driver.consumer.commit_blocking(&offsets, PATIENCE, &mut Vec::new()).unwrap();
        assert!(committed.iter().all(|(_, result)| result.is_ok()), "{committed:?}");
        broker.block_on(control.start_broker(stopped)).unwrap();
        assert_ne!(control.group_coordinator("survives"), None);
    }
    assert!(
        !driver.seen.iter().any(|event| matches!(event, ConsumerEvent::Revoke { .. })),
        "it lost its place"
    );
    assert_once_and_in_order(&stored(&broker, 3), next);
}

#[test]
fn commits_survive_a_coordinator_that_moves() {
    let broker = three(1);
    broker.produce("orders", 0, 0..10);
    let control = broker.broker.control();
    let mut driver = Driver::subscribe(&broker.consumer_config("moves"), "orders");
    driver.poll_until("not all records", |driver| driver.records.len() == 10);
    let partition = TopicPartition::new("orders", 0);
    for offset in [3, 5, 7] {
        let from = control.group_coordinator("moves").unwrap();
        control.move_group_coordinator("moves", from % 3 + 1).unwrap();
        let upto = PartitionOffset::new(partition.clone(), offset);
        let committed =
            driver.consumer.commit_blocking(std::slice::from_ref(&upto), PATIENCE, &mut Vec::new());
        assert!(committed.unwrap()[0].1.is_ok());
        let standing = driver.consumer.committed(std::slice::from_ref(&partition), PATIENCE).unwrap();
        assert_eq!(standing[0].offset, offset);
        let at: BTreeSet<i32> = control
            .requests()
            .iter()
            .filter(|request| request.api == ApiKey::OffsetCommit && request.succeeded())
            .map(|request| request.broker)
            .collect();
        assert!(at.contains(&control.group_coordinator("moves").unwrap()), "{at:?}");
    }
}

#[test]
fn a_lost_answer_costs_an_idempotent_producer_nothing_and_another_a_duplicate() {
    for (idempotent, expected) in [(true, vec![0, 1]), (false, vec![0, 0, 1])] {
        let broker = Running::start(EmbeddedBroker::builder().topic("orders", 1));
        let lost = broker.broker.control().on(ApiKey::Produce).topic("orders").times(1).lose_answer();
        let producer = persistent(&broker, idempotent);
        broker.block_on(async {
            for value in 0..2 {
                let record = ProducerRecord::new("orders").partition(0).payload(value.to_string());
                producer.enqueue(record).await.unwrap().await.unwrap();
            }
        });
        assert_eq!(lost.hits(), 1);
        let outcome = |request: &ReceivedRequest| request.outcome;
        let outcomes: Vec<_> = broker.broker.control().requests().iter().map(outcome).collect();
        assert!(outcomes.contains(&RequestOutcome::AnswerLost(None)), "{outcomes:?}");
        assert_eq!(stored(&broker, 1)[&0], expected, "idempotent: {idempotent}");
    }
}

#[test]
fn a_session_that_is_ended_has_the_others_take_over() {
    let broker = three(4);
    let control = broker.broker.control();
    let mut config = broker.consumer_config("expires");
    // Long enough to end only by being told to.
    config.set("session.timeout.ms", "600000");
    config.set("max.poll.interval.ms", "600000");
    config.set("client.id", "first");
    let mut first = Driver::subscribe(&config, "orders");
    first.poll_until("no assignment", |driver| driver.assigned.len() == 4);
    config.set("client.id", "second");
    let mut second = Driver::subscribe(&config, "orders");
    second.poll_until("no share", |second| {
        first.poll();
        (first.assigned.len(), second.assigned.len()) == (2, 2)
    });
    let members = control.group_members("expires");
    let expired = members.iter().find(|member| member.client_id == "first").unwrap();
    control.expire_member("expires", &expired.member_id).unwrap();
    // The one that was expired is told so, and comes back under another id.
    let is_back = || {
        let members = control.group_members("expires");
        members.len() == 2 && members.iter().all(|member| member.member_id != expired.member_id)
    };
    second.poll_until("no rebalance", |second| {
        first.poll();
        is_back() && (first.assigned.len(), second.assigned.len()) == (2, 2)
    });
    let revoked =
        |driver: &Driver| driver.seen.iter().any(|event| matches!(event, ConsumerEvent::Revoke { .. }));
    assert!(revoked(&first) && revoked(&second));
}

#[test]
fn a_producer_that_is_sent_away_asks_for_the_leader_and_tries_again() {
    let errors = [
        ResponseError::NotLeaderOrFollower,
        ResponseError::LeaderNotAvailable,
        ResponseError::UnknownTopicOrPartition,
        ResponseError::KafkaStorageError,
    ];
    for error in errors {
        let broker = three(1);
        let control = broker.broker.control();
        let producer = persistent(&broker, true);
        let send = |value: &str| {
            let record = ProducerRecord::new("orders").partition(0).payload(value.to_owned());
            let producer = &producer;
            async move { producer.enqueue(record).await.unwrap().await.unwrap() }
        };
        broker.block_on(send("0"));
        let refused = control.on(ApiKey::Produce).times(1).fail(error);
        control.forget_requests();
        broker.block_on(send("1"));
        assert_eq!(refused.hits(), 1);
        let failed = control.requests().into_iter().find(|request| request.error() == Some(error)).unwrap();
        // Which may come after the record has been sent again.
        let asked_again =
            control.wait_for(|request| request.api == ApiKey::Metadata && request.number > failed.number);
        broker.block_on(asked_again).unwrap();
        assert_eq!(stored(&broker, 1)[&0], [0, 1], "{error:?}");
    }
}

#[test]
fn a_consumer_follows_the_leader() {
    let broker = three(1);
    let control = broker.broker.control();
    let mut config = broker.consumer_config("follows");
    config.set("fetch.error.backoff.ms", "10");
    config.set("fetch.wait.max.ms", "20000");
    let mut driver = Driver::subscribe(&config, "orders");
    for (round, to) in (0..).zip([2, 3, 1]) {
        broker.produce("orders", 0, round..round + 1);
        driver.poll_until("no record", |driver| driver.records.len() == round as usize + 1);
        control.move_leader("orders", 0, to).unwrap();
        let here = control.wait_for(|request| request.api == ApiKey::Fetch && request.broker == to);
        broker.block_on(async {
            tokio::select! {
                found = here => drop(found.unwrap()),
                () = async { loop { driver.poll(); tokio::time::sleep(Duration::from_millis(1)).await } } => {}
            }
        });
    }
    let epochs: Vec<Option<i32>> = driver.records.iter().map(RawRecord::leader_epoch).collect();
    assert_eq!(epochs, [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_transaction_outlives_its_coordinator_its_leader_and_a_lost_end() {
    let broker = three(1);
    let control = broker.broker.control();
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("transactional.id", "teller")
        .set("linger.ms", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50")
        .set("retry.backoff.ms", "10")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for value in 0..4 {
        producer.begin_transaction().unwrap();
        let payload = value.to_string();
        producer.send(BaseRecord::<(), _>::to("orders").partition(0).payload(&payload)).unwrap();
        producer.flush(PATIENCE).unwrap();
        let home = control.transaction_coordinator("teller").unwrap();
        let leader = control.leader("orders", 0).unwrap().unwrap();
        match value {
            0 => control.move_transaction_coordinator("teller", home % 3 + 1).unwrap(),
            1 => drop(control.move_leader("orders", 0, leader % 3 + 1).unwrap()),
            2 => broker.block_on(control.stop_broker(home)).unwrap(),
            _ => {}
        }
        let lost = control.on(ApiKey::EndTxn).times(1).lose_answer();
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(lost.hits(), 1);
    }
    let mut reader = Driver::subscribe(&broker.consumer_config("reads-committed"), "orders");
    reader.poll_until("not all records", |reader| reader.records.len() == 4);
    // Each record is followed by one marker, so that the end was not carried out twice.
    let places: Vec<_> = reader.records.iter().map(|record| (value(record), record.offset())).collect();
    assert_eq!(places, [(0, 0), (1, 2), (2, 4), (3, 6)]);
}
