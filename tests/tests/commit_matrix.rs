//! What is committed when: each commit mode with each ack mode, on real Kafka.
//!
//! Ten records of one partition make two polled batches of five. A gate holds the handler in the middle of the first
//! batch and at the start of the second, while an observer outside of the group looks at what is committed: that is
//! where a new consumer would start if this one died now.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{Ended, ListenerRegistry, ListenerState, Primary, RunningApp, StartErrorKind, listeners};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::{Observer, look};
use kafka_boot_tests::process::{Process, Program, Signal};
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Gate, options};
use kafka_boot_tests::wait::eventually_async;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(40);
/// How long what is committed is looked at, to see that it stays.
const STAY: Duration = Duration::from_millis(300);
/// How many applications run at once.
const AT_ONCE: usize = 9;

#[kafka_listener(id = "matrix", topic = "${test.topic}")]
async fn by_record(record: Record<String>, gate: Bean<Gate>) -> Result<()> {
    gate.pass(record.offset()).await
}

#[kafka_listener(id = "matrix", topic = "${test.topic}", ack_mode = "manual")]
async fn by_record_acknowledged(record: Record<String>, ack: Ack, gate: Bean<Gate>) -> Result<()> {
    gate.pass(record.offset()).await?;
    ack.acknowledge();
    Ok(())
}

#[kafka_listener(id = "matrix", topic = "${test.topic}")]
async fn by_batch(batch: Batch<String>, gate: Bean<Gate>) -> Result<()> {
    for record in &batch {
        gate.pass(record.offset()).await?;
    }
    Ok(())
}

#[kafka_listener(id = "matrix", topic = "${test.topic}", ack_mode = "manual")]
async fn by_batch_acknowledged(batch: Batch<String>, ack: Ack, gate: Bean<Gate>) -> Result<()> {
    for record in &batch {
        gate.pass(record.offset()).await?;
    }
    ack.acknowledge();
    Ok(())
}

#[kafka_listener(id = "matrix", topic = "${test.topic}")]
fn on_a_thread(record: Record<String>, gate: Bean<Gate>) -> Result<()> {
    gate.pass_blocking(record.offset())
}

#[kafka_listener(id = "matrix", topic = "${test.topic}", ack_mode = "manual")]
fn on_a_thread_acknowledged(record: Record<String>, ack: Ack, gate: Bean<Gate>) -> Result<()> {
    gate.pass_blocking(record.offset())?;
    ack.acknowledge();
    Ok(())
}

/// What kind of function handles the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Record,
    Batch,
    Thread,
}

/// One pair of modes, with further settings of the listener.
#[derive(Debug, Clone, Copy)]
struct Mode {
    commit: &'static str,
    ack: &'static str,
    more: &'static [&'static str],
}

const fn mode(commit: &'static str, ack: &'static str, more: &'static [&'static str]) -> Mode {
    Mode { commit, ack, more }
}

/// Far beyond any test.
const NEVER: &[&str] = &["ack-time=1h"];
const SOON: &[&str] = &["ack-time=100ms"];

impl Mode {
    fn arguments(&self) -> Vec<String> {
        let own = [format!("commit={}", self.commit), format!("ack-mode={}", self.ack)];
        let more = self.more.iter().map(|more| (*more).to_owned());
        own.into_iter().chain(more).map(|setting| format!("kafka.listeners.matrix.{setting}")).collect()
    }

    fn descriptor(&self, form: Form) -> &'static [&'static kafka_boot::__private::ListenerDescriptor] {
        match (form, self.ack.starts_with("manual")) {
            (Form::Record, false) => listeners![by_record],
            (Form::Record, true) => listeners![by_record_acknowledged],
            (Form::Batch, false) => listeners![by_batch],
            (Form::Batch, true) => listeners![by_batch_acknowledged],
            (Form::Thread, false) => listeners![on_a_thread],
            (Form::Thread, true) => listeners![on_a_thread_acknowledged],
        }
    }
}

