//! The admin client on real Kafka: every request, and what its answer holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fmt::Debug;
use std::time::{Duration, Instant};

use kafka_boot_client::{
    Admin, ClientConfig, ClientError, ConfigChange, ConfigOperation, ConfigResource, ConfigSource, Consumer,
    ConsumerEvent, ErrorKind, GroupState, NewPartitions, NewTopic, OffsetReset, OffsetSpec, PartitionOffset,
    Producer, ProducerLimits, ProducerRecord, TopicPartition,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::produce::recent_ms;
use kafka_boot_tests::seed::unique_name;

const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    admin: Admin,
    config: ClientConfig,
    /// A topic with 2 partitions and 10 records in each, timed 1,000 to 1,009.
    topic: String,
}

impl Fixture {
    async fn with_records(test: &str) -> Option<Self> {
        let kafka = Kafka::shared()?;
        let topic = unique_name(&format!("admin-{test}"));
        let config = ClientConfig::from_iter([("bootstrap.servers", kafka.bootstrap_servers())]);
        let admin = Admin::new(&config).unwrap();
        let wanted =
            NewTopic::new(&topic).partitions(2).replication_factor(1).config("cleanup.policy", "delete");
        all_well(admin.create_topics(&[wanted], DEADLINE).await);
        let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
        for partition in [0, 1] {
            for value in 0..10 {
                let record = ProducerRecord::new(topic.as_str())
                    .partition(partition)
                    .payload(value.to_string())
                    .timestamp(recent_ms() + value);
                drop(producer.enqueue(record).await.unwrap());
            }
        }
        producer.flush(DEADLINE).await.unwrap();
        Some(Self { admin, config, topic })
    }

    fn partition(&self, id: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), id)
    }

    /// A member of group `topic` that has both partitions.
    fn member(&self) -> Consumer {
        let mut config = self.config.clone();
        config.set("group.id", self.topic.as_str()).set("client.id", "the-member");
        // Or closing it commits what it has read, over what the test has set.
        config.set("enable.auto.commit", "false");
        let mut consumer = Consumer::new(&config).unwrap();
        consumer.subscribe(&[&self.topic]).unwrap();
        let (mut events, started) = (Vec::new(), Instant::now());
        loop {
            assert!(started.elapsed() < DEADLINE, "no assignment: {events:?}");
            consumer.poll(10, Duration::from_millis(50), &mut Vec::new(), &mut events).unwrap();
            for event in &events {
                if let ConsumerEvent::Assign { partitions } = event {
                    let start: Vec<_> = partitions
                        .iter()
                        .map(|partition| PartitionOffset::new(partition.clone(), 0))
                        .collect();
                    consumer.assign(&start).unwrap();
                    return consumer;
                }
            }
        }
    }
}

fn all_well<K: Debug, T: Debug>(outcome: Result<Items<K, T>, ClientError>) -> Vec<(K, T)> {
    outcome.unwrap().into_iter().map(|(item, result)| (item, result.unwrap())).collect()
}

type Items<K, T> = Vec<(K, Result<T, ClientError>)>;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn topics_are_created_described_grown_and_deleted() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("topics").await else { return };
        let (admin, topic) = (&fixture.admin, fixture.topic.as_str());
        let again = admin.create_topics(&[NewTopic::new(topic)], DEADLINE).await.unwrap();
        assert!(again[0].1.as_ref().unwrap_err().to_string().contains("TOPIC_ALREADY_EXISTS"), "{again:?}");

        let more = NewPartitions { topic: topic.to_owned(), total: 3 };
        all_well(admin.create_partitions(&[more], DEADLINE).await);
        let mut described = admin.describe_topics(&[topic, "absent"], DEADLINE).await.unwrap();
        described.sort_by(|one, other| other.0.cmp(&one.0));
        let found = described[0].1.as_ref().unwrap();
        assert_eq!((found.name.as_str(), found.partitions.len(), found.is_internal), (topic, 3, false));
        assert!(found.partitions.iter().all(|p| p.leader.is_some() && p.in_sync_replicas.len() == 1));
        assert_eq!(described[1].1.as_ref().unwrap_err().kind(), &ErrorKind::UnknownTopic);

        all_well(admin.delete_topics(&[topic], DEADLINE).await);
        let absent = admin.delete_topics(&["absent"], DEADLINE).await.unwrap();
        assert_eq!(absent[0].1.as_ref().unwrap_err().kind(), &ErrorKind::UnknownTopic);
        let started = Instant::now();
        while admin.list_topics(DEADLINE).await.unwrap().iter().any(|listed| listed.name == topic) {
            assert!(started.elapsed() < DEADLINE, "the topic is still listed");
        }
    });
}

