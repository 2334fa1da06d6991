//! From the first line of the log to the exit code: start, readiness, failures, shutdown.
//!
//! What only a process of its own can show is asked of the `probe` binary and of the example.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{
    Ended, HandlerError, HealthStatus, ListenerRegistry, ListenerState, Qualifier, RunningApp, StartError,
    StartErrorKind, bean_functions, jobs, listeners,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::look;
use kafka_boot_tests::process::{Process, Program, Signal, Stream, workspace_binary};
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::{eventually, eventually_async};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header as HeaderPair, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(40);

/// A `probe` process with a topic and a group of its own.
struct Probe {
    process: Process,
    topic: String,
    group: String,
    producer: BaseProducer,
    // Held for its drop: the working directory of the process, without configuration files.
    _folder: tempfile::TempDir,
}

impl Probe {
    /// Starts the probe and waits until it says so.
    fn start(kafka: &Kafka, arguments: &[&str]) -> Self {
        let (topic, group) = (unique_name("probe"), unique_name("probe"));
        kafka.create_topic(&topic, 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let process = Program::new(env!("CARGO_BIN_EXE_probe"))
            .arg(format!("--kafka.bootstrap-servers={}", kafka.bootstrap_servers()))
            .args([format!("--test.topic={topic}"), format!("--test.group={group}")])
            .args(arguments)
            .directory(folder.path())
            .start()
            .unwrap();
        process.wait_for_line(DEADLINE, |line| line.contains("started") && line.contains("took")).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap_servers())
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()
            .unwrap();
        Self { process, topic, group, producer, _folder: folder }
    }

    fn send(&self, record: BaseRecord<'_, [u8], [u8]>) {
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.producer.flush(DEADLINE).unwrap();
    }

    fn send_value(&self, value: &str) {
        self.send(BaseRecord::to(&self.topic).payload(value.as_bytes()));
    }

    fn wait_for(&self, text: &str) {
        self.process.wait_for_line(DEADLINE, |line| line.contains(text)).unwrap();
    }

    /// Where in the output this text stands first.
    fn place_of(&self, text: &str) -> usize {
        let lines = self.process.lines();
        let found = lines.iter().position(|line| line.text.contains(text));
        found.unwrap_or_else(|| panic!("`{text}` is not in the output:\n{}", self.output()))
    }

    fn output(&self) -> String {
        self.process.text(Stream::Out)
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.process.wait(DEADLINE).unwrap().code()
    }

    fn stop(&mut self) {
        self.process.signal(Signal::Terminate).unwrap();
        assert_eq!(self.exit_code(), Some(0), "{}", self.output());
    }
}

fn committed(kafka: &Kafka, group: &str, topic: &str) -> Option<i64> {
    look(kafka.bootstrap_servers(), group, topic, 1).unwrap()[0].committed
}

fn example(folder: &Path, servers: &str) -> Program {
    let program = workspace_binary("scheduled-producer", "scheduled-producer").unwrap();
    Program::new(program).directory(folder).env("KAFKA_BOOTSTRAP_SERVERS", servers)
}

#[test]
fn the_start_is_reported_with_every_handler_its_settings_and_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut example = example(root, "embedded").start().unwrap();
    example.wait_for_line(DEADLINE, |line| line.contains("consumed")).unwrap();
    example.signal(Signal::Interrupt).unwrap();
    assert_eq!(example.wait(DEADLINE).unwrap().code(), Some(0));
    let output = example.text(Stream::Out);
    let has = |parts: &[&str]| output.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let place = "at=examples/scheduled-producer/src/lib.rs:";
    assert!(has(&[
        "kafka-boot starts",
        "application=scheduled-producer",
        "profiles=default",
        "application.yml"
    ]));
    let listener = [
        "id=consume",
        "topics=[\"test\"]",
        "group=\"default\"",
        "commit=Sync",
        "ack_mode=Batch",
        "concurrency=1",
        "attempts=3",
        "then=DeadLetter",
        "auto_offset_reset=Latest",
        place,
    ];
    assert!(has(&listener), "{output}");
    assert!(has(&["id=produce", "trigger=fixed-delay 1s", place]), "{output}");
    let order = ["kafka-boot starts", "id=consume", "partitions assigned", "startup: started", "produced"];
    let places: Vec<Option<usize>> = order.iter().map(|text| output.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{order:?} {places:?}\n{output}");
}

