//! The admin client on the mock cluster, which knows hardly any of its requests: that every request still ends, and says
//! why, is what these tests are about. What the answers hold is tested on real Kafka.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use kafka_boot_client::{
    Admin, ClientConfig, ClientError, ClientEvent, ConfigChange, ConfigOperation, ConfigResource, ErrorKind,
    MockCluster, NewPartitions, NewTopic, OffsetSpec, PartitionOffset, TopicPartition,
};
use support::{Driver, PATIENCE, block_on, config};

/// The mock cluster has no controller, so whatever needs one runs into its deadline.
const DEADLINE: Duration = Duration::from_millis(200);

fn started() -> (MockCluster, Admin) {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic("orders", 3, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let admin = Admin::new(&ClientConfig::from_iter([("bootstrap.servers", bootstrap.as_str())])).unwrap();
    (cluster, admin)
}

type Items<K, T> = Vec<(K, Result<T, ClientError>)>;

/// The request's failure, or that of its only item.
fn failure<K, T>(outcome: Result<Items<K, T>, ClientError>) -> ClientError {
    match outcome {
        Err(error) => error,
        Ok(mut items) => items.pop().unwrap().1.err().expect("the mock cluster cannot do this"),
    }
}

#[test]
fn topics_are_listed() {
    let (_cluster, admin) = started();
    block_on(async {
        let topics = admin.list_topics(PATIENCE).await.unwrap();
        let orders = topics.iter().find(|topic| topic.name == "orders").unwrap();
        assert_eq!(orders.partitions.len(), 3);
    });
}

#[test]
fn offsets_are_listed_for_each_partition() {
    let (_cluster, admin) = started();
    block_on(async {
        let wanted = [
            (TopicPartition::new("orders", 0), OffsetSpec::Earliest),
            (TopicPartition::new("orders", 1), OffsetSpec::Latest),
        ];
        let listed = admin.list_offsets(&wanted, PATIENCE).await.unwrap();
        assert_eq!(listed.len(), 2);
        for (partition, offset) in listed {
            assert_eq!(offset.unwrap().offset, Some(0), "{partition}");
        }
    });
}

#[test]
fn the_offsets_of_a_group_are_listed() {
    let (cluster, admin) = started();
    let mut driver = Driver::subscribe(&config(&cluster, "billing"), "orders");
    driver.poll_until("no assignment", |driver| driver.assigned.len() == 3);
    let partition = TopicPartition::new("orders", 1);
    let offset = PartitionOffset::new(partition.clone(), 7);
    driver.consumer.commit_blocking(&[offset], PATIENCE, &mut Vec::new()).unwrap();
    driver.consumer.close(PATIENCE, |_, _| {}).unwrap();
    block_on(async {
        let listed = admin
            .list_group_offsets("billing", Some(std::slice::from_ref(&partition)), PATIENCE)
            .await
            .unwrap();
        assert_eq!((listed[0].0.partition.clone(), listed[0].0.offset), (partition.clone(), 7));
        let none = TopicPartition::new("orders", 2);
        let listed = admin.list_group_offsets("billing", Some(&[none]), PATIENCE).await.unwrap();
        assert_eq!(listed[0].0.offset, PartitionOffset::COMMITTED);
    });
}

#[test]
fn what_the_cluster_cannot_do_is_an_error_that_says_so() {
    let (_cluster, admin) = started();
    let topic = ConfigResource::Topic("orders".to_owned());
    let operations = [
        ConfigOperation::Set("1000".to_owned()),
        ConfigOperation::Delete,
        ConfigOperation::Append("compact".to_owned()),
        ConfigOperation::Subtract("delete".to_owned()),
    ];
    let names = ["retention.ms", "retention.bytes", "cleanup.policy", "other.policy"];
    let changes: Vec<_> = names
        .iter()
        .zip(operations)
        .map(|(name, operation)| ConfigChange { name: (*name).to_owned(), operation })
        .collect();
    let partition = TopicPartition::new("orders", 0);
    let more = NewPartitions { topic: "orders".to_owned(), total: 9 };
    block_on(async {
        let errors = [
            failure(
                admin
                    .create_topics(
                        &[NewTopic::new("new").partitions(1).config("retention.ms", "1")],
                        DEADLINE,
                    )
                    .await,
            ),
            failure(admin.delete_topics(&["orders"], DEADLINE).await),
            failure(admin.create_partitions(&[more], DEADLINE).await),
            failure(admin.describe_configs(std::slice::from_ref(&topic), DEADLINE).await),
            failure(admin.incremental_alter_configs(&[(topic.clone(), changes)], DEADLINE).await),
            failure(admin.delete_records(&[PartitionOffset::new(partition.clone(), 1)], DEADLINE).await),
            failure(admin.describe_groups(&["billing"], DEADLINE).await),
            failure(admin.describe_topics(&["orders"], DEADLINE).await),
            admin.describe_cluster(DEADLINE).await.unwrap_err(),
            failure(admin.delete_groups(&["billing"], DEADLINE).await),
            failure(admin.delete_group_offsets("billing", &[partition], DEADLINE).await),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Timeout), "{error:?}");
            assert!(!error.is_fatal(), "{error:?}");
        }
        let groups = admin.list_groups(DEADLINE).await;
        assert!(groups.map_or(true, |groups| !groups.errors.is_empty()));
    });
}

