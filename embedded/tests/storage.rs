//! A broker with a data directory: stopped, killed, started again, and compacted, as clients see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_boot_client::{
    Admin, ClientConfig, ConfigChange, ConfigOperation, ConfigResource, Delivery, Producer, ProducerLimits,
    ProducerRecord,
};
use kafka_boot_embedded::EmbeddedBroker;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use support::{Driver, PATIENCE, Running};
use tokio::sync::mpsc;

/// Tells a process of this test to be a broker: on this directory, and this port.
const DIRECTORY: &str = "KAFKA_BOOT_EMBEDDED_TEST_DIRECTORY";
const PORT: &str = "KAFKA_BOOT_EMBEDDED_TEST_PORT";
const ANNOUNCEMENT: &str = "bootstrap.servers=";

fn started(path: &Path) -> Running {
    Running::start(EmbeddedBroker::builder().data_directory(path).topic("orders", 1))
}

fn committed(bootstrap_servers: &str, group: &str) -> (Offset, String) {
    let consumer = group_consumer(bootstrap_servers, group);
    let mut asked = TopicPartitionList::new();
    asked.add_partition("orders", 0);
    let found = consumer.committed_offsets(asked, PATIENCE).unwrap();
    let element = &found.elements()[0];
    (element.offset(), element.metadata().to_owned())
}

fn group_consumer(bootstrap_servers: &str, group: &str) -> BaseConsumer {
    rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", group)
        .create()
        .unwrap()
}

fn commit(consumer: &BaseConsumer, offset: i64, metadata: &str) -> bool {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(offset)).unwrap();
    let mut elements = offsets.find_partition("orders", 0).unwrap();
    elements.set_metadata(metadata);
    consumer.commit(&offsets, CommitMode::Sync).is_ok()
}

fn numbers(driver: &Driver) -> Vec<u32> {
    let number = |payload: Option<&[u8]>| std::str::from_utf8(payload.unwrap()).unwrap().parse().unwrap();
    driver.records.iter().map(|record| number(record.payload())).collect()
}

fn set(broker: &Running, admin: &Admin, settings: &[(&str, &str)]) {
    let changes = settings.iter().map(|(name, value)| ConfigChange {
        name: (*name).to_owned(),
        operation: ConfigOperation::Set((*value).to_owned()),
    });
    let changes = [(ConfigResource::Topic("orders".to_owned()), changes.collect())];
    let altered = broker.block_on(admin.incremental_alter_configs(&changes, PATIENCE)).unwrap();
    assert!(altered.iter().all(|(_, result)| result.is_ok()), "{altered:?}");
}

#[test]
fn a_restart_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3_u32 {
        let broker = started(directory.path());
        if round == 0 {
            // The records are of another year; that they stay shows that the setting does.
            set(&broker, &Admin::new(&broker.client()).unwrap(), &[("retention.ms", "-1")]);
        } else {
            let found = committed(broker.bootstrap_servers(), "billing");
            assert_eq!(found, (Offset::Offset(i64::from(round)), format!("round {round}")));
        }
        broker.produce("orders", 0, round * 100..round * 100 + 100);
        let consumer = group_consumer(broker.bootstrap_servers(), "billing");
        assert!(commit(&consumer, i64::from(round) + 1, &format!("round {}", round + 1)));
        let mut driver = Driver::subscribe(&broker.consumer_config(&format!("round-{round}")), "orders");
        let count = usize::try_from(round + 1).unwrap() * 100;
        driver.poll_until("not all records", |driver| driver.records.len() >= count);
        assert_eq!(numbers(&driver), (0..(round + 1) * 100).collect::<Vec<_>>());
        let offsets: Vec<i64> = driver.records.iter().map(kafka_boot_client::RawRecord::offset).collect();
        assert_eq!(offsets, (0..i64::try_from(count).unwrap()).collect::<Vec<_>>());
    }
}

/// A broker in a process of its own, which is killed when it is dropped.
struct Process {
    child: Child,
    bootstrap_servers: String,
}