#[test]
fn a_wrong_configuration_exits_with_78_in_our_words_before_anything_is_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let yaml = "kafka:\n  bootstrap-servers: ${KAFKA_BOOTSTRAP_SERVERS}\n  consumer:\n    group-id: g\n    \
                auto-offset-reset: earlest\n";
    std::fs::write(folder.path().join("config/application.yml"), yaml).unwrap();
    let servers = listener.local_addr().unwrap().to_string();
    let mut example = example(folder.path(), &servers).env("RUST_BACKTRACE", "1").start().unwrap();
    assert_eq!(example.wait(DEADLINE).unwrap().code(), Some(78));
    assert_eq!(example.text(Stream::Out), "");
    let expected = "error: invalid configuration\n \
                    --> config/application.yml:5:24\n  \
                    |\n\
                    5 |     auto-offset-reset: earlest\n  \
                    |                        ^^^^^^^ expected one of `earliest`, `latest`, `none`\n  \
                    = key: kafka.consumer.auto-offset-reset\n  \
                    = help: did you mean `earliest`?";
    assert_eq!(example.text(Stream::Err), expected);
    let connected = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(connected, Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn a_signal_shuts_down_in_order_finishes_what_is_in_hand_and_exits_with_0() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut probe = Probe::start(kafka, &[]);
    probe.wait_for("tick");
    probe.send_value("slow");
    probe.wait_for("slow begins");
    probe.process.signal(Signal::Terminate).unwrap();
    assert_eq!(probe.exit_code(), Some(0), "{}", probe.output());
    let order = ["slow begins", "SIGTERM", "slow ends", "handled", "to=stopped", "stopped took"];
    let places = order.map(|text| probe.place_of(text));
    assert!(places.is_sorted(), "{order:?} {places:?}\n{}", probe.output());
    let lines = probe.process.lines();
    let late_tick = lines[places[2]..].iter().any(|line| line.text.contains("tick"));
    assert!(!late_tick, "jobs stop before listeners:\n{}", probe.output());
    assert!(lines.last().unwrap().text.contains("clean=true"));
    assert_eq!(committed(kafka, &probe.group, &probe.topic), Some(1));
}

#[test]
fn a_second_signal_exits_at_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut probe = Probe::start(kafka, &["--kafka.consumer.drain-timeout=30s"]);
    probe.send_value("stuck");
    probe.wait_for("stuck");
    probe.process.signal(Signal::Interrupt).unwrap();
    probe.wait_for("a second signal exits at once");
    let asked = Instant::now();
    probe.process.signal(Signal::Terminate).unwrap();
    assert_eq!(probe.exit_code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    probe.place_of("second signal: exiting at once");
    assert_eq!(committed(kafka, &probe.group, &probe.topic), None);
}

#[test]
fn a_listener_that_fails_beyond_its_budget_ends_the_program_with_1() {
    let Some(kafka) = Kafka::shared() else { return };
    let arguments = [
        "--kafka.error.attempts=2",
        "--kafka.error.backoff.initial=10ms",
        "--kafka.error.then=stop",
        "--kafka.supervision.restarts=1",
        "--kafka.supervision.backoff.initial=10ms",
    ];
    let mut probe = Probe::start(kafka, &arguments);
    probe.send_value("fine");
    probe.wait_for("handled");
    probe.send_value("fail");
    assert_eq!(probe.exit_code(), Some(1), "{}", probe.output());
    let output = probe.output();
    let count = |text: &str| output.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("attempt failed"), 2, "one for each of the two lives:\n{output}");
    assert_eq!(count("consumer failed; it will be started again"), 1, "{output}");
    assert_eq!(count("the listener gives up"), 1, "{output}");
    assert!(output.contains("listener `obey` failed"), "{output}");
    assert_eq!(committed(kafka, &probe.group, &probe.topic), Some(1));
}