/// An application that reads with a group of its own.
struct Service {
    app: RunningApp,
    gate: Bean<Gate>,
    group: String,
}

impl Service {
    async fn start(kafka: &Kafka, topic: &str, modes: (Form, Mode), gate: Gate, others: &[&str]) -> Self {
        Self::start_in(unique_name("matrix"), kafka, topic, modes, gate, others).await
    }

    async fn start_in(
        group: String,
        kafka: &Kafka,
        topic: &str,
        (form, mode): (Form, Mode),
        gate: Gate,
        others: &[&str],
    ) -> Self {
        let mut arguments = mode.arguments();
        arguments.push(format!("test.topic={topic}"));
        arguments.push(format!("kafka.consumer.group-id={group}"));
        arguments.push("kafka.consumer.max-poll-records=5".to_owned());
        arguments.push("kafka.error.attempts=1".to_owned());
        arguments.extend(others.iter().map(|other| (*other).to_owned()));
        let app = kafka_boot::App::new()
            .without_discovery()
            .listeners(mode.descriptor(form))
            .load_options(options(kafka, arguments.iter().map(String::as_str)))
            .bean(gate)
            .without_logging();
        let app = app.start().await.unwrap();
        let gate = app.beans().bean::<Gate, Primary>().unwrap();
        Self { app, gate, group }
    }

    async fn stop(self) -> String {
        assert_eq!(self.app.stop().await, Ended::Clean);
        self.group
    }
}

/// A topic of one partition that holds ten records, written in one batch; every test of this file reads it.
fn ten_records(kafka: &Kafka) -> &'static str {
    static TOPIC: OnceLock<String> = OnceLock::new();
    TOPIC.get_or_init(|| {
        let topic = unique_name("matrix");
        kafka.create_topic(&topic, 1).unwrap();
        let seeded = Seeding::new(&topic, 10).produce(kafka.bootstrap_servers()).unwrap();
        assert_eq!(seeded.acked.len(), 10);
        topic
    })
}

fn committed(kafka: &Kafka, group: &str, topic: &str) -> Option<i64> {
    look(kafka.bootstrap_servers(), group, topic, 1).unwrap()[0].committed
}

/// Waits until this is what is committed, and looks whether it stays.
async fn comes_and_stays(observer: &Observer, expected: Option<i64>, what: &str) {
    let seen = || observer.latest().first().map(|sample| sample.committed);
    eventually_async(DEADLINE, what, async || match seen() {
        Some(found) if found == expected => Ok(()),
        found => Err(format!("committed is {found:?} instead of {expected:?}")),
    })
    .await;
    let since = Instant::now();
    let at = observer.latest()[0].at_ns;
    eventually_async(DEADLINE, "some more looks", async || {
        assert_eq!(seen(), Some(expected), "{what}: it did not stay");
        since.elapsed() >= STAY && observer.latest()[0].at_ns > at
    })
    .await;
}

/// What is committed while the third record is handled, while the sixth is, when all ten are done, and after a stop.
type Expected = [Option<i64>; 4];

async fn walk_through(kafka: &Kafka, topic: &str, form: Form, mode: Mode, expected: Expected) {
    let label = |when: &str| format!("{form:?} {} {} {:?}: {when}", mode.commit, mode.ack, mode.more);
    let service = Service::start(kafka, topic, (form, mode), Gate::closed_at(2), &[]).await;
    let observer = Observer::start(kafka.bootstrap_servers(), &service.group, topic, 1).unwrap();
    service.gate.until_reached(2).await;
    comes_and_stays(&observer, expected[0], &label("in the middle of a batch")).await;
    service.gate.open_to(5);
    service.gate.until_reached(5).await;
    comes_and_stays(&observer, expected[1], &label("between two batches")).await;
    service.gate.open_to(10);
    service.gate.until_handled(10).await;
    comes_and_stays(&observer, expected[2], &label("with nothing left to do")).await;
    let group = service.stop().await;
    assert_eq!(committed(kafka, &group, topic), expected[3], "{}", label("after a stop"));
}

