//! Groups of librdkafka's consumers, in both protocols: members that come and go, and what they own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_boot_client::{
    Admin, ClientConfig, ConfigChange, ConfigOperation, ConfigResource, ErrorCode, PartitionOffset,
    ProducerRecord, TopicPartition,
};
use kafka_boot_embedded::EmbeddedBroker;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use support::{Driver, PATIENCE, Running};

const PARTITIONS: usize = 6;

/// A broker whose members of the new protocol are quick.
fn started() -> Running {
    let builder = EmbeddedBroker::builder()
        .topic("orders", i32::try_from(PARTITIONS).unwrap())
        .consumer_heartbeat_interval(Duration::from_millis(50));
    Running::start(builder)
}

fn common<'a>(broker: &'a Running, group: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("bootstrap.servers", broker.bootstrap_servers()),
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "1"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
    ]
}

fn config(broker: &Running, group: &str, settings: &[(&str, &str)]) -> ClientConfig {
    common(broker, group).iter().chain(settings).copied().collect()
}

const NEW: &[(&str, &str)] = &[("group.protocol", "consumer")];

/// Some members of one group, polled by turns. They are `rdkafka`'s, which answers rebalances by itself.
#[derive(Default)]
struct Fleet {
    members: BTreeMap<&'static str, BaseConsumer>,
    /// How often each record was seen.
    seen: BTreeMap<(i32, i64), usize>,
}

fn owned(member: &BaseConsumer) -> BTreeSet<i32> {
    member.assignment().unwrap().elements().iter().map(TopicPartitionListElem::partition).collect()
}

impl Fleet {
    fn join(&mut self, name: &'static str, settings: &[(&str, &str)]) {
        let pairs = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config: rdkafka::ClientConfig = pairs.collect();
        let member: BaseConsumer = config.create().unwrap();
        member.subscribe(&["orders"]).unwrap();
        self.members.insert(name, member);
    }

    fn poll(&mut self) {
        for member in self.members.values() {
            let mut ends = TopicPartitionList::new();
            while let Some(Ok(record)) = member.poll(Duration::from_millis(20)) {
                *self.seen.entry((record.partition(), record.offset())).or_default() += 1;
                let end = Offset::Offset(record.offset() + 1);
                if ends.set_partition_offset("orders", record.partition(), end).is_err() {
                    ends.add_partition_offset("orders", record.partition(), end).unwrap();
                }
            }
            if ends.count() > 0 {
                // Refused in the middle of a rebalance; then the next owner sees the records again.
                let _ = member.commit(&ends, CommitMode::Sync);
            }
            self.check();
        }
    }

    /// No partition is owned by two.
    fn check(&self) {
        let mut owners: BTreeMap<i32, &str> = BTreeMap::new();
        for (name, member) in &self.members {
            for partition in owned(member) {
                let other = owners.insert(partition, name);
                assert_eq!(other, None, "{partition} is owned by two");
            }
        }
    }

    fn poll_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < PATIENCE, "{what}: {:?}; {:?}", self.sizes(), self.ends());
            self.poll();
        }
    }

    /// Up to where each partition was seen.
    fn ends(&self) -> BTreeMap<i32, i64> {
        self.seen.keys().copied().collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.members.values().map(|member| owned(member).len()).collect()
    }

    /// Whether every partition is somebody's, and everybody has as many.
    fn is_even(&self) -> bool {
        let share = PARTITIONS / self.members.len();
        self.sizes().iter().all(|size| *size == share)
    }
}

#[test]
fn three_members_come_and_go_and_nothing_is_lost_or_owned_twice() {
    let modes: [&[(&str, &str)]; 5] = [
        NEW,
        &[("group.protocol", "consumer"), ("group.remote.assignor", "range")],
        &[("partition.assignment.strategy", "range")],
        &[("partition.assignment.strategy", "roundrobin")],
        &[("partition.assignment.strategy", "cooperative-sticky")],
    ];
    for mode in modes {
        let broker = started();
        let classic = [("heartbeat.interval.ms", "100"), ("session.timeout.ms", "20000")];
        let classic = if mode[0].0 == "group.protocol" { &[][..] } else { &classic };
        let common = common(&broker, "fleet");
        let settings: Vec<_> = common.iter().chain(mode).chain(classic).copied().collect();
        let mut fleet = Fleet::default();
        let producer = broker.producer(&[("enable.idempotence", "true")]);
        let mut total = 0_usize;
        let mut step = |fleet: &mut Fleet, what: &str| {
            fleet.poll_until(&format!("{what} in {mode:?}"), Fleet::is_even);
            total += 5 * PARTITIONS;
            broker.block_on(async {
                for number in 0..5 * PARTITIONS {
                    let partition = i32::try_from(number % PARTITIONS).unwrap();
                    let record = ProducerRecord::new("orders").partition(partition).payload("x");
                    drop(producer.enqueue(record).await.unwrap());
                }
                producer.flush(PATIENCE).await.unwrap();
            });
            fleet.poll_until(&format!("{what}: records are missing in {mode:?}"), |fleet| {
                fleet.seen.len() == total
            });
        };
        for name in ["one", "two", "three"] {
            fleet.join(name, &settings);
            step(&mut fleet, name);
        }
        for name in ["one", "three"] {
            drop(fleet.members.remove(name));
            step(&mut fleet, name);
        }
    }
}