#[test]
fn a_panic_in_a_handler_or_a_job_does_not_end_the_process() {
    let Some(kafka) = Kafka::shared() else { return };
    let arguments =
        ["--kafka.error.attempts=2", "--kafka.error.backoff.initial=10ms", "--kafka.error.then=skip"];
    let mut probe = Probe::start(kafka, &arguments);
    for value in ["panic", "fine"] {
        probe.send_value(value);
    }
    probe.wait_for("handled");
    let output = probe.output();
    assert_eq!(output.lines().filter(|line| line.contains("attempt failed")).count(), 1, "{output}");
    let skipped = output.lines().find(|line| line.contains("record skipped")).unwrap();
    assert!(skipped.contains(r"panicked: as the record wants\nand in two lines"), "{skipped}");
    let failed_run = probe.place_of("run failed; the schedule goes on");
    probe.process.wait_for_line_after(failed_run, DEADLINE, |line| line.contains(" tick ")).unwrap();
    probe.stop();
    assert_eq!(committed(kafka, &probe.group, &probe.topic), Some(2));
}

const HOSTILE: &str =
    "paid\n2026-01-01T00:00:00Z ERROR forged: line\r\u{1b}[2J\u{202e}reversed\u{2028}\u{7}\0 end";

#[test]
fn one_event_is_one_line_whatever_the_record_holds() {
    let Some(kafka) = Kafka::shared() else { return };
    for format in ["plain", "json"] {
        let arguments =
            [&format!("--logging.format={format}"), "--kafka.error.attempts=1", "--kafka.error.then=skip"];
        let mut probe = Probe::start(kafka, &arguments);
        let header = HeaderPair { key: "trace\n2026 ERROR forged", value: Some(&b"\xff\n\x1b[1m"[..]) };
        let headers = OwnedHeaders::new().insert(header);
        let record = BaseRecord::to(&probe.topic).key(&b"k\xff\n\x1b]0;title\x07"[..]);
        probe.send(record.payload(HOSTILE.as_bytes()).headers(headers));
        // One that cannot be read at all, and an error and a panic in two lines.
        probe.send(BaseRecord::to(&probe.topic).key(&b"\n\n"[..]).payload(&b"\xff\xfe\n"[..]));
        for value in ["fail", "panic", "fine"] {
            probe.send_value(value);
        }
        let (skip, _) =
            probe.process.wait_for_line_after(0, DEADLINE, |line| line.contains("handled")).unwrap();
        probe.process.wait_for_line_after(skip, DEADLINE, |line| line.contains("handled")).unwrap();
        probe.stop();
        let output = probe.output();
        assert_eq!(output.matches("record skipped").count(), 3, "{format}:\n{output}");
        for line in output.lines() {
            assert!(
                !line.contains(['\u{1b}', '\r', '\u{202e}', '\u{2028}', '\u{7}', '\0']),
                "{format}: {line:?}"
            );
            if format == "json" {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
            } else {
                let mut words = line.split_whitespace();
                let time = words.next().unwrap();
                assert!(time.len() == 27 && time.ends_with('Z'), "not the start of an event: {line:?}");
                assert!(["INFO", "WARN", "ERROR"].contains(&words.next().unwrap()), "{line:?}");
            }
        }
        let forged = output.lines().filter(|line| line.contains("forged")).count();
        assert_eq!(forged, 1, "{format}: the hostile record is one line:\n{output}");
    }
}

#[kafka_listener(topic = "${test.topic}", group = "${test.group}")]
async fn take(record: Record<String>, notes: Bean<Notes>) -> Result<()> {
    if record.value() == "fail" {
        return Err(HandlerError::msg("as the record wants"));
    }
    notes.add(record.value().clone());
    Ok(())
}

#[kafka_listener(topic = "${test.topic}", group = "${test.group}-other")]
async fn other(record: Record<String>, notes: Bean<Notes>) {
    notes.add(format!("other {}", record.value()));
}

fn app(load_options: LoadOptions) -> kafka_boot::App {
    let app = kafka_boot::App::new().without_discovery().without_logging();
    app.load_options(load_options).bean(Notes::default())
}