impl Process {
    /// On any free port, or on one that a killed broker has left.
    fn start(directory: &Path, port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_broker_that_is_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let announced = lines.find_map(|line| Some(line.split_once(ANNOUNCEMENT)?.1.to_owned()));
        // What it writes later is read, so that it never waits for that.
        std::thread::spawn(move || lines.count());
        Self { child, bootstrap_servers: announced.expect("the broker did not start") }
    }

    fn port(&self) -> u16 {
        self.bootstrap_servers.rsplit_once(':').unwrap().1.parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: it gets no chance to write anything more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "is started by the test that kills it, in a process of its own"]
async fn the_broker_that_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("only as a process of another test");
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let started = Instant::now();
    let broker = loop {
        let builder = EmbeddedBroker::builder().port(port).topic("orders", 1);
        match builder.data_directory(&directory).start().await {
            Ok(broker) => break broker,
            Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    println!("\n{ANNOUNCEMENT}{}", broker.bootstrap_servers());
    std::future::pending::<()>().await;
}

/// What has been acknowledged: the offset of each value.
type Acknowledged = Arc<Mutex<BTreeMap<u32, i64>>>;

/// Sends numbers, one after the other, until told to stop, and keeps what was acknowledged.
async fn send_numbers(producer: Producer, acknowledged: Acknowledged, mut stop: mpsc::Receiver<()>) -> u32 {
    let (sent, mut deliveries) = mpsc::channel::<(u32, Delivery)>(5_000);
    let keep = tokio::spawn(async move {
        while let Some((value, delivery)) = deliveries.recv().await {
            let delivered: kafka_boot_client::Delivered =
                (delivery as kafka_boot_client::Delivery).await.unwrap();
            acknowledged.lock().unwrap().insert(value, delivered.offset);
        }
    });
    let mut value = 0;
    while stop.try_recv() == Err(mpsc::error::TryRecvError::Empty) {
        let record = ProducerRecord::new("orders").partition(0).payload(value.to_string());
        let delivery = producer.enqueue(record).await.unwrap();
        sent.send((value, delivery)).await.unwrap();
        value += 1;
    }
    producer.flush(PATIENCE).await.unwrap();
    drop(sent);
    keep.await.unwrap();
    value
}

#[test]
fn what_was_acknowledged_survives_a_kill_exactly_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), 0);
    let port = process.port();
    let servers = process.bootstrap_servers.clone();
    let config = ClientConfig::from_iter([
        ("bootstrap.servers", servers.as_str()),
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("reconnect.backoff.max.ms", "100"),
        ("retry.backoff.ms", "20"),
    ]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let acknowledged = Acknowledged::default();
    let (stop, stopped) = mpsc::channel(1);
    let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
    let sending = runtime.spawn(send_numbers(producer, Arc::clone(&acknowledged), stopped));
    let mut last_commit = 0;
    for _ in 0..4 {
        let before = acknowledged.lock().unwrap().len();
        let started = Instant::now();
        let consumer = group_consumer(&servers, "billing");
        while acknowledged.lock().unwrap().len() < before + 3_000 {
            assert!(started.elapsed() < PATIENCE, "no acknowledgements");
            if commit(&consumer, last_commit + 1, "under load") {
                last_commit += 1;
            }
        }
        drop(process);
        process = Process::start(directory.path(), port);
        let (Offset::Offset(found), _) = committed(&servers, "billing") else { panic!("no commit survived") };
        assert!(found >= last_commit, "{found} is before {last_commit}, which was acknowledged");
        last_commit = found;
    }
    runtime.block_on(stop.send(())).unwrap();
    let sent = runtime.block_on(sending).unwrap();

    let consumer = ClientConfig::from_iter([
        ("bootstrap.servers", servers.as_str()),
        ("group.id", "auditors"),
        ("auto.offset.reset", "earliest"),
        ("check.crcs", "true"),
    ]);
    let mut driver = Driver::subscribe(&consumer, "orders");
    driver.poll_until("not all records", |driver| driver.records.len() >= usize::try_from(sent).unwrap());
    assert_eq!(numbers(&driver), (0..sent).collect::<Vec<_>>(), "each once, and in order");
    let acknowledged = acknowledged.lock().unwrap();
    assert_eq!(acknowledged.len(), usize::try_from(sent).unwrap());
    for (record, (value, offset)) in driver.records.iter().zip(acknowledged.iter()) {
        assert_eq!(record.offset(), *offset, "the offset that was acknowledged for {value}");
    }
}