#[test]
fn a_request_to_nobody_ends_at_its_deadline() {
    let (cluster, admin) = started();
    drop(cluster);
    block_on(async {
        let started = Instant::now();
        let error = admin.describe_cluster(Duration::from_millis(500)).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Transport), "{error:?}");
    });
}

#[test]
fn a_request_may_be_given_up_and_the_client_dropped_meanwhile() {
    let (cluster, admin) = started();
    cluster.broker_round_trip(1, Duration::from_millis(200)).unwrap();
    block_on(async {
        let mut abandoned = Box::pin(admin.describe_cluster(DEADLINE));
        let polled = abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    });
    drop(admin);
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let (_cluster, admin) = started();
    block_on(async {
        assert!(admin.create_topics(&[], DEADLINE).await.unwrap().is_empty());
        assert!(admin.delete_topics(&[], DEADLINE).await.unwrap().is_empty());
        assert!(admin.describe_configs(&[], DEADLINE).await.unwrap().is_empty());
        assert!(admin.describe_groups(&[], DEADLINE).await.unwrap().is_empty());
        assert!(admin.list_offsets(&[], DEADLINE).await.unwrap().is_empty());
    });
}

#[test]
fn arguments_that_cannot_be_are_refused_before_anything_is_sent() {
    let (_cluster, admin) = started();
    block_on(async {
        let errors = [
            failure(admin.create_topics(&[NewTopic::new("")], DEADLINE).await),
            failure(admin.create_topics(&[NewTopic::new("a\0b")], DEADLINE).await),
            failure(admin.create_topics(&[NewTopic::new("a").partitions(-7)], DEADLINE).await),
            failure(admin.describe_groups(&["a\0b"], DEADLINE).await),
            failure(admin.describe_configs(&[ConfigResource::Topic(String::new())], DEADLINE).await),
        ];
        for error in errors {
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{error:?}");
        }
    });
}

#[test]
fn errors_reach_the_listener() {
    let (cluster, _) = started();
    let bootstrap = cluster.bootstrap_servers();
    drop(cluster);
    let seen = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&seen);
    let _admin = Admin::with_events(
        &ClientConfig::from_iter([("bootstrap.servers", bootstrap.as_str())]),
        move |event| {
            if matches!(event, ClientEvent::Error(_)) {
                *sink.lock().unwrap() += 1;
            }
        },
    )
    .unwrap();
    let started = Instant::now();
    while *seen.lock().unwrap() == 0 {
        assert!(started.elapsed() < PATIENCE, "no error");
        std::thread::yield_now();
    }
}
