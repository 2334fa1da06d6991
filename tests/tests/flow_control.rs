//! What holds a listener back, and what changes it while it runs: time limits, rates, circuits, concurrency.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{
    Ended, HandlerError, HealthStatus, ListenerControlErrorKind, ListenerState, RunningApp, listeners,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::look;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// What the handlers depend on, and what they tell.
#[derive(Default)]
struct World {
    /// The dependency of all handlers does not answer.
    is_down: AtomicBool,
    /// The first attempt at this offset never ends.
    hangs_at: Mutex<Option<i64>>,
    /// How often each record was handled to a good end, by partition and offset.
    handled: Mutex<BTreeMap<(i32, i64), usize>>,
    attempts: AtomicUsize,
    at_work: AtomicUsize,
    at_work_max: AtomicUsize,
    /// How long work takes.
    work: Mutex<Duration>,
}

impl World {
    fn begin(&self) {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let at_work = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_work_max.fetch_max(at_work, Ordering::SeqCst);
    }

    fn hangs(&self, meta: &RecordMeta) -> bool {
        self.hangs_at.lock().unwrap().take_if(|offset| *offset == meta.offset()).is_some()
    }

    fn end(&self, meta: &RecordMeta) -> Result<()> {
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(HandlerError::msg("connection refused"));
        }
        *self.handled.lock().unwrap().entry((meta.partition(), meta.offset())).or_default() += 1;
        Ok(())
    }

    fn count(&self) -> usize {
        self.handled.lock().unwrap().len()
    }

    async fn until_handled(&self, count: usize) {
        eventually_async(DEADLINE, "records to be handled", || async {
            let handled = self.count();
            if handled >= count { Ok(()) } else { Err(format!("{handled} of {count}")) }
        })
        .await;
    }

    fn work(&self) -> Duration {
        *self.work.lock().unwrap()
    }
}