#[test]
fn settings_are_changed_one_by_one() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("settings").await else { return };
        let admin = &fixture.admin;
        let resource = ConfigResource::Topic(fixture.topic.clone());
        let change = |name: &str, operation| ConfigChange { name: name.to_owned(), operation };
        let rounds = [
            vec![
                change("retention.ms", ConfigOperation::Set("60000".to_owned())),
                change("cleanup.policy", ConfigOperation::Append("compact".to_owned())),
            ],
            vec![
                change("retention.ms", ConfigOperation::Delete),
                change("cleanup.policy", ConfigOperation::Subtract("delete".to_owned())),
            ],
        ];
        let expected = [
            ("60000", ConfigSource::Topic, "delete,compact"),
            ("604800000", ConfigSource::Default, "compact"),
        ];
        for (changes, (retention, source, policy)) in rounds.into_iter().zip(expected) {
            all_well(admin.incremental_alter_configs(&[(resource.clone(), changes)], DEADLINE).await);
            let started = Instant::now();
            // A broker learns of the change a moment after the controller has made it.
            loop {
                let described =
                    all_well(admin.describe_configs(std::slice::from_ref(&resource), DEADLINE).await);
                let entry = |name: &str| described[0].1.iter().find(|entry| entry.name == name).unwrap();
                let found = (entry("retention.ms"), entry("cleanup.policy"));
                if found.0.value.as_deref() == Some(retention) && found.1.value.as_deref() == Some(policy) {
                    assert_eq!(found.0.source, source);
                    break;
                }
                assert!(started.elapsed() < DEADLINE, "{found:?}");
            }
        }
        let nonsense = vec![change("no.such.setting", ConfigOperation::Set("1".to_owned()))];
        let refused = admin.incremental_alter_configs(&[(resource, nonsense)], DEADLINE).await.unwrap();
        assert!(refused[0].1.as_ref().unwrap_err().to_string().contains("no.such.setting"), "{refused:?}");

        let broker = ConfigResource::Broker(1);
        let described = all_well(admin.describe_configs(&[broker], DEADLINE).await);
        assert!(described[0].1.iter().any(|entry| entry.name == "log.retention.hours"));
    });
}

#[test]
fn offsets_are_listed_by_position_and_time_and_records_deleted() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("offsets").await else { return };
        let table = [
            (OffsetSpec::Earliest, Some(0)),
            (OffsetSpec::Latest, Some(10)),
            (OffsetSpec::AtOrAfter(recent_ms() + 4), Some(4)),
            (OffsetSpec::AtOrAfter(recent_ms() + 10), None),
            (OffsetSpec::MaxTimestamp, Some(9)),
        ];
        for (spec, offset) in table {
            let wanted = [(fixture.partition(0), spec), (fixture.partition(1), spec)];
            for (partition, listed) in all_well(fixture.admin.list_offsets(&wanted, DEADLINE).await) {
                assert_eq!(listed.offset, offset, "{partition} {spec:?}");
            }
        }
        let before = PartitionOffset::new(fixture.partition(0), 6);
        let deleted = all_well(fixture.admin.delete_records(&[before], DEADLINE).await);
        assert_eq!(deleted[0].0.offset, 6);
        let listed =
            fixture.admin.list_offsets(&[(fixture.partition(0), OffsetSpec::Earliest)], DEADLINE).await;
        assert_eq!(all_well(listed)[0].1.offset, Some(6));
    });
}