/// A member whose place outlives the broker, as clients see it: no rebalance, and nothing handed out again.
fn assert_membership_survives_a_kill(instance: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), 0);
    let port = process.port();
    let servers = process.bootstrap_servers.clone();
    let mut settings = vec![
        ("bootstrap.servers", servers.as_str()),
        ("group.id", "billing"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        // Longer than a start of the broker takes on a machine under load.
        ("session.timeout.ms", "60000"),
        ("heartbeat.interval.ms", "100"),
        ("reconnect.backoff.max.ms", "100"),
        ("retry.backoff.ms", "20"),
    ];
    settings.extend(instance.map(|instance| ("group.instance.id", instance)));
    let producer = rdkafka::ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    send(&producer, "before");
    let rebalances = Rebalances::default();
    let mut config = rdkafka::ClientConfig::new();
    for (name, value) in settings {
        config.set(name, value);
    }
    let consumer: BaseConsumer<Rebalances> = config.create_with_context(rebalances.clone()).unwrap();
    consumer.subscribe(&["orders"]).unwrap();
    assert_eq!(next(&consumer), "before");
    let member = membership(&consumer);
    assert_eq!((member.0.as_str(), member.1.len()), ("Stable", 1));
    assert_eq!(rebalances.0.load(Ordering::Relaxed), 1);

    for round in 1..=2 {
        drop(process);
        process = Process::start(directory.path(), port);
        send(&producer, &format!("after {round}"));
        // What was handed out before is not again, though nothing was committed before the first kill.
        assert_eq!(next(&consumer), format!("after {round}"));
        commit_as_member(&consumer);
        assert_eq!(membership(&consumer), member);
        assert_eq!(rebalances.0.load(Ordering::Relaxed), 1, "no partition came or went");
        let (found, _) = committed(&servers, "billing");
        assert_eq!(found, Offset::Offset(round + 1));
    }
    drop(consumer);
}

#[test]
fn a_member_goes_on_after_a_kill_of_its_broker() {
    assert_membership_survives_a_kill(None);
}

#[test]
fn a_static_member_goes_on_after_a_kill_of_its_broker() {
    assert_membership_survives_a_kill(Some("till-1"));
}

/// Counts assignments and revocations.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicUsize>);

impl rdkafka::ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state of the group, and the ids of its members.
fn membership(consumer: &BaseConsumer<Rebalances>) -> (String, Vec<String>) {
    let groups = consumer.fetch_group_list(Some("billing"), PATIENCE).unwrap();
    let group = &groups.groups()[0];
    (group.state().to_owned(), group.members().iter().map(|member| member.id().to_owned()).collect())
}

/// Commits what was handed out, in the member's generation, as soon as the coordinator is found again.
fn commit_as_member(consumer: &BaseConsumer<Rebalances>) {
    let started = Instant::now();
    while let Err(error) = consumer.commit_consumer_state(CommitMode::Sync) {
        let code = error.rdkafka_error_code().unwrap();
        let refused = [
            RDKafkaErrorCode::UnknownMemberId,
            RDKafkaErrorCode::IllegalGeneration,
            RDKafkaErrorCode::RebalanceInProgress,
            RDKafkaErrorCode::FencedInstanceId,
        ];
        assert!(!refused.contains(&code) && started.elapsed() < PATIENCE, "{error}");
    }
}