#[kafka_listener(id = "waits", topic = "${test.topic}", group = "${test.topic}", handler_timeout = 0)]
async fn waits(meta: RecordMeta, world: Bean<Arc<World>>) -> Result<()> {
    world.begin();
    if world.hangs(&meta) {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(world.work()).await;
    world.end(&meta)
}

/// A function that cannot be ended.
#[kafka_listener(id = "blocks", topic = "${test.topic}", group = "${test.topic}")]
fn blocks(meta: RecordMeta, world: Bean<Arc<World>>) -> Result<()> {
    world.begin();
    if world.hangs(&meta) {
        loop {
            std::thread::park();
        }
    }
    std::thread::sleep(world.work());
    world.end(&meta)
}

struct Service {
    app: RunningApp,
    world: Arc<World>,
    topic: String,
}

impl Service {
    async fn start(kafka: &Kafka, id: &str, topic: String, world: World, arguments: &[String]) -> Self {
        let world = Arc::new(world);
        let arguments: Vec<String> = arguments
            .iter()
            .cloned()
            .chain([
                format!("test.topic={topic}"),
                format!(
                    "kafka.listeners.{}.auto-startup=false",
                    if id == "waits" { "blocks" } else { "waits" }
                ),
            ])
            .collect();
        let app = App::new()
            .without_discovery()
            .without_logging()
            .load_options(options(kafka, arguments.iter().map(String::as_str)))
            .listeners(listeners![waits, blocks])
            .bean(Arc::clone(&world))
            .start()
            .await
            .unwrap();
        Self { app, world, topic }
    }

    /// Stops; everything is handled and committed then.
    async fn stop(self, kafka: &Kafka, partitions: i32) {
        assert_eq!(self.app.stop().await, Ended::Clean);
        for sample in look(kafka.bootstrap_servers(), &self.topic, &self.topic, partitions).unwrap() {
            assert_eq!(sample.committed.unwrap_or(0), sample.end, "partition {}", sample.partition);
        }
    }

    async fn until_state(&self, id: &str, wanted: ListenerState) {
        let mut watch = self.app.listeners().watch(id).unwrap();
        let reached =
            tokio::time::timeout(DEADLINE, watch.wait_for(|state| *state == wanted)).await.map(drop);
        assert!(reached.is_ok(), "`{id}` is {}, not {wanted}", *watch.borrow());
    }
}

fn topic_with(kafka: &Kafka, records: u64, partitions: i32, keys: u64) -> String {
    let topic = unique_name("flow");
    kafka.create_topic(&topic, partitions).unwrap();
    Seeding::new(&topic, records).keys(keys).produce(kafka.bootstrap_servers()).unwrap();
    topic
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_return_costs_one_attempt_and_no_record() {
    let Some(kafka) = Kafka::shared() else { return };
    for (id, ordering) in
        [("waits", "partition"), ("waits", "key"), ("blocks", "partition"), ("blocks", "key")]
    {
        let topic = topic_with(kafka, 100, 2, 10);
        let world = World { hangs_at: Mutex::new(Some(10)), ..World::default() };
        let arguments = [
            format!("kafka.listeners.{id}.handler-timeout=500ms"),
            format!("kafka.listeners.{id}.ordering={ordering}"),
            // On a busy machine another attempt may be ended as well.
            "kafka.error.attempts=20".to_owned(),
        ];
        let service = Service::start(kafka, id, topic, world, &arguments).await;
        service.world.until_handled(100).await;
        assert!(
            service.world.attempts.load(Ordering::SeqCst) > 100,
            "{id}, {ordering}: one attempt was ended"
        );
        service.stop(kafka, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_by_all_consumers_together_until_it_is_changed() {
    let Some(kafka) = Kafka::shared() else { return };
    for ordering in ["partition", "key"] {
        let topic = topic_with(kafka, 400, 2, 10);
        let arguments = [
            "kafka.listeners.waits.rate-limit=50".to_owned(),
            "kafka.listeners.waits.concurrency=2".to_owned(),
            format!("kafka.listeners.waits.ordering={ordering}"),
        ];
        let service = Service::start(kafka, "waits", topic, World::default(), &arguments).await;
        service.world.until_handled(1).await;
        let (began, before) = (Instant::now(), service.world.count());
        service.world.until_handled(60).await;
        let handled = service.world.count() - before;
        // Six at once after a pause, then one each 20 ms; a pause of the test's own look only makes it slower.
        let least = Duration::from_millis(20) * u32::try_from(handled.saturating_sub(6)).unwrap();
        assert!(began.elapsed() >= least, "{ordering}: {handled} in {:?}", began.elapsed());
        let registry = service.app.listeners();
        registry.set_rate_limit("waits", Some(0.001)).await.unwrap();
        assert_eq!(registry.get("waits").unwrap().settings.consumer.rate_limit, Some(0.001));
        assert!(service.world.count() < 400, "{ordering}: no longer held back");
        registry.set_rate_limit("waits", None).await.unwrap();
        service.world.until_handled(400).await;
        let error = registry.set_rate_limit("waits", Some(-1.0)).await.unwrap_err();
        assert_eq!(error.kind(), ListenerControlErrorKind::Invalid);
        service.stop(kafka, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_dependency_is_down_waits_for_it_and_says_so() {
    let Some(kafka) = Kafka::shared() else { return };
    for (id, ordering) in [("waits", "partition"), ("waits", "key"), ("blocks", "partition")] {
        let topic = topic_with(kafka, 200, 2, 10);
        let world = World { is_down: AtomicBool::new(true), ..World::default() };
        let breaker = |key: &str, value: &str| format!("kafka.listeners.{id}.circuit-breaker.{key}={value}");
        let arguments = [
            breaker("enabled", "true"),
            breaker("minimum-number-of-calls", "2"),
            breaker("wait-duration-in-open-state", "300ms"),
            breaker("permitted-number-of-calls-in-half-open-state", "1"),
            format!("kafka.listeners.{id}.ordering={ordering}"),
            "kafka.listeners.waits.max-in-flight=8".to_owned(),
            // A failed attempt too many would end the listener, and with it the application.
            "kafka.error.attempts=3".to_owned(),
            "kafka.supervision.restarts=0".to_owned(),
        ];
        let service = Service::start(kafka, id, topic, world, &arguments).await;
        service.until_state(id, ListenerState::CircuitOpen).await;
        let health = service.app.health();
        let report = health.report();
        assert_eq!(report.status, HealthStatus::Down, "{report}");
        assert!(
            report.to_string().contains("circuit open for")
                && report.to_string().contains("connection refused"),
            "{report}"
        );
        // Several probes fail, each of which would be an attempt if the circuit were closed.
        let before = service.world.attempts.load(Ordering::SeqCst);
        eventually_async(DEADLINE, "probes", || async {
            let probes = service.world.attempts.load(Ordering::SeqCst) - before;
            if probes >= 5 { Ok(()) } else { Err(format!("{probes} probes")) }
        })
        .await;
        assert_eq!(service.world.count(), 0);
        service.world.is_down.store(false, Ordering::SeqCst);
        service.world.until_handled(200).await;
        service.until_state(id, ListenerState::Running).await;
        assert_eq!(health.report().status, HealthStatus::Up);
        assert!(service.world.handled.lock().unwrap().values().all(|times| *times == 1));
        service.stop(kafka, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_come_and_go_while_the_listener_runs_and_no_record_is_handled_twice() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = topic_with(kafka, 6_000, 6, 100);
    let world = World { work: Mutex::new(Duration::from_millis(2)), ..World::default() };
    let service = Service::start(kafka, "waits", topic, world, &[]).await;
    let registry = service.app.listeners();
    let shares = |wanted: &'static [usize]| {
        eventually_async(DEADLINE, "the partitions to be shared out", move || async move {
            let mut shares: Vec<usize> =
                registry.get("waits").unwrap().assigned.iter().map(Vec::len).collect();
            shares.sort_unstable();
            if shares == wanted { Ok(()) } else { Err(format!("{shares:?}, not {wanted:?}")) }
        })
    };
    shares(&[6]).await;
    registry.set_concurrency("waits", 3).await.unwrap();
    shares(&[2, 2, 2]).await;
    registry.set_concurrency("waits", 2).await.unwrap();
    shares(&[3, 3]).await;
    registry.set_concurrency("waits", 4).await.unwrap();
    shares(&[1, 1, 2, 2]).await;
    assert_eq!(registry.get("waits").unwrap().settings.consumer.concurrency, 4);
    registry.set_concurrency("waits", 1).await.unwrap();
    shares(&[6]).await;
    let error = registry.set_concurrency("waits", 0).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "listener `waits` stays as it is: `concurrency` is from 1 to 1024, found 0"
    );
    registry.stop("waits").await.unwrap();
    registry.set_concurrency("waits", 2).await.unwrap();
    registry.start("waits").await.unwrap();
    shares(&[3, 3]).await;
    *service.world.work.lock().unwrap() = Duration::ZERO;
    service.world.until_handled(6_000).await;
    assert!(service.world.handled.lock().unwrap().values().all(|times| *times == 1));
    service.stop(kafka, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_handlers_are_at_work_as_are_allowed_now() {
    let Some(kafka) = Kafka::shared() else { return };
    for id in ["waits", "blocks"] {
        let topic = topic_with(kafka, 4_000, 2, 1_000);
        let world = World { work: Mutex::new(Duration::from_millis(10)), ..World::default() };
        let arguments =
            [format!("kafka.listeners.{id}.ordering=key"), format!("kafka.listeners.{id}.max-in-flight=4")];
        let service = Service::start(kafka, id, topic, world, &arguments).await;
        let (registry, world) = (service.app.listeners(), &service.world);
        let until_at_work = |wanted: usize| {
            eventually_async(DEADLINE, "handlers to be at work", move || async move {
                let most = world.at_work_max.load(Ordering::SeqCst);
                if most == wanted { Ok(()) } else { Err(format!("at most {most}, not {wanted}")) }
            })
        };
        until_at_work(4).await;
        world.until_handled(100).await;
        assert_eq!(world.at_work_max.load(Ordering::SeqCst), 4, "{id}");
        registry.set_max_in_flight(id, 16).await.unwrap();
        until_at_work(16).await;
        registry.set_max_in_flight(id, 2).await.unwrap();
        eventually_async(DEADLINE, "those that are too many to end", || async {
            let now = world.at_work.load(Ordering::SeqCst);
            if now <= 2 { Ok(()) } else { Err(format!("{now}")) }
        })
        .await;
        world.at_work_max.store(0, Ordering::SeqCst);
        world.until_handled(world.count() + 50).await;
        assert_eq!(world.at_work_max.load(Ordering::SeqCst), 2, "{id}");
        registry.set_max_in_flight(id, 500).await.unwrap();
        world.until_handled(4_000).await;
        service.stop(kafka, 2).await;
    }
}
