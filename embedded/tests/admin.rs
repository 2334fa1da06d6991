//! Topics, settings, offsets and groups, as librdkafka's admin client sees them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::fmt::Debug;

use kafka_boot_client::{
    Admin, ClientError, ConfigChange, ConfigOperation, ConfigResource, ConfigSource, GroupState,
    NewPartitions, NewTopic, OffsetSpec, PartitionOffset, TopicPartition,
};
use kafka_boot_embedded::EmbeddedBroker;
use support::{Driver, PATIENCE, Running, first_ms};

type Items<K, T> = Vec<(K, Result<T, ClientError>)>;

fn started() -> (Running, Admin) {
    let broker = Running::start(EmbeddedBroker::builder().topic("orders", 2));
    let admin = Admin::new(&broker.client()).unwrap();
    (broker, admin)
}

fn all_well<K: Debug, T: Debug>(outcome: Result<Items<K, T>, ClientError>) -> Vec<(K, T)> {
    outcome.unwrap().into_iter().map(|(item, result)| (item, result.unwrap())).collect()
}

/// The failure of the only item.
fn failure<K: Debug, T: Debug>(outcome: Result<Items<K, T>, ClientError>) -> String {
    outcome.unwrap().remove(0).1.unwrap_err().to_string()
}

#[test]
fn topics_are_created_described_grown_and_deleted() {
    let (broker, admin) = started();
    broker.block_on(async {
        let wanted = [
            NewTopic::new("many").partitions(7).replication_factor(1).config("retention.ms", "1000"),
            NewTopic::new("default"),
        ];
        all_well(admin.create_topics(&wanted, PATIENCE).await);
        let refused = [
            (NewTopic::new("many"), "TOPIC_ALREADY_EXISTS"),
            (NewTopic::new("a b"), "TOPIC_EXCEPTION"),
            (NewTopic::new("x").replication_factor(3), "INVALID_REPLICATION_FACTOR"),
            (NewTopic::new("x").config("retention.ms", "soon"), "`retention.ms`"),
            (NewTopic::new("x").config("no.such.setting", "1"), "no.such.setting"),
        ];
        for (topic, expected) in refused {
            let error = failure(admin.create_topics(&[topic], PATIENCE).await);
            assert!(error.contains(expected), "{error}");
        }
        let grow = |total| [NewPartitions { topic: "many".to_owned(), total }];
        all_well(admin.create_partitions(&grow(9), PATIENCE).await);
        let error = failure(admin.create_partitions(&grow(9), PATIENCE).await);
        assert!(error.contains("INVALID_PARTITIONS"), "{error}");

        let mut sizes: Vec<_> = admin
            .list_topics(PATIENCE)
            .await
            .unwrap()
            .into_iter()
            .map(|topic| (topic.name, topic.partitions.len()))
            .collect();
        sizes.sort();
        assert_eq!(sizes, [("default".to_owned(), 1), ("many".to_owned(), 9), ("orders".to_owned(), 2)]);
        all_well(admin.delete_topics(&["many", "default"], PATIENCE).await);
        assert_eq!(admin.list_topics(PATIENCE).await.unwrap().len(), 1);
        assert!(failure(admin.delete_topics(&["many"], PATIENCE).await).contains("UNKNOWN_TOPIC"));
    });
}

#[test]
fn settings_are_described_and_changed_one_by_one() {
    let (broker, admin) = started();
    let resource = ConfigResource::Topic("orders".to_owned());
    let change = |name: &str, operation| ConfigChange { name: name.to_owned(), operation };
    let rounds = [
        (ConfigOperation::Set("60000".to_owned()), "60000", ConfigSource::Topic),
        (ConfigOperation::Delete, "604800000", ConfigSource::Default),
    ];
    broker.block_on(async {
        for (operation, value, source) in rounds {
            let changes = vec![change("retention.ms", operation)];
            all_well(admin.incremental_alter_configs(&[(resource.clone(), changes)], PATIENCE).await);
            let described = all_well(admin.describe_configs(std::slice::from_ref(&resource), PATIENCE).await);
            let entry = described[0].1.iter().find(|entry| entry.name == "retention.ms").unwrap();
            assert_eq!((entry.value.as_deref(), entry.source), (Some(value), source));
        }
        // One bad change, and none of them is made.
        let changes = vec![
            change("cleanup.policy", ConfigOperation::Append("compact".to_owned())),
            change("max.message.bytes", ConfigOperation::Set("-5".to_owned())),
        ];
        let error = failure(admin.incremental_alter_configs(&[(resource.clone(), changes)], PATIENCE).await);
        assert!(error.contains("`max.message.bytes`"), "{error}");
        let described =
            all_well(admin.describe_configs(&[resource, ConfigResource::Broker(1)], PATIENCE).await);
        let policy = described[0].1.iter().find(|entry| entry.name == "cleanup.policy").unwrap();
        assert_eq!(policy.value.as_deref(), Some("delete"));
        assert!(described[1].1.iter().all(|entry| entry.is_read_only));
        for absent in [ConfigResource::Topic("absent".to_owned()), ConfigResource::Broker(7)] {
            // The question about another broker goes to that broker, so it may also end with its deadline.
            let short = std::time::Duration::from_millis(500);
            assert!(admin.describe_configs(&[absent], short).await.map_or(true, |found| found[0].1.is_err()));
        }
    });
}

