//! The tutorial that this project grew from, row by row: what it shows works here, on real Kafka.
//!
//! Rows 1 to 9 are those of the command line, and row 30 is proven by killing a broker: both have their own tests.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_boot::Admin;
use kafka_boot::admin::{ConfigChange, ConfigOperation, ConfigSource, NewTopic};
use kafka_boot::config::LoadOptions;
use kafka_boot::config::model::{Acks, AutoOffsetReset, CommitMode};
use kafka_boot::prelude::*;
use kafka_boot::{
    Ended, ErrorKind, HealthStatus, ListenerState, Primary, ProducerListener, RunningApp, Scheduler,
    SendError, SendResult, Timestamp, bean_functions, jobs, listeners,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::{Observer, look};
use kafka_boot_tests::produce::{Seeding, recent_ms};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(40);

#[kafka_listener(topic = "${test.topic}")]
async fn take(record: Record<String>, notes: Bean<Notes>) {
    notes.add(record.value().clone());
}

#[kafka_listener(topic = "${test.topic}")]
async fn display(record: Record<Option<String>>, notes: Bean<Notes>) {
    notes.add(record.to_string());
}

/// For applications that only send: one needs a listener or a job.
#[scheduled(fixed_delay = "1h", enabled = false)]
async fn nothing() {}

fn app(load_options: LoadOptions) -> kafka_boot::App {
    let app = kafka_boot::App::new().without_discovery().without_logging();
    app.load_options(load_options).bean(Notes::default())
}

async fn sender(kafka: &Kafka, arguments: &[&str]) -> RunningApp {
    app(options(kafka, arguments.iter().copied())).jobs(jobs![nothing]).start().await.unwrap()
}

fn template(app: &RunningApp) -> Bean<KafkaTemplate> {
    app.beans().bean().unwrap()
}

fn notes(app: &RunningApp) -> Bean<Notes> {
    app.beans().bean().unwrap()
}

fn new_topic(kafka: &Kafka, name: &str, partitions: i32) -> String {
    let topic = unique_name(name);
    kafka.create_topic(&topic, partitions).unwrap();
    topic
}

fn committed(kafka: &Kafka, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    let samples = look(kafka.bootstrap_servers(), group, topic, partitions).unwrap();
    samples.iter().map(|sample| sample.committed).collect()
}

/// Options that read the files of a folder, as a deployed service does.
fn files(kafka: &Kafka, folder: &Path, arguments: &[&str]) -> LoadOptions {
    LoadOptions {
        directory: Some(folder.to_owned()),
        arguments: arguments.iter().map(|argument| format!("--{argument}")).collect(),
        environment: vec![("SERVERS".to_owned(), kafka.bootstrap_servers().to_owned())],
        own_sections: vec!["test".to_owned()],
        ..LoadOptions::default()
    }
}

/// What Java's `Utils.murmur2` gives, from the tests of Apache Kafka.
const MURMUR2: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_10_a_record_goes_where_its_form_says_and_a_key_where_java_puts_it() {
    const PARTITIONS: i32 = 7;
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-10", PARTITIONS);
    let app = sender(kafka, &["kafka.producer.linger=0ms"]).await;
    let template = template(&app);

    for (key, hash) in MURMUR2 {
        let sent = template.send_keyed(&topic, key, "known").await.unwrap();
        assert_eq!(sent.partition(), (hash & 0x7fff_ffff) % PARTITIONS, "{key}");
    }
    for partition in 0..PARTITIONS {
        let sent = template.send_to(&topic, partition, "a key of no influence", "chosen").await.unwrap();
        assert_eq!(sent.partition(), partition);
    }
    let mut spread = BTreeSet::new();
    for _ in 0..100 {
        spread.insert(template.send(&topic, "spread").await.unwrap().partition());
    }
    assert!(spread.len() > 1, "records without a key all went to {spread:?}");

    // Kafka's own producer puts the same keys into the same partitions.
    let keys: Vec<String> = (0..50).map(|number| format!("customer-{number}")).collect();
    let mut ours = BTreeMap::new();
    for key in &keys {
        let sent = template.send_keyed(&topic, key.clone(), "ours").await.unwrap();
        ours.insert(key.clone(), sent.partition());
    }
    let lines: Vec<String> = keys.iter().map(|key| format!("{key}:theirs")).collect();
    let theirs = tokio::task::block_in_place(|| {
        kafka.console_producer(&topic, &lines).unwrap();
        kafka.console_consumer(&topic, 1000, Duration::from_secs(3)).unwrap()
    });
    let theirs: BTreeMap<String, i32> = theirs
        .into_iter()
        .filter(|record| record.value == "theirs")
        .map(|record| (record.key, record.partition))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_11_acks_0_1_and_all_each_deliver_and_only_0_knows_no_offset() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-11", 1);
    for (acks, expected, is_offset_known) in
        [("0", Acks::None, false), ("1", Acks::Leader, true), ("all", Acks::All, true)]
    {
        let acks_setting = format!("kafka.producer.acks={acks}");
        let idempotence = format!("kafka.producer.enable-idempotence={}", acks == "all");
        let app = sender(kafka, &[&acks_setting, &idempotence, "kafka.producer.retries=3"]).await;
        assert_eq!(app.settings().kafka().producer.acks, expected);
        assert_eq!(app.settings().kafka().producer.retries, 3);
        for _ in 0..10 {
            let sent = template(&app).send(&topic, acks).await.unwrap();
            assert_eq!(sent.offset().is_some(), is_offset_known, "acks {acks}: {sent}");
        }
        assert_eq!(app.stop().await, Ended::Clean);
    }
    eventually_async(DEADLINE, "all thirty records", async || {
        look(kafka.bootstrap_servers(), "nobody", &topic, 1).unwrap()[0].end == 30
    })
    .await;

    let arguments = ["kafka.producer.acks=1"];
    let refused = app(options(kafka, arguments)).jobs(jobs![nothing]).start().await.unwrap_err().to_string();
    assert!(refused.contains("enable-idempotence: false"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_12_a_template_is_made_from_the_yaml_file() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-12", 1);
    let folder = tempfile::tempdir().unwrap();
    let yaml = "application: { name: row-12 }\n\
                kafka:\n  bootstrap-servers: ${SERVERS}\n  producer: { acks: all, retries: 3, client-id: from-yaml }\n";
    std::fs::write(folder.path().join("application.yml"), yaml).unwrap();
    let app = app(files(kafka, folder.path(), &[])).jobs(jobs![nothing]).start().await.unwrap();
    assert_eq!(app.settings().kafka().producer.client_id.as_deref(), Some("from-yaml"));
    let sent = template(&app).send(&topic, "text").await.unwrap();
    assert_eq!((sent.topic(), sent.partition(), sent.offset()), (topic.as_str(), 0, Some(0)));
    assert_eq!(template(&app).partitions_of(&topic, DEADLINE).await.unwrap(), 1);
    assert_eq!(app.stop().await, Ended::Clean);
}

/// When each run of the job began and ended.
#[derive(Default)]
struct Runs(std::sync::Mutex<Vec<(Instant, Instant)>>);

#[derive(serde::Deserialize, ConfigProperties)]
#[config(prefix = "test")]
struct TestProperties {
    topic: String,
}

#[scheduled(fixed_delay = 200)]
async fn number(kafka: Bean<KafkaTemplate>, runs: Bean<Runs>, test: Config<TestProperties>) -> Result<()> {
    let began = Instant::now();
    let count = runs.0.lock().unwrap().len();
    kafka.send_to(&test.topic, 0, "k", format!("This is record {count}")).await?;
    runs.0.lock().unwrap().push((began, Instant::now()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_13_a_scheduled_function_sends_numbered_records_with_a_fixed_delay() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-13", 1);
    let (topic, group) = (format!("test.topic={topic}"), unique_name("row-13"));
    let group = format!("kafka.consumer.group-id={group}");
    let app = app(options(kafka, [topic.as_str(), &group])).bean(Runs::default());
    let app = app.listeners(listeners![take]).jobs(jobs![number]).start().await.unwrap();
    let seen = notes(&app).first(5).await;
    assert_eq!(seen[..5], [0, 1, 2, 3, 4].map(|number| format!("This is record {number}")));
    let runs = app.beans().bean::<Runs, Primary>().unwrap();
    let scheduler = app.beans().bean::<Scheduler, Primary>().unwrap();
    assert_eq!(scheduler.get("number").unwrap().failures, 0);
    assert_eq!(app.stop().await, Ended::Clean);
    let runs = runs.0.lock().unwrap();
    for pair in runs.windows(2) {
        let pause = pair[1].0.duration_since(pair[0].1);
        assert!(pause >= Duration::from_millis(195), "a run began {pause:?} after the one before it ended");
    }
}

struct Audit(Bean<Notes>);

impl ProducerListener for Audit {
    fn on_success(&self, record: &ProducerRecord, result: &SendResult) {
        self.0.add(format!("written {} {result}", String::from_utf8_lossy(record.payload.as_ref().unwrap())));
    }

    fn on_error(&self, error: &SendError) {
        let payload = error.record().payload.clone().unwrap();
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(16)]).into_owned();
        self.0.add(format!("refused {}", shown.trim_end()));
    }
}

#[bean]
fn audit(notes: Bean<Notes>) -> Box<dyn ProducerListener> {
    Box::new(Audit(notes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_the_outcome_of_a_send_reaches_the_caller_a_callback_and_the_producer_listener() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-14", 1);
    // More than the broker takes, so that it is the broker that refuses.
    let app = app(options(kafka, ["kafka.producer.max-request-size=8MB"]));
    let app = app.jobs(jobs![nothing]).bean_functions(bean_functions![audit]).start().await.unwrap();
    let template = template(&app);

    let record = ProducerRecord::new(topic.as_str()).payload("awaited").timestamp(recent_ms());
    let sent = template.send_record(record).await.unwrap();
    assert_eq!((sent.topic(), sent.partition(), sent.offset()), (topic.as_str(), 0, Some(0)));
    assert_eq!(sent.timestamp(), Timestamp::CreateTime(recent_ms()));
    assert_eq!(sent.to_string(), format!("{topic}-0@0"));

    let outcomes = Arc::new(Notes::default());
    for text in ["called back".to_owned(), format!("too large{}", " ".repeat(4_000_000))] {
        let of_callback = Arc::clone(&outcomes);
        let on_outcome = move |outcome: Result<SendResult, SendError>| match outcome {
            Ok(sent) => of_callback.add(sent.to_string()),
            Err(error) => of_callback.add(format!("{:?}", error.kind())),
        };
        let record = ProducerRecord::new(topic.as_str()).payload(text);
        template.send_with(record, on_outcome).await.unwrap();
    }
    let mut outcomes = outcomes.first(2).await;
    outcomes.sort();
    assert_eq!(outcomes, [format!("{:?}", ErrorKind::MessageTooLarge), format!("{topic}-0@1")]);

    let error = template.send_to(&topic, 99, "k", "in vain").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::UnknownTopic);
    assert_eq!(error.record().payload.as_deref(), Some(&b"in vain"[..]));
    let mut heard = notes(&app).first(4).await;
    heard.sort();
    let written = |text: &str, offset: i64| format!("written {text} {topic}-0@{offset}");
    let refused = |text: &str| format!("refused {text}");
    assert_eq!(
        heard,
        [refused("in vain"), refused("too large"), written("awaited", 0), written("called back", 1)]
    );
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_a_consumer_is_made_from_the_yaml_file_and_latest_skips_what_was_there() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-15", 1);
    Seeding::new(&topic, 5).produce(kafka.bootstrap_servers()).unwrap();
    let group = unique_name("row-15");
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "kafka:\n  bootstrap-servers: ${{SERVERS}}\n  consumer: {{ group-id: {group}, auto-offset-reset: latest }}\n\
         test: {{ topic: {topic} }}\n"
    );
    std::fs::write(folder.path().join("application.yml"), yaml).unwrap();
    let app = app(files(kafka, folder.path(), &[])).listeners(listeners![take]).start().await.unwrap();
    let settings = app.listeners().get("take").unwrap().settings;
    assert_eq!((settings.group_id(), settings.topics.as_slice()), (group.as_str(), &[topic.clone()][..]));
    assert_eq!(settings.consumer.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!(settings.consumer.commit, CommitMode::Sync);

    template(&app).send(&topic, "new").await.unwrap();
    assert_eq!(notes(&app).first(1).await, ["new"]);
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(committed(kafka, &group, &topic, 1), [Some(6)]);
}

/// Reads ten records in one mode, and ten more after a restart; returns what was seen and the commits observed.
async fn read_twice(kafka: &Kafka, commit: &str) -> (Vec<String>, Vec<Option<i64>>) {
    let name = format!("row-{commit}");
    let (topic, group) = (new_topic(kafka, &name, 1), unique_name(&name));
    let observer = Observer::start(kafka.bootstrap_servers(), &group, &topic, 1).unwrap();
    let mut seen = Vec::new();
    for first in [0, 10] {
        let seeding = Seeding::new(&topic, 10).first_uid(first).value_bytes(0);
        assert_eq!(seeding.produce(kafka.bootstrap_servers()).unwrap().acked.len(), 10);
        let arguments = [
            format!("test.topic={topic}"),
            format!("kafka.consumer.group-id={group}"),
            format!("kafka.listeners.take.commit={commit}"),
        ];
        let app = app(options(kafka, arguments.iter().map(String::as_str)));
        let app = app.listeners(listeners![take]).start().await.unwrap();
        notes(&app).first(10).await;
        let notes = notes(&app);
        assert_eq!(app.stop().await, Ended::Clean);
        seen.extend(notes.all());
    }
    (seen, observer.stop().iter().map(|sample| sample.committed).collect())
}

async fn reads_everything_once_over_a_restart(commit: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    let (seen, commits) = read_twice(kafka, commit).await;
    let numbers: Vec<u64> =
        seen.iter().map(|text| text.split(':').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<u64>>(), "{commit}");
    assert!(commits.is_sorted(), "{commit}: a commit went back: {commits:?}");
    assert_eq!(commits.last().unwrap(), &Some(20), "{commit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_auto_commit_reads_on_after_a_clean_restart() {
    reads_everything_once_over_a_restart("auto").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_17_sync_commit_reads_on_after_a_clean_restart() {
    reads_everything_once_over_a_restart("sync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_18_async_commit_reads_on_after_a_clean_restart_and_never_goes_back() {
    reads_everything_once_over_a_restart("async").await;

    // One commit a record, as fast as they come: an older one must not overwrite a newer one.
    let Some(kafka) = Kafka::shared() else { return };
    let (topic, group) = (new_topic(kafka, "row-18", 1), unique_name("row-18"));
    let observer = Observer::start(kafka.bootstrap_servers(), &group, &topic, 1).unwrap();
    let arguments = [
        format!("test.topic={topic}"),
        format!("kafka.consumer.group-id={group}"),
        "kafka.listeners.take.commit=async".to_owned(),
        "kafka.listeners.take.ack-mode=record".to_owned(),
        "kafka.consumer.max-poll-records=1".to_owned(),
    ];
    let app = app(options(kafka, arguments.iter().map(String::as_str)));
    let app = app.listeners(listeners![take]).start().await.unwrap();
    assert_eq!(Seeding::new(&topic, 2000).produce(kafka.bootstrap_servers()).unwrap().acked.len(), 2000);
    notes(&app).first(2000).await;
    eventually_async(DEADLINE, "the last commit", async || observer.is_drained()).await;
    assert_eq!(app.stop().await, Ended::Clean);
    let commits: Vec<Option<i64>> = observer.stop().iter().map(|sample| sample.committed).collect();
    assert!(commits.is_sorted(), "{commits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_19_the_yaml_file_picks_the_commit_mode_and_a_profile_picks_another() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-19", 1);
    let folder = tempfile::tempdir().unwrap();
    let group = unique_name("row-19");
    let base = format!(
        "kafka:\n  bootstrap-servers: ${{SERVERS}}\n  consumer: {{ group-id: {group} }}\n  \
         listeners:\n    take: {{ commit: async }}\ntest: {{ topic: {topic} }}\n"
    );
    let dev = "kafka:\n  listeners:\n    take: { commit: auto }\n";
    std::fs::write(folder.path().join("application.yml"), base).unwrap();
    std::fs::write(folder.path().join("application-dev.yml"), dev).unwrap();
    let rows: [(&[&str], CommitMode); 3] = [
        (&[], CommitMode::Async),
        (&["profile=dev"], CommitMode::Auto),
        (&["profile=dev", "kafka.listeners.take.commit=sync"], CommitMode::Sync),
    ];
    for (at, (arguments, expected)) in (1..).zip(rows) {
        let app = app(files(kafka, folder.path(), arguments)).listeners(listeners![take]);
        let app = app.start().await.unwrap();
        assert_eq!(app.listeners().get("take").unwrap().settings.consumer.commit, expected);
        template(&app).send(&topic, format!("{expected:?}")).await.unwrap();
        assert_eq!(notes(&app).first(1).await, [format!("{expected:?}")]);
        assert_eq!(app.stop().await, Ended::Clean);
        assert_eq!(committed(kafka, &group, &topic, 1), [Some(at)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_20_a_listener_starts_with_the_application_unless_it_is_held_for_the_registry() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-20", 1);
    for held in [false, true] {
        let arguments = [
            format!("test.topic={topic}"),
            format!("kafka.consumer.group-id={}", unique_name("row-20")),
            format!("kafka.listeners.take.auto-startup={}", !held),
        ];
        let app = app(options(kafka, arguments.iter().map(String::as_str)));
        let app = app.listeners(listeners![take]).start().await.unwrap();
        assert!(app.health().is_ready());
        assert_eq!(app.health().report().status, HealthStatus::Up);
        if held {
            assert_eq!(app.listeners().get("take").unwrap().state, ListenerState::Stopped);
            app.listeners().start("take").await.unwrap();
            let mut state = app.listeners().watch("take").unwrap();
            state.wait_for(|state| *state == ListenerState::Running).await.unwrap();
        }
        assert_eq!(app.listeners().get("take").unwrap().state, ListenerState::Running);
        template(&app).send(&topic, "hello").await.unwrap();
        notes(&app).first(1).await;
        assert_eq!(app.stop().await, Ended::Clean);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_21_a_record_shows_every_fact_that_javas_does() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-21", 2);
    let arguments =
        [format!("test.topic={topic}"), format!("kafka.consumer.group-id={}", unique_name("row-21"))];
    let app = app(options(kafka, arguments.iter().map(String::as_str)));
    let app = app.listeners(listeners![display]).start().await.unwrap();
    let record = ProducerRecord::new(topic.as_str()).partition(1).timestamp(recent_ms());
    let full = record.clone().key("k1").payload("This is record 0").header("trace", "7").header("empty", "");
    for record in [full, record] {
        template(&app).send_record(record).await.unwrap();
    }
    let shown = notes(&app).first(2).await;
    let place = format!("topic = {topic}, partition = 1, leaderEpoch = 0");
    let time = recent_ms();
    assert_eq!(
        shown,
        [
            format!(
                "Record({place}, offset = 0, CreateTime = {time}, serialized key size = 2, serialized value size = \
                 16, headers = [trace = 7, empty = ], key = k1, value = This is record 0)"
            ),
            format!(
                "Record({place}, offset = 1, CreateTime = {time}, serialized key size = -1, serialized value size = \
                 -1, headers = [], key = null, value = null)"
            ),
        ]
    );
    assert_eq!(app.stop().await, Ended::Clean);
}

fn admin(app: &RunningApp) -> Bean<Admin> {
    app.beans().bean().unwrap()
}

async fn topic_names(admin: &Admin) -> BTreeSet<String> {
    admin.list_topics().await.unwrap().into_iter().map(|topic| topic.name).collect()
}

async fn setting(admin: &Admin, topic: &str, name: &str) -> (Option<String>, ConfigSource) {
    let entries = admin.describe_topic_configs(topic).await.unwrap();
    let found = entries.into_iter().find(|entry| entry.name == name).unwrap();
    (found.value, found.source)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_22_an_admin_is_made_from_the_yaml_file() {
    let Some(kafka) = Kafka::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let yaml = "kafka:\n  bootstrap-servers: ${SERVERS}\n  admin: { request-timeout: 5s }\n";
    std::fs::write(folder.path().join("application.yml"), yaml).unwrap();
    let app = app(files(kafka, folder.path(), &[])).jobs(jobs![nothing]).start().await.unwrap();
    assert_eq!(app.settings().kafka().admin.request_timeout.get(), Duration::from_secs(5));
    assert!(format!("{:?}", admin(&app)).contains("request_timeout: 5s"));
    assert!(!admin(&app).describe_cluster().await.unwrap().brokers.is_empty());
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_23_topics_are_listed() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-23", 3);
    let app = sender(kafka, &[]).await;
    let listed = admin(&app).list_topics().await.unwrap();
    let found = listed.iter().find(|listed| listed.name == topic).unwrap();
    assert_eq!(found.partitions.len(), 3);
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_24_a_topics_settings_are_described_with_their_source() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = sender(kafka, &[]).await;
    let (admin, topic) = (admin(&app), unique_name("row-24"));
    admin.create_topic(NewTopic::new(&topic).config("cleanup.policy", "compact")).await.unwrap();
    let set = (Some("compact".to_owned()), ConfigSource::Topic);
    assert_eq!(setting(&admin, &topic, "cleanup.policy").await, set);
    let default = (Some("604800000".to_owned()), ConfigSource::Default);
    assert_eq!(setting(&admin, &topic, "retention.ms").await, default);
    let unknown = admin.describe_topic_configs("no-such-topic").await.unwrap_err();
    assert_eq!(unknown.kind(), &ErrorKind::UnknownTopic, "{unknown}");
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_25_topics_are_created_by_call_and_by_declaration_and_declared_ones_only_grow() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = sender(kafka, &["kafka.admin.operation-timeout=10s"]).await;
    let names = [unique_name("row-25"), unique_name("row-25")];
    let new = names.clone().map(|name| NewTopic::new(name).partitions(3).replication_factor(1));
    let created = admin(&app).create_topics(&new).await.unwrap();
    assert!(created.iter().all(|(_, outcome)| outcome.is_ok()), "{created:?}");
    let twice = admin(&app).create_topics(&new[..1]).await.unwrap();
    assert!(twice[0].1.is_err(), "{twice:?}");
    let described = admin(&app).describe_topic(&names[0]).await.unwrap();
    assert_eq!((described.partitions.len(), described.partitions[0].replicas.len()), (3, 1));
    assert_eq!(app.stop().await, Ended::Clean);

    let declared = unique_name("row-25-declared");
    for (wanted, expected) in [(2, 2), (4, 4), (3, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "kafka:\n  bootstrap-servers: ${{SERVERS}}\n  consumer: {{ group-id: {declared} }}\n  topics:\n    \
             - {{ name: {declared}, partitions: {wanted}, replication-factor: 1, configs: {{ retention.ms: 60000 }} }}\n\
             test: {{ topic: {declared} }}\n"
        );
        std::fs::write(folder.path().join("application.yml"), yaml).unwrap();
        let app = self::app(files(kafka, folder.path(), &[])).listeners(listeners![take]);
        let app = app.start().await.unwrap();
        let described = admin(&app).describe_topic(&declared).await.unwrap();
        assert_eq!(described.partitions.len(), expected, "declared with {wanted}");
        let retention = (Some("60000".to_owned()), ConfigSource::Topic);
        assert_eq!(setting(&admin(&app), &declared, "retention.ms").await, retention);
        // The topic is there before the listener starts.
        template(&app).send(&declared, format!("with {wanted}")).await.unwrap();
        assert_eq!(notes(&app).first(1).await, [format!("with {wanted}")]);
        assert_eq!(app.stop().await, Ended::Clean);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_26_a_list_of_topics_is_deleted() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = sender(kafka, &[]).await;
    let topics = [new_topic(kafka, "row-26", 1), new_topic(kafka, "row-26", 1)];
    let admin = admin(&app);
    let deleted = admin.delete_topics(&[&topics[0], "no-such-topic", &topics[1]]).await.unwrap();
    let outcomes: Vec<(&str, bool)> =
        deleted.iter().map(|(topic, outcome)| (topic.as_str(), outcome.is_ok())).collect();
    assert_eq!(outcomes, [(topics[0].as_str(), true), ("no-such-topic", false), (&topics[1], true)]);
    eventually_async(DEADLINE, "the topics to be gone", async || {
        topic_names(&admin).await.is_disjoint(&topics.iter().cloned().collect())
    })
    .await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_27_one_setting_of_a_topic_is_changed_and_the_others_stay() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = sender(kafka, &[]).await;
    let (admin, topic) = (admin(&app), unique_name("row-27"));
    admin.create_topic(NewTopic::new(&topic).config("cleanup.policy", "compact")).await.unwrap();
    let change = |operation| ConfigChange { name: "retention.ms".to_owned(), operation };
    let set = change(ConfigOperation::Set("60000".to_owned()));
    admin.alter_topic_configs(&topic, &[set]).await.unwrap();
    eventually_async(DEADLINE, "the change", async || {
        setting(&admin, &topic, "retention.ms").await == (Some("60000".to_owned()), ConfigSource::Topic)
    })
    .await;
    assert_eq!(setting(&admin, &topic, "cleanup.policy").await.0.as_deref(), Some("compact"));
    admin.alter_topic_configs(&topic, &[change(ConfigOperation::Delete)]).await.unwrap();
    eventually_async(DEADLINE, "the default", async || {
        setting(&admin, &topic, "retention.ms").await.1 == ConfigSource::Default
    })
    .await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_28_a_consumer_beyond_the_partitions_idles_until_the_topic_grows() {
    let Some(kafka) = Kafka::shared() else { return };
    let (topic, group) = (new_topic(kafka, "row-28", 3), unique_name("row-28"));
    let arguments = [
        format!("test.topic={topic}"),
        format!("kafka.consumer.group-id={group}"),
        "kafka.listeners.take.concurrency=4".to_owned(),
        "kafka.consumer.metadata-max-age=1s".to_owned(),
    ];
    let app = app(options(kafka, arguments.iter().map(String::as_str)));
    let app = app.listeners(listeners![take]).start().await.unwrap();
    let shares = || {
        let mut shares: Vec<usize> =
            app.listeners().get("take").unwrap().assigned.iter().map(Vec::len).collect();
        shares.sort_unstable();
        shares
    };
    // Members join one after the other, so the shares move until the group is at rest.
    let until_shares = async |expected: [usize; 4]| {
        eventually_async(DEADLINE, "the partitions to be shared out", async || {
            let found = shares();
            if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
        })
        .await;
    };
    until_shares([0, 1, 1, 1]).await;
    let report = app.health().report();
    assert_eq!(report.status, HealthStatus::Up);
    let detail = report.listeners[0].detail.clone().unwrap();
    assert!(detail.contains("1 of 4 consumers idle"), "{detail}");

    admin(&app).create_partitions(&topic, 4).await.unwrap();
    until_shares([1, 1, 1, 1]).await;
    assert_eq!(app.health().report().listeners[0].detail, None);
    for partition in 0..4 {
        let text = format!("to {partition}");
        eventually_async(DEADLINE, "the template to know the partition", async || {
            template(&app).send_to(&topic, partition, "k", text.clone()).await
        })
        .await;
    }
    let mut seen = notes(&app).first(4).await;
    seen.sort();
    assert_eq!(seen, ["to 0", "to 1", "to 2", "to 3"]);
    assert_eq!(app.stop().await, Ended::Clean);
}

#[kafka_listener(topic = "${test.topic}", group = "${test.first-group}", commit = "sync")]
async fn first_group(record: Record<String>, notes: Bean<Notes>) {
    notes.add(format!("first {}", record.offset()));
}

#[kafka_listener(topic = "${test.topic}", group = "${test.second-group}", commit = "sync")]
async fn second_group(record: Record<String>, notes: Bean<Notes>) {
    notes.add(format!("second {}", record.offset()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_two_groups_on_one_topic_keep_their_own_offsets() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = new_topic(kafka, "row-29", 1);
    let groups = [unique_name("row-29-first"), unique_name("row-29-second")];
    let arguments = [
        format!("test.topic={topic}"),
        format!("test.first-group={}", groups[0]),
        format!("test.second-group={}", groups[1]),
    ];
    let app = app(options(kafka, arguments.iter().map(String::as_str)));
    let app = app.listeners(listeners![first_group, second_group]).start().await.unwrap();
    let template = template(&app);
    template.send(&topic, "to both").await.unwrap();
    let mut seen = notes(&app).first(2).await;
    seen.sort();
    assert_eq!(seen, ["first 0", "second 0"]);

    app.listeners().stop("second_group").await.unwrap();
    template.send(&topic, "to the first").await.unwrap();
    assert_eq!(notes(&app).first(3).await[2], "first 1");
    let offsets = || groups.clone().map(|group| committed(kafka, &group, &topic, 1)[0]);
    eventually_async(DEADLINE, "the first group to be ahead", async || offsets() == [Some(2), Some(1)]).await;

    app.listeners().start("second_group").await.unwrap();
    assert_eq!(notes(&app).first(4).await[3], "second 1");
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(offsets(), [Some(2), Some(2)]);
}