#[test]
fn where_a_group_would_go_on_is_planned_and_not_set() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("plan").await else { return };
        let (admin, group) = (&fixture.admin, fixture.topic.as_str());
        let before = PartitionOffset::new(fixture.partition(0), 2);
        all_well(admin.delete_records(&[before], DEADLINE).await);
        // A coordinator that is just being made may not be ready.
        let started = Instant::now();
        let stand = [PartitionOffset::new(fixture.partition(0), 5)];
        loop {
            let placed = admin.alter_group_offsets(group, &stand, Duration::from_secs(5)).await;
            if placed.is_ok_and(|placed| placed.iter().all(|(_, result)| result.is_ok())) {
                break;
            }
            assert!(started.elapsed() < DEADLINE, "the group cannot be placed");
        }
        // What is wanted, where it leads, and what was asked for if that is not there.
        let table = [
            (OffsetReset::Earliest, 2, None),
            (OffsetReset::Latest, 10, None),
            (OffsetReset::Current, 5, None),
            (OffsetReset::Offset(7), 7, None),
            (OffsetReset::Offset(99), 10, Some(99)),
            (OffsetReset::Offset(0), 2, Some(0)),
            (OffsetReset::ShiftBy(-1), 4, None),
            (OffsetReset::ShiftBy(i64::MAX), 10, Some(i64::MAX)),
            (OffsetReset::AtOrAfter(recent_ms() + 4), 4, None),
            (OffsetReset::AtOrAfter(recent_ms() + 10), 10, None),
        ];
        for (reset, to, asked) in table {
            let plan = admin.plan_group_offsets(group, &[(fixture.partition(0), reset)], DEADLINE).await;
            let (partition, planned) = all_well(plan).remove(0);
            assert_eq!(partition, fixture.partition(0));
            assert_eq!((planned.from, planned.to, planned.asked), (Some(5), to, asked), "{reset:?}");
            assert_eq!((planned.first, planned.end), (2, 10), "{reset:?}");
        }
        // Where it stands nowhere; each partition has its own answer.
        let current = [(fixture.partition(1), OffsetReset::Current)];
        let plan = all_well(admin.plan_group_offsets(group, &current, DEADLINE).await);
        assert_eq!((plan[0].1.from, plan[0].1.to), (None, 10));
        let shift = [0, 1].map(|number| (fixture.partition(number), OffsetReset::ShiftBy(1)));
        let plan = admin.plan_group_offsets(group, &shift, DEADLINE).await.unwrap();
        assert_eq!(plan[0].1.as_ref().unwrap().to, 6);
        assert_eq!(plan[1].1.as_ref().unwrap_err().kind(), &ErrorKind::NoOffset);
        let committed = all_well(admin.list_group_offsets(group, None, DEADLINE).await);
        assert!(committed.iter().all(|(offset, ())| offset.offset == 5), "nothing was set: {committed:?}");
    });
}

#[test]
fn groups_are_listed_described_moved_and_deleted() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("groups").await else { return };
        let (admin, group) = (&fixture.admin, fixture.topic.as_str());
        let member = fixture.member();
        let described = all_well(admin.describe_groups(&[group], DEADLINE).await);
        let (_, description) = &described[0];
        assert_eq!((description.state, description.assignor.as_str()), (GroupState::Stable, "range"));
        assert!(description.coordinator.is_some());
        let [found] = description.members.as_slice() else { panic!("{description:?}") };
        assert_eq!(found.client_id, "the-member");
        assert_eq!(Some(&found.member_id), member.member_id().as_ref());
        assert_eq!(found.assignment, [fixture.partition(0), fixture.partition(1)]);

        let offset = PartitionOffset {
            metadata: Some("m".to_owned()),
            ..PartitionOffset::new(fixture.partition(0), 3)
        };
        let blocked = member.commit_blocking(&[offset], DEADLINE, &mut Vec::new());
        assert!(blocked.unwrap()[0].1.is_ok());
        let refused = admin.delete_groups(&[group], DEADLINE).await.unwrap();
        assert!(refused[0].1.as_ref().unwrap_err().to_string().contains("NON_EMPTY_GROUP"), "{refused:?}");
        member.close(DEADLINE, |_, _| {}).unwrap();

        let listings = admin.list_groups(DEADLINE).await.unwrap();
        let listed = listings.groups.iter().find(|listed| listed.group_id == group).unwrap();
        assert_eq!((listed.state, listings.errors.len()), (GroupState::Empty, 0));
        let all = all_well(admin.list_group_offsets(group, None, DEADLINE).await);
        assert_eq!((all.len(), all[0].0.offset, all[0].0.metadata.as_deref()), (1, 3, Some("m")));

        let moved = PartitionOffset::new(fixture.partition(1), 5);
        all_well(admin.alter_group_offsets(group, &[moved], DEADLINE).await);
        let both = [fixture.partition(0), fixture.partition(1)];
        let found = all_well(admin.list_group_offsets(group, Some(&both), DEADLINE).await);
        assert_eq!(found.iter().map(|(offset, ())| offset.offset).collect::<Vec<_>>(), [3, 5]);
        all_well(admin.delete_group_offsets(group, &both[..1], DEADLINE).await);
        let left = all_well(admin.list_group_offsets(group, None, DEADLINE).await);
        assert_eq!((left.len(), left[0].0.offset), (1, 5));

        all_well(admin.delete_groups(&[group], DEADLINE).await);
        let gone = admin.list_groups(DEADLINE).await.unwrap();
        assert!(gone.groups.iter().all(|listed| listed.group_id != group));
    });
}

#[test]
fn the_cluster_is_described() {
    block_on(async {
        let Some(fixture) = Fixture::with_records("cluster").await else { return };
        let cluster = fixture.admin.describe_cluster(DEADLINE).await.unwrap();
        assert!(cluster.cluster_id.is_some_and(|id| !id.is_empty()));
        assert!(cluster.controller.is_some_and(|controller| controller.port > 0));
        assert!(!cluster.brokers.is_empty());
    });
}