#[test]
fn offsets_are_found_by_position_and_time_and_records_deleted() {
    let (broker, admin) = started();
    broker.produce("orders", 0, 0..10);
    let partition = || TopicPartition::new("orders", 0);
    let table = [
        (OffsetSpec::Earliest, Some(0)),
        (OffsetSpec::Latest, Some(10)),
        (OffsetSpec::AtOrAfter(0), Some(0)),
        (OffsetSpec::AtOrAfter(first_ms() + 4), Some(4)),
        (OffsetSpec::AtOrAfter(first_ms() + 10), None),
        (OffsetSpec::MaxTimestamp, Some(9)),
    ];
    broker.block_on(async {
        for (spec, expected) in table {
            let listed = all_well(admin.list_offsets(&[(partition(), spec)], PATIENCE).await);
            assert_eq!(listed[0].1.offset, expected, "{spec:?}");
        }
        let before = |offset| [PartitionOffset::new(partition(), offset)];
        assert_eq!(all_well(admin.delete_records(&before(6), PATIENCE).await)[0].0.offset, 6);
        let error = failure(admin.delete_records(&before(11), PATIENCE).await);
        assert!(error.contains("OFFSET_OUT_OF_RANGE"), "{error}");
        let listed = all_well(admin.list_offsets(&[(partition(), OffsetSpec::Earliest)], PATIENCE).await);
        assert_eq!(listed[0].1.offset, Some(6));
        let empty = [(TopicPartition::new("orders", 1), OffsetSpec::MaxTimestamp)];
        assert_eq!(all_well(admin.list_offsets(&empty, PATIENCE).await)[0].1.offset, None);
    });
}

#[test]
fn groups_are_listed_described_moved_and_deleted() {
    let (broker, admin) = started();
    let mut driver = Driver::subscribe(&broker.consumer_config("billing"), "orders");
    driver.poll_until("no assignment", |driver| driver.assigned.len() == 2);
    let partition = |id| TopicPartition::new("orders", id);
    broker.block_on(async {
        let described = all_well(admin.describe_groups(&["billing"], PATIENCE).await);
        let group = &described[0].1;
        assert_eq!((group.state, group.assignor.as_str()), (GroupState::Stable, "range"));
        let [member] = group.members.as_slice() else { panic!("{group:?}") };
        assert_eq!((member.client_id.as_str(), member.host.as_str()), ("rdkafka", "/127.0.0.1"));
        assert_eq!(member.assignment, [partition(0), partition(1)]);
        assert!(failure(admin.delete_groups(&["billing"], PATIENCE).await).contains("NON_EMPTY_GROUP"));
        let commit = [PartitionOffset::new(partition(0), 3)];
        let error = failure(admin.alter_group_offsets("billing", &commit, PATIENCE).await);
        assert!(error.contains("UNKNOWN_MEMBER_ID"), "{error}");
        let error = failure(admin.delete_group_offsets("billing", &[partition(0)], PATIENCE).await);
        assert!(error.contains("GROUP_SUBSCRIBED_TO_TOPIC"), "{error}");
    });
    driver.consumer.close(PATIENCE, |_, _| {}).unwrap();
    broker.block_on(async {
        let moved = [PartitionOffset::new(partition(0), 3), PartitionOffset::new(partition(1), 5)];
        all_well(admin.alter_group_offsets("billing", &moved, PATIENCE).await);
        all_well(admin.delete_group_offsets("billing", &[partition(0)], PATIENCE).await);
        let left = all_well(admin.list_group_offsets("billing", None, PATIENCE).await);
        assert_eq!(left.iter().map(|(offset, ())| offset.offset).collect::<Vec<_>>(), [5]);
        let listed = admin.list_groups(PATIENCE).await.unwrap();
        assert_eq!((listed.groups.len(), listed.groups[0].state), (1, GroupState::Empty));

        all_well(admin.delete_topics(&["orders"], PATIENCE).await);
        assert!(all_well(admin.list_group_offsets("billing", None, PATIENCE).await).is_empty());
        all_well(admin.delete_groups(&["billing"], PATIENCE).await);
        assert!(failure(admin.delete_groups(&["billing"], PATIENCE).await).contains("GROUP_ID_NOT_FOUND"));
        assert!(admin.list_groups(PATIENCE).await.unwrap().groups.is_empty());
    });
}

#[test]
fn the_cluster_is_described() {
    let (broker, admin) = started();
    let cluster = broker.block_on(admin.describe_cluster(PATIENCE)).unwrap();
    assert!(cluster.cluster_id.is_some_and(|id| id.len() == 22));
    assert_eq!((cluster.controller.map(|broker| broker.id), cluster.brokers.len()), (Some(1), 1));
}