/// Arguments with a topic and a group of one's own.
fn own(kafka: &Kafka, more: &[&str]) -> (String, String, LoadOptions) {
    let (topic, group) = (unique_name("lifecycle"), unique_name("lifecycle"));
    kafka.create_topic(&topic, 1).unwrap();
    let (topic_key, group_key) = (format!("test.topic={topic}"), format!("test.group={group}"));
    let arguments = [topic_key.as_str(), &group_key];
    let options = options(kafka, arguments.into_iter().chain(more.iter().copied()));
    (topic, group, options)
}

/// Waits for a state of a listener, which is told if it does not come.
#[track_caller]
fn until<'a>(
    app: &'a RunningApp,
    id: &str,
    wanted: impl FnMut(&ListenerState) -> bool + 'a,
) -> impl Future<Output = ListenerState> {
    let caller = std::panic::Location::caller();
    let mut state = app.listeners().watch(id).unwrap();
    async move {
        let reached = tokio::time::timeout(DEADLINE, state.wait_for(wanted)).await;
        reached.unwrap_or_else(|_| panic!("{caller}: {:?}", app.listeners())).unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_waits_for_the_first_assignment() {
    let Some(kafka) = Kafka::shared() else { return };
    let (topic, group, load_options) = own(kafka, &["lifecycle.startup-timeout=1s"]);
    // A member that does not answer holds the group, so that nobody else gets an assignment.
    let blocker: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", &group)
        .set("partition.assignment.strategy", "range")
        .create()
        .unwrap();
    blocker.subscribe(&[&topic]).unwrap();
    tokio::task::block_in_place(|| {
        eventually(DEADLINE, "the other member to be assigned", || {
            drop(blocker.poll(Duration::from_millis(50)));
            blocker.assignment().is_ok_and(|assigned| assigned.count() == 1)
        });
    });

    let app = app(load_options).listeners(listeners![take]).start().await.unwrap();
    assert!(!app.health().is_ready());
    let report = app.health().report();
    assert_eq!(report.status, HealthStatus::OutOfService);
    assert_eq!(report.listeners[0].detail.as_deref(), Some("waiting for its first assignment"));
    drop(blocker);
    eventually_async(DEADLINE, "the application to be ready", async || app.health().is_ready()).await;
    assert_eq!(app.health().report().status, HealthStatus::Up);
    assert_eq!(app.listeners().get("take").unwrap().assigned, [[format!("{topic}-0")]]);
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_fails_can_stop_alone_and_health_says_so() {
    let Some(kafka) = Kafka::shared() else { return };
    let more = [
        "kafka.error.attempts=1",
        "kafka.error.then=stop",
        "kafka.supervision.restarts=0",
        "kafka.supervision.escalation=stop-listener",
    ];
    let (topic, group, load_options) = own(kafka, &more);
    let app = app(load_options).listeners(listeners![take, other]).start().await.unwrap();
    let template: Bean<KafkaTemplate> = app.beans().bean().unwrap();
    let notes: Bean<Notes> = app.beans().bean().unwrap();
    template.send(&topic, "fail").await.unwrap();
    let failed = until(&app, "take", |state| matches!(state, ListenerState::Failed(_))).await;
    assert!(failed.to_string().contains("as the record wants"), "{failed}");
    let report = app.health().report();
    assert_eq!(report.status, HealthStatus::Down);
    let parts: Vec<_> = report.listeners.iter().map(|part| (part.id.as_str(), part.status)).collect();
    assert_eq!(parts, [("other", HealthStatus::Up), ("take", HealthStatus::Down)]);
    template.send(&topic, "fine").await.unwrap();
    assert_eq!(notes.first(2).await, ["other fail", "other fine"]);
    assert_eq!(committed(kafka, &group, &topic), None);

    // Somebody starts it again: it fails at the same record again, and nothing is lost.
    app.listeners().start("take").await.unwrap();
    until(&app, "take", |state| *state == ListenerState::Starting || *state == ListenerState::Running).await;
    until(&app, "take", |state| matches!(state, ListenerState::Failed(_))).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_consumer_backs_off_and_runs_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let more = [
        "kafka.error.attempts=1",
        "kafka.error.then=stop",
        "kafka.supervision.restarts=100",
        "kafka.supervision.backoff.initial=1s",
    ];
    let (topic, _, load_options) = own(kafka, &more);
    let app = app(load_options).listeners(listeners![take]).start().await.unwrap();
    let template: Bean<KafkaTemplate> = app.beans().bean().unwrap();
    template.send(&topic, "fail").await.unwrap();
    until(&app, "take", |state| *state == ListenerState::BackingOff).await;
    assert_eq!(app.health().report().status, HealthStatus::Down);
    until(&app, "take", |state| *state == ListenerState::Running).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_goes_through_its_states_as_the_registry_says() {
    let Some(kafka) = Kafka::shared() else { return };
    let (topic, group, load_options) = own(kafka, &[]);
    let app = app(load_options).listeners(listeners![take, other]).start().await.unwrap();
    let template: Bean<KafkaTemplate> = app.beans().bean().unwrap();
    let notes: Bean<Notes> = app.beans().bean().unwrap();
    let registry: Bean<ListenerRegistry> = app.beans().bean().unwrap();
    let is = |wanted: ListenerState| move |state: &ListenerState| *state == wanted;
    assert_eq!(registry.get("take").unwrap().state, ListenerState::Running);

    registry.pause("take").await.unwrap();
    until(&app, "take", is(ListenerState::Paused)).await;
    template.send(&topic, "1").await.unwrap();
    // The other group has seen it, so the paused one had the time to.
    assert_eq!(notes.first(1).await, ["other 1"]);
    assert_eq!(app.health().report().status, HealthStatus::Up);
    assert_eq!(registry.get("take").unwrap().assigned, [[format!("{topic}-0")]], "still a member");
    registry.resume("take").await.unwrap();
    until(&app, "take", is(ListenerState::Running)).await;
    assert_eq!(notes.first(2).await, ["other 1", "1"]);

    registry.stop("take").await.unwrap();
    assert_eq!(registry.get("take").unwrap().state, ListenerState::Stopped);
    assert!(registry.get("take").unwrap().assigned.is_empty());
    assert_eq!(committed(kafka, &group, &topic), Some(1));
    template.send(&topic, "2").await.unwrap();
    assert_eq!(notes.first(3).await[2], "other 2");
    registry.start("take").await.unwrap();
    until(&app, "take", is(ListenerState::Running)).await;
    assert_eq!(notes.first(4).await[3], "2");

    // A pause outlives a stop and a start.
    registry.pause("take").await.unwrap();
    registry.stop("take").await.unwrap();
    registry.start("take").await.unwrap();
    until(&app, "take", is(ListenerState::Paused)).await;
    let unknown = registry.pause("tke").await.unwrap_err().to_string();
    assert_eq!(unknown, "no listener has the id `tke`; the ids are: `other`, `take`");
    assert_eq!(app.stop().await, Ended::Clean);
}

struct Alpha;
struct Beta;
struct Gamma;

#[bean]
fn alpha(beta: Bean<Beta>) -> Alpha {
    drop(beta);
    Alpha
}

#[bean]
fn beta(gamma: Bean<Gamma>) -> Beta {
    drop(gamma);
    Beta
}

#[bean]
fn gamma(alpha: Bean<Alpha>) -> Gamma {
    drop(alpha);
    Gamma
}

#[bean]
fn gamma_again() -> Gamma {
    Gamma
}

#[bean]
async fn gamma_that_fails() -> Result<Gamma> {
    Err(HandlerError::msg("the database is away"))
}

#[scheduled(fixed_delay = "1h", initial_delay = "1h")]
async fn needs_alpha(alpha: Bean<Alpha>) {
    drop(alpha);
}

async fn refused(app: kafka_boot::App) -> StartError {
    let arguments = vec!["--kafka.bootstrap-servers=localhost:1".to_owned()];
    let load_options = LoadOptions { arguments, ..LoadOptions::default() };
    app.without_discovery().without_logging().load_options(load_options).start().await.unwrap_err()
}

#[tokio::test]
async fn beans_that_cannot_be_made_are_an_error_that_names_the_chain() {
    let new = || kafka_boot::App::new().jobs(jobs![needs_alpha]);
    let rows: [(kafka_boot::App, &[&str]); 6] = [
        (
            new().bean_functions(bean_functions![alpha, beta, gamma]),
            &["in a cycle: ", "Alpha` (", " → ", "Beta` (", "Gamma` (", "lifecycle.rs:"],
        ),
        (
            new().bean_functions(bean_functions![alpha, beta]),
            &[
                "no bean of type `",
                "Gamma`",
                "add `#[bean] fn …`",
                "needed by ",
                "Alpha` (",
                " → ",
                "Beta` (",
            ],
        ),
        (new(), &["job `needs_alpha` (", "lifecycle.rs:", "no bean of type `", "Alpha`"]),
        (
            new().bean_functions(bean_functions![gamma_again, gamma_that_fails]),
            &["two functions make bean `", "Gamma`: at ", " and at ", "#[bean(name = "],
        ),
        (new().bean(Gamma).bean(Gamma), &["two beans of type `", "Gamma`", "`named_bean`"]),
        (
            new().bean_functions(bean_functions![alpha, beta, gamma_that_fails]),
            &["Gamma` of `", "gamma_that_fails` (", "failed: the database is away"],
        ),
    ];
    for (app, expected) in rows {
        let error = refused(app).await;
        let text = error.to_string();
        let mut rest = text.as_str();
        for part in expected {
            let at =
                rest.find(part).unwrap_or_else(|| panic!("`{part}` is not there, or not in order: {text}"));
            rest = &rest[at + part.len()..];
        }
        assert_eq!((error.kind(), error.exit_code()), (StartErrorKind::Bean, 1), "{text}");
    }
}

struct East;
impl Qualifier for East {
    const NAME: &'static str = "east";
}

struct West;
impl Qualifier for West {
    const NAME: &'static str = "west";
}

#[kafka_listener(topic = "${test.topic}", group = "${test.group}", cluster = "east")]
async fn from_east(
    record: Record<String>,
    notes: Bean<Notes>,
    east: Bean<KafkaTemplate, East>,
) -> Result<()> {
    notes.add(format!("east {}", record.value()));
    if record.value() == "ping" {
        east.send(record.topic(), "pong").await?;
    }
    Ok(())
}

#[kafka_listener(topic = "${test.topic}", group = "${test.group}", cluster = "west")]
async fn from_west(record: Record<String>) {
    drop(record);
}

#[scheduled(fixed_delay = "1h", initial_delay = "1h")]
async fn to_west(west: Bean<KafkaTemplate, West>) {
    drop(west);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_cluster_has_its_own_template_and_listeners() {
    let Some(kafka) = Kafka::shared() else { return };
    let servers = format!("kafka.clusters.east.bootstrap-servers={}", kafka.bootstrap_servers());
    // The default cluster is nowhere: whoever needs it fails.
    let more = [servers.as_str(), "kafka.clusters.east.client-id=to-the-east"];
    let (topic, group, mut load_options) = own(kafka, &more);
    load_options.arguments[0] = "--kafka.bootstrap-servers=localhost:1".to_owned();
    let west = load_options.clone();
    let app = app(load_options).listeners(listeners![from_east]).start().await.unwrap();
    let east: Bean<KafkaTemplate, East> = app.beans().bean().unwrap();
    assert!(format!("{east:?}").contains("cluster: \"east\""), "{east:?}");
    let settings = app.listeners().get("from_east").unwrap().settings;
    assert_eq!(settings.cluster.as_deref(), Some("east"));
    east.send(&topic, "ping").await.unwrap();
    let notes: Bean<Notes> = app.beans().bean().unwrap();
    assert_eq!(notes.first(2).await, ["east ping", "east pong"]);
    assert_eq!(app.stop().await, Ended::Clean);
    assert_eq!(committed(kafka, &group, &topic), Some(2));

    let unknown = self::app(west.clone()).listeners(listeners![from_west]).start().await.unwrap_err();
    assert_eq!(unknown.exit_code(), 78);
    let text = unknown.to_string();
    assert!(
        text.contains("there is no cluster `west`")
            && text.contains("declare it under `kafka.clusters.west`"),
        "{text}"
    );
    let unknown = self::app(west).jobs(jobs![to_west]).start().await.unwrap_err().to_string();
    assert!(unknown.contains("named `west` (beans of that type are: the primary one, `east`)"), "{unknown}");
}