#[test]
fn a_static_member_of_the_new_protocol_returns_to_its_place() {
    let broker = started();
    let settings = [NEW[0], ("group.instance.id", "one")];
    let config = config(&broker, "static", &settings);
    let mut first = Driver::subscribe(&config, "orders");
    first.poll_until("no assignment", |driver| driver.assigned.len() == PARTITIONS);
    let epoch = first.consumer.group_metadata().map(|group| group.generation_id);
    assert!(epoch.is_some_and(|epoch| epoch > 0), "{epoch:?}");
    first.consumer.close(PATIENCE, |_, _| {}).unwrap();
    let mut again = Driver::subscribe(&config, "orders");
    again.poll_until("no assignment", |driver| driver.assigned.len() == PARTITIONS);
    assert_eq!(again.consumer.group_metadata().map(|group| group.generation_id), epoch);
}

#[test]
fn a_subscription_by_an_expression_gets_the_topics_that_come_later() {
    let broker = started();
    let mut driver = Driver::subscribe(&config(&broker, "expression", NEW), "^ord.*");
    driver.poll_until("no assignment", |driver| driver.assigned.len() == PARTITIONS);
    broker.produce("other", 0, 0..1);
    broker.produce("ordinary", 0, 0..1);
    driver.poll_until("no new topic", |driver| driver.assigned.len() == PARTITIONS + 1);
    driver.poll_until("no record", |driver| driver.records.len() == 1);
    let topics: BTreeSet<_> = driver.assigned.iter().map(|partition| partition.topic.clone()).collect();
    assert_eq!(topics, BTreeSet::from(["ordinary".into(), "orders".into()]));
}

#[test]
fn a_group_goes_over_to_the_other_protocol_when_it_is_empty_and_goes_on_where_it_was() {
    let broker = started();
    let old = broker.consumer_config("changes");
    let new = config(&broker, "changes", NEW);
    let mut next = 0;
    for config in [&old, &new, &old] {
        broker.produce("orders", 0, next..next + 10);
        next += 10;
        let mut driver = Driver::subscribe(config, "orders");
        driver.poll_until("no records", |driver| driver.records.len() == 10);
        assert_eq!(driver.records[0].offset(), i64::from(next) - 10);
        let end = PartitionOffset::new(TopicPartition::new("orders", 0), next.into());
        let committed = driver.consumer.commit_blocking(&[end], PATIENCE, &mut Vec::new()).unwrap();
        assert!(committed[0].1.is_ok(), "{committed:?}");
        driver.consumer.close(PATIENCE, |_, _| {}).unwrap();
    }
}

#[test]
fn the_settings_of_a_group_are_told_and_changed() {
    let broker = started();
    let admin = Admin::new(&broker.client()).unwrap();
    let group = ConfigResource::Group("fleet".to_owned());
    let described = || {
        let described =
            broker.block_on(admin.describe_configs(std::slice::from_ref(&group), PATIENCE)).unwrap();
        let entries = described[0].1.as_ref().unwrap();
        let value =
            |entry: &kafka_boot_client::ConfigEntry| (entry.name.clone(), entry.value.clone().unwrap());
        entries.iter().map(value).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(described()["consumer.heartbeat.interval.ms"], "50");
    assert_eq!(described()["consumer.session.timeout.ms"], "45000");
    let change = |value: &str| {
        let operation = ConfigOperation::Set(value.to_owned());
        let change = ConfigChange { name: "consumer.session.timeout.ms".to_owned(), operation };
        let changes = [(group.clone(), vec![change])];
        broker.block_on(admin.incremental_alter_configs(&changes, PATIENCE)).unwrap().remove(0).1
    };
    change("60000").unwrap();
    assert_eq!(described()["consumer.session.timeout.ms"], "60000");
    for wrong in ["10", "soon", "0"] {
        let error = change(wrong).unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::from_number(40)), "{error:?}");
    }
}