fn send(producer: &BaseProducer, text: &str) {
    let record = BaseRecord::<(), str>::to("orders").payload(text);
    producer.send(record).unwrap();
    rdkafka::producer::Producer::flush(producer, PATIENCE).unwrap();
}

fn next(consumer: &BaseConsumer<Rebalances>) -> String {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "no record");
        // Errors are those of a broker that is away.
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            return String::from_utf8(record.payload().unwrap().to_vec()).unwrap();
        }
    }
}

#[test]
fn a_consumer_of_a_compacted_topic_gets_the_newest_record_of_each_key() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let directory = tempfile::tempdir().unwrap();
        let broker = started(directory.path());
        let admin = Admin::new(&broker.client()).unwrap();
        let settings = [
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0"),
            ("delete.retention.ms", "0"),
            ("segment.bytes", "4000"),
        ];
        set(&broker, &admin, &settings);
        let producer = broker.producer(&[
            ("compression.codec", codec),
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
        ]);
        broker.block_on(async {
            for value in 0..2_000_u32 {
                let key = format!("key-{}", value % 7);
                let record = ProducerRecord::new("orders").key(key).payload(value.to_string());
                drop(producer.enqueue(record).await.unwrap());
            }
            // A key that is deleted.
            drop(producer.enqueue(ProducerRecord::new("orders").key("key-0")).await.unwrap());
            producer.flush(PATIENCE).await.unwrap();
            producer
                .enqueue(ProducerRecord::new("orders").key("end").payload("0"))
                .await
                .unwrap()
                .await
                .unwrap();
        });
        // Compacted when a new consumer gets what is left, whatever there was before.
        let read = |group: String| {
            let mut driver = Driver::subscribe(&broker.consumer_config(&group), "orders");
            driver.poll_until("the last record is not read", |driver| {
                driver.records.last().is_some_and(|record| record.key() == Some(b"end"))
            });
            let told = driver
                .records
                .iter()
                .map(|record| (record.offset(), String::from_utf8(record.key().unwrap().to_vec()).unwrap()));
            told.collect::<Vec<_>>()
        };
        let started = Instant::now();
        let expected: Vec<(i64, String)> = (1993..2_000)
            .filter(|value| value % 7 != 0)
            .map(|value| (value, format!("key-{}", value % 7)))
            .chain([(2_001, "end".to_owned())])
            .collect();
        let mut round = 0;
        loop {
            let found = read(format!("{codec}-{round}"));
            let newest: BTreeMap<_, _> = found.iter().map(|(offset, key)| (key, offset)).collect();
            assert!(
                expected.iter().all(|(offset, key)| newest.get(key) == Some(&offset)),
                "{codec}: {found:?}"
            );
            if found == expected {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{codec}: {found:?}");
            round += 1;
        }
    }
}

#[tokio::test]
async fn a_broker_with_a_directory_starts_and_stops_two_hundred_times_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    // Other tests of this process open files too, but none in this directory.
    let path = directory.path().canonicalize().unwrap();
    let open_files = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|file| file.starts_with(&path))).count()
    };
    for _ in 0..200 {
        let builder = EmbeddedBroker::builder().data_directory(&path).topic("orders", 3);
        let broker = builder.clone().start().await.unwrap();
        assert!(open_files() >= 2, "the lock and the journal are open");
        broker.shutdown().await;
        assert_eq!(open_files(), 0);
    }
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn a_second_broker_on_a_directory_is_refused_and_a_dropped_one_lets_go_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedBroker::builder().data_directory(directory.path()).start().await.unwrap();
    let second = EmbeddedBroker::builder().data_directory(directory.path()).start().await.unwrap_err();
    assert_eq!(second.kind(), kafka_boot_embedded::StartErrorKind::InUse);
    assert!(second.to_string().contains("another broker runs on the data directory"), "{second}");
    drop(first);
    EmbeddedBroker::builder().data_directory(directory.path()).start().await.unwrap().shutdown().await;
}