/// Runs a test for every row, some at once.
async fn for_each<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    rows: impl IntoIterator<Item = T>,
    test: impl Fn(T) -> F,
) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for row in rows {
        let (test, permits) = (test(row), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            test.await;
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(failed) = ended {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}

async fn walk_through_all(form: Form, rows: impl IntoIterator<Item = (Mode, Expected)>) {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    for_each(rows, |(mode, expected)| walk_through(kafka, topic, form, mode, expected)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_listener_commits_what_its_modes_say_at_each_moment() {
    let mut rows = Vec::new();
    for commit in ["sync", "async"] {
        rows.extend([
            (mode(commit, "record", &[]), [Some(2), Some(5), Some(10), Some(10)]),
            (mode(commit, "batch", &[]), [None, Some(5), Some(10), Some(10)]),
            (mode(commit, "time", NEVER), [None, None, None, Some(10)]),
            (mode(commit, "time", SOON), [None, Some(5), Some(10), Some(10)]),
            (mode(commit, "count", &["ack-count=7"]), [None, None, Some(10), Some(10)]),
            (mode(commit, "count", &["ack-count=3"]), [None, Some(5), Some(10), Some(10)]),
            (mode(commit, "count-time", &["ack-count=7", "ack-time=1h"]), [None, None, Some(10), Some(10)]),
            (
                mode(commit, "count-time", &["ack-count=100", "ack-time=100ms"]),
                [None, Some(5), Some(10), Some(10)],
            ),
            (mode(commit, "count-time", &["ack-count=100", "ack-time=1h"]), [None, None, None, Some(10)]),
        ]);
    }
    for commit in ["sync", "async", "manual"] {
        rows.extend([
            (mode(commit, "manual", &[]), [None, Some(5), Some(10), Some(10)]),
            (mode(commit, "manual-immediate", &[]), [Some(2), Some(5), Some(10), Some(10)]),
        ]);
    }
    rows.extend([
        (mode("auto", "batch", &["auto-commit-interval=100ms"]), [None, Some(5), Some(10), Some(10)]),
        (mode("auto", "batch", &["auto-commit-interval=1h"]), [None, None, None, Some(10)]),
    ]);
    walk_through_all(Form::Record, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_listener_commits_whole_batches() {
    let whole = [None, Some(5), Some(10), Some(10)];
    let rows = [
        (mode("sync", "batch", &[]), whole),
        (mode("async", "batch", &[]), whole),
        (mode("sync", "time", NEVER), [None, None, None, Some(10)]),
        (mode("async", "count", &["ack-count=7"]), [None, None, Some(10), Some(10)]),
        (mode("sync", "count-time", &["ack-count=100", "ack-time=100ms"]), whole),
        (mode("manual", "manual", &[]), whole),
        (mode("manual", "manual-immediate", &[]), whole),
        (mode("auto", "batch", &["auto-commit-interval=100ms"]), whole),
    ];
    walk_through_all(Form::Batch, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_function_commits_as_an_async_one_does() {
    let rows = [
        (mode("sync", "record", &[]), [Some(2), Some(5), Some(10), Some(10)]),
        (mode("async", "record", &[]), [Some(2), Some(5), Some(10), Some(10)]),
        (mode("sync", "batch", &[]), [None, Some(5), Some(10), Some(10)]),
        (mode("sync", "time", NEVER), [None, None, None, Some(10)]),
        (mode("async", "count", &["ack-count=7"]), [None, None, Some(10), Some(10)]),
        (mode("manual", "manual", &[]), [None, Some(5), Some(10), Some(10)]),
        (mode("manual", "manual-immediate", &[]), [Some(2), Some(5), Some(10), Some(10)]),
        (mode("auto", "batch", &["auto-commit-interval=100ms"]), [None, Some(5), Some(10), Some(10)]),
    ];
    walk_through_all(Form::Thread, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_commit_the_partitions_that_each_of_them_has() {
    let Some(kafka) = Kafka::shared() else { return };
    let rows = [
        (mode("sync", "record", &[]), true),
        (mode("async", "batch", &[]), true),
        (mode("sync", "time", NEVER), false),
        (mode("async", "count", &["ack-count=1000"]), false),
        (mode("manual", "manual", &[]), true),
        (mode("manual", "manual-immediate", &[]), true),
        (mode("auto", "batch", &["auto-commit-interval=100ms"]), true),
    ];
    for_each(rows, |(mode, commits_at_once)| async move {
        let topic = unique_name("matrix-two");
        kafka.create_topic(&topic, 2).unwrap();
        let more = ["kafka.listeners.matrix.concurrency=2"];
        let service = Service::start(kafka, &topic, (Form::Record, mode), Gate::open(), &more).await;
        // A rebalance commits as well, so the records come after the last one.
        eventually_async(DEADLINE, "a partition for each consumer", async || {
            let assigned = service.app.listeners().get("matrix").unwrap().assigned;
            assigned.iter().map(Vec::len).eq([1, 1])
        })
        .await;
        let seeded = Seeding::new(&topic, 60).keys(60).produce(kafka.bootstrap_servers()).unwrap();
        let ends = [0, 1].map(|partition| {
            let count = seeded.acked.iter().filter(|produced| produced.partition == partition).count();
            Some(i64::try_from(count).unwrap())
        });
        assert!(ends.iter().all(|end| *end > Some(0)), "{ends:?}");
        let seen = |group: &str| -> Vec<Option<i64>> {
            let samples = look(kafka.bootstrap_servers(), group, &topic, 2).unwrap();
            samples.iter().map(|sample| sample.committed).collect()
        };
        service.gate.until_handled(60).await;
        let idle = if commits_at_once { ends } else { [None, None] };
        eventually_async(DEADLINE, &format!("{mode:?} to commit {idle:?}"), async || {
            let found = seen(&service.group);
            if found == idle { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        let group = service.stop().await;
        assert_eq!(seen(&group), ends, "{mode:?}");
    })
    .await;
}

/// One row for each way to commit, each of them lazy where it can be.
const EVERY_WAY: [Mode; 10] = [
    mode("sync", "record", &[]),
    mode("async", "record", &[]),
    mode("sync", "batch", &[]),
    mode("async", "batch", &[]),
    mode("sync", "time", NEVER),
    mode("async", "count", &["ack-count=1000"]),
    mode("sync", "count-time", &["ack-count=1000", "ack-time=1h"]),
    mode("manual", "manual", &[]),
    mode("manual", "manual-immediate", &[]),
    mode("auto", "batch", &["auto-commit-interval=1h"]),
];

/// `record` has no meaning for a batch, and a combination that starts is in the table.
fn is_possible(form: Form, mode: Mode) -> bool {
    form != Form::Batch || mode.ack != "record"
}

fn every_way() -> impl Iterator<Item = (Form, Mode)> {
    let forms = [Form::Record, Form::Batch, Form::Thread];
    let pairs = forms.into_iter().flat_map(|form| EVERY_WAY.into_iter().map(move |mode| (form, mode)));
    pairs.filter(|(form, mode)| is_possible(*form, *mode))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_stops_the_listener_commits_what_precedes_it_and_no_more() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    for_each(every_way(), |(form, mode)| async move {
        let more = [
            "kafka.error.then=stop",
            "kafka.supervision.restarts=0",
            "kafka.supervision.escalation=stop-listener",
        ];
        let service = Service::start(kafka, topic, (form, mode), Gate::failing_at(7), &more).await;
        let mut state = service.app.listeners().watch("matrix").unwrap();
        let failed = state.wait_for(|state| matches!(state, ListenerState::Failed(_))).await.unwrap().clone();
        // A batch fails as a whole.
        let (expected, at) = if form == Form::Batch { (5, "@5") } else { (7, "@7") };
        assert!(failed.to_string().contains(at), "{form:?} {mode:?}: {failed}");
        assert_eq!(committed(kafka, &service.group, topic), Some(expected), "{form:?} {mode:?}");
        service.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_is_skipped_is_committed_like_any_other_record() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    for_each(every_way(), |(form, mode)| async move {
        let more = ["kafka.error.then=skip"];
        let service = Service::start(kafka, topic, (form, mode), Gate::failing_at(7), &more).await;
        // Of a batch, the records before the one that fails have passed the gate.
        let handled = if form == Form::Batch { 7 } else { 9 };
        service.gate.until_handled(handled).await;
        let eager = mode.more.is_empty();
        if eager {
            let group = service.group.clone();
            eventually_async(DEADLINE, &format!("{form:?} {mode:?} to commit"), async || {
                let found = committed(kafka, &group, topic);
                if found == Some(10) { Ok(()) } else { Err(format!("committed is {found:?}")) }
            })
            .await;
        }
        let group = service.stop().await;
        assert_eq!(committed(kafka, &group, topic), Some(10), "{form:?} {mode:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_batch_commits_exactly_what_was_handled() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    for_each(every_way(), |(form, mode)| async move {
        let service = Service::start(kafka, topic, (form, mode), Gate::closed_at(2), &[]).await;
        service.gate.until_reached(2).await;
        let registry = service.app.beans().bean::<ListenerRegistry, Primary>().unwrap();
        let mut state = registry.watch("matrix").unwrap();
        let stopping = tokio::spawn(async move { registry.stop("matrix").await });
        state.wait_for(|state| *state == ListenerState::Stopping).await.unwrap();
        service.gate.open_to(10);
        stopping.await.unwrap().unwrap();
        let handled = i64::try_from(service.gate.handled()).unwrap();
        assert!(handled >= 3, "the record in hand is finished");
        assert_eq!(committed(kafka, &service.group, topic), Some(handled), "{form:?} {mode:?}");
        assert_eq!(*state.borrow(), ListenerState::Stopped);
        service.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mode_with_a_time_commits_also_when_nothing_more_comes() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    let rows = [
        mode("sync", "time", &["ack-time=2s"]),
        mode("async", "count-time", &["ack-count=1000", "ack-time=2s"]),
    ];
    for_each(rows, |mode| async move {
        let service = Service::start(kafka, topic, (Form::Record, mode), Gate::open(), &[]).await;
        service.gate.until_handled(10).await;
        let observer = Observer::start(kafka.bootstrap_servers(), &service.group, topic, 1).unwrap();
        comes_and_stays(&observer, Some(10), "the time to be over").await;
        service.stop().await;
    })
    .await;
}

/// The child of the next test: handles records until it is killed, and says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test, as a process to kill"]
async fn service_to_kill() {
    let arguments = std::env::var("MATRIX_ARGUMENTS").unwrap();
    let closed_at = std::env::var("MATRIX_CLOSED_AT").unwrap().parse().unwrap();
    let kafka = Kafka::shared().unwrap();
    let app = kafka_boot::App::new().without_discovery().without_logging().bean(Gate::closed_at(closed_at));
    let acknowledged = arguments.contains("ack-mode=manual");
    let listeners = if acknowledged { listeners![by_record_acknowledged] } else { listeners![by_record] };
    let app = app.listeners(listeners).load_options(options(kafka, arguments.split(' ')));
    let app = app.start().await.unwrap();
    let gate = app.beans().bean::<Gate, Primary>().unwrap();
    gate.until_reached(closed_at).await;
    println!("held");
    app.run().await;
}

fn start_child(kafka: &Kafka, arguments: &str, closed_at: i64) -> Process {
    Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "service_to_kill", "--ignored", "--nocapture"])
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
        .env("MATRIX_ARGUMENTS", arguments)
        .env("MATRIX_CLOSED_AT", closed_at.to_string())
        .start()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_in_the_middle_of_a_batch_the_next_process_starts_where_the_modes_say() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = ten_records(kafka);
    let rows = [
        (mode("sync", "record", &[]), 2),
        (mode("async", "record", &[]), 2),
        (mode("sync", "batch", &[]), 0),
        (mode("async", "count", &["ack-count=1"]), 0),
        (mode("sync", "time", SOON), 0),
        (mode("manual", "manual", &[]), 0),
        (mode("manual", "manual-immediate", &[]), 2),
        (mode("auto", "batch", &["auto-commit-interval=100ms"]), 0),
    ];
    for_each(rows, |(mode, expected)| async move {
        let group = unique_name("matrix-kill");
        let mut arguments = mode.arguments();
        arguments.push(format!("test.topic={topic}"));
        arguments.push(format!("kafka.consumer.group-id={group}"));
        arguments.push("kafka.consumer.max-poll-records=5".to_owned());
        let child = start_child(kafka, &arguments.join(" "), 2);
        let child = tokio::task::spawn_blocking(move || {
            child.wait_for_line(DEADLINE, |line| line.contains("held")).map(|_| child)
        });
        let mut child = child.await.unwrap().unwrap();
        if expected > 0 {
            eventually_async(DEADLINE, &format!("{mode:?} to commit"), async || {
                committed(kafka, &group, topic) == Some(expected)
            })
            .await;
        }
        child.signal(Signal::Kill).unwrap();
        child.wait(DEADLINE).unwrap();

        // Closed to all: the first record to come stays the only one.
        let gate = Gate::closed_at(0);
        let next = Service::start_in(group, kafka, topic, (Form::Record, mode), gate, &[]).await;
        next.gate.until_reached(0).await;
        assert_eq!(next.gate.reached(), expected, "{mode:?}");
        next.gate.open_to(10);
        next.app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn modes_that_make_no_sense_together_are_refused_at_the_start_with_a_remedy() {
    let by_timer = "`commit: auto` commits by a timer and has no `ack-mode`";
    let whatever = "`commit: auto` commits by a timer, whatever the handler acknowledges";
    let goes_with = "`commit: manual` goes with `ack-mode: manual` or `ack-mode: manual-immediate`";
    let mut rows = Vec::new();
    for ack in ["record", "time", "count", "count-time"] {
        rows.push((Form::Record, listeners![by_record], "auto", ack, by_timer));
    }
    for ack in ["manual", "manual-immediate"] {
        rows.push((Form::Record, listeners![by_record_acknowledged], "auto", ack, whatever));
        rows.push((Form::Record, listeners![by_record], "sync", ack, "its function takes no `Ack`"));
    }
    for ack in ["record", "batch", "time", "count", "count-time"] {
        rows.push((Form::Record, listeners![by_record_acknowledged], "manual", ack, goes_with));
        let takes = "its function takes an `Ack`, and its ack mode is not manual";
        rows.push((Form::Record, listeners![by_record_acknowledged], "async", ack, takes));
    }
    let no_single = "there is no single record to commit after";
    rows.push((Form::Batch, listeners![by_batch], "sync", "record", no_single));
    for (form, listeners, commit, ack, expected) in rows {
        let arguments = [
            "--test.topic=unread".to_owned(),
            "--kafka.bootstrap-servers=localhost:1".to_owned(),
            "--kafka.consumer.group-id=unused".to_owned(),
            format!("--kafka.listeners.matrix.commit={commit}"),
            format!("--kafka.listeners.matrix.ack-mode={ack}"),
        ];
        let load_options = kafka_boot::config::LoadOptions {
            arguments: arguments.to_vec(),
            own_sections: vec!["test".to_owned()],
            ..kafka_boot::config::LoadOptions::default()
        };
        let app = kafka_boot::App::new().without_discovery().listeners(listeners).bean(Gate::open());
        let error = app.load_options(load_options).without_logging().start().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{form:?} {commit} {ack}: {text}");
        assert_eq!((error.kind(), error.exit_code()), (StartErrorKind::Configuration, 78), "{text}");
    }
}
