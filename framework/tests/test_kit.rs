//! The test kit, used as a service's own tests use it.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{HealthStatus, ListenerRegistry, ListenerState, Unsettled};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// What the handlers saw, in this test's application only.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Seen {
    fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[bean]
fn seen() -> Seen {
    Seen::default()
}

struct Greeting(&'static str);

#[bean]
fn greeting() -> Greeting {
    Greeting("hello")
}

#[kafka_listener(topic = "orders", group = "billing")]
async fn on_order(order: Record<String>, kafka: Bean<KafkaTemplate>, seen: Bean<Seen>) -> Result<()> {
    info!(order = %order.value(), "an order");
    seen.add(order.value());
    kafka.send_keyed("invoices", order.value().clone(), format!("invoice for {}", order.value())).await?;
    Ok(())
}

#[kafka_listener(topic = "invoices", group = "post")]
fn on_invoice(invoice: Payload<String>, seen: Bean<Seen>) {
    seen.add(invoice.0);
}

#[kafka_listener(topic = "fragile", group = "fragile", attempts = 1, on_failure = "stop")]
async fn on_fragile(record: Record<String>) -> Result<()> {
    Err(format!("cannot bear {}", record.value()).into())
}

#[kafka_listener(pattern = "^region-.*", group = "regions")]
async fn on_region(record: Record<String>, seen: Bean<Seen>) {
    seen.add(format!("{} of {}", record.value(), record.topic()));
}

#[scheduled(fixed_rate = 1)]
async fn produce(kafka: Bean<KafkaTemplate>, greeting: Bean<Greeting>) -> Result<()> {
    kafka.send("greetings", greeting.0).await?;
    Ok(())
}

#[scheduled(fixed_delay = "1h")]
async fn broken() -> Result<()> {
    Err("out of paper".into())
}

#[kafka_boot::test(listeners(on_order, on_invoice))]
async fn what_is_sent_is_handled_committed_and_read_back(app: TestApp) {
    let pears = ProducerRecord::new("orders").partition(0).payload("pears");
    let sent = app.send_with(pears).await;
    let first = sent.offset().unwrap();
    assert_eq!((sent.topic(), sent.partition()), ("orders", 0));
    app.send_with(ProducerRecord::new("orders").partition(0).key("k").payload("plums").header("trace", "7"))
        .await;
    app.settled().await;

    assert_eq!(app.committed("on_order", "orders").await[&0], first + 2);
    let last = app.records("invoices").await[1].offset();
    assert_eq!(app.committed("post", "invoices").await, BTreeMap::from([(0, last + 1)]));
    let orders = app.records("orders").await;
    assert_eq!(orders.len(), 2);
    assert_eq!((orders[1].key_str(), orders[1].header("trace")), (Some("k"), Some(&b"7"[..])));
    assert_eq!(orders[1].decode::<String>().unwrap(), "plums");
    assert_eq!(app.values::<String>("invoices").await, ["invoice for pears", "invoice for plums"]);
    assert!(app.records("orders-dlt").await.is_empty());
    let mut seen = app.bean::<Seen>().all();
    seen.sort();
    assert_eq!(seen, ["invoice for pears", "invoice for plums", "pears", "plums"]);
    assert_eq!(app.health().status, HealthStatus::Up);
}

#[kafka_boot::test]
async fn a_test_begins_with_an_empty_broker_also_beside_others(app: TestApp) -> Result<()> {
    assert!(app.records("orders").await.is_empty());
    app.settled().await;
    assert!(app.records("invoices").await.is_empty());
    assert!(app.bean::<Seen>().all().is_empty());
    Ok(())
}

#[kafka_boot::test]
async fn jobs_run_when_the_test_says_so_and_not_by_their_clock(app: TestApp) {
    app.run("produce").await;
    let info = app.run("produce").await;
    assert_eq!(info.runs, 2);
    assert_eq!(app.values::<String>("greetings").await, ["hello", "hello"]);
    let failed = app.scheduler().trigger("broken").await.unwrap();
    assert_eq!(failed.last_error.as_deref(), Some("out of paper"));
}

#[kafka_boot::test(scheduling)]
async fn jobs_run_by_their_clock_where_the_test_wants_it(app: TestApp) {
    app.wait_until(|| app.scheduler().get("produce").unwrap().runs >= 2).await;
    app.wait_until_async(async || app.records("greetings").await.len() >= 2).await;
}

#[kafka_boot::test(beans(Greeting("good morning")), jobs(produce))]
async fn a_bean_of_the_test_takes_the_place_of_the_functions(app: TestApp) {
    app.run("produce").await;
    assert_eq!(app.values::<String>("greetings").await, ["good morning"]);
    assert!(app.scheduler().get("broken").is_err());
}

#[kafka_boot::test(
    listeners(on_order),
    properties("kafka.listeners.on_order.concurrency" = 2, "kafka.listeners.on_invoice.concurrency" = 3),
    config = "
        kafka:
          topics: [ { name: orders, partitions: 4 } ]
          listeners: { on_order: { concurrency: 7, client-id: till } }
    "
)]
async fn the_configuration_is_the_tests_own(app: TestApp) {
    let settings = app.registry().get("on_order").unwrap().settings;
    assert_eq!((settings.consumer.concurrency, settings.consumer.client_id.as_deref()), (2, Some("till")));
    assert!(app.registry().get("on_invoice").is_err());
    for key in ["a", "b", "c", "d", "e", "f"] {
        app.send_keyed("orders", key, key).await;
    }
    app.settled().await;
    let committed = app.committed("billing", "orders").await;
    for record in app.records("orders").await {
        assert!(committed[&record.partition()] > record.offset(), "{record} is not committed");
    }
    assert_eq!(app.bean::<Seen>().all().len(), 6);
}

/// The end of a transaction is an offset that no handler is given, so nothing is ever committed past it.
#[kafka_boot::test(listeners(on_order))]
async fn the_ends_of_transactions_leave_nothing_open(app: TestApp) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", app.bootstrap_servers());
    config.set("transactional.id", format!("kit-{}", std::process::id()));
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    let patience = Duration::from_secs(10);
    producer.init_transactions(patience)?;
    for (value, commits) in [("pears", true), ("plums", false)] {
        producer.begin_transaction()?;
        let record = BaseRecord::<(), str>::to("orders").partition(0).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(patience)?;
        if commits {
            producer.commit_transaction(patience)?;
        } else {
            producer.abort_transaction(patience)?;
        }
    }
    app.settled().await;
    assert_eq!(app.bean::<Seen>().all(), ["pears"]);
    assert_eq!(app.values::<String>("orders").await, ["pears"]);
    Ok(())
}

#[kafka_boot::test(topics("region-eu", "region-us"))]
async fn topics_that_a_pattern_is_to_match_are_there_from_the_start(app: TestApp) {
    app.send("region-us", "rain").await;
    app.settled().await;
    assert_eq!(app.bean::<Seen>().all(), ["rain of region-us"]);
}

#[kafka_boot::test]
async fn a_restart_goes_on_where_the_application_stopped(mut app: TestApp) {
    app.send("orders", "before").await;
    app.settled().await;
    app.restart().await;
    app.send("orders", "after").await;
    app.settled().await;
    assert!(!app.bean::<Seen>().all().contains(&"before".to_owned()), "handled a second time");
    let mut orders = app.values::<String>("orders").await;
    orders.sort();
    assert_eq!(orders, ["after", "before"]);
    let committed = app.committed("on_order", "orders").await;
    for record in app.records("orders").await {
        assert!(committed[&record.partition()] > record.offset(), "{record} is not committed");
    }
}

#[kafka_boot::test]
async fn what_is_not_settled_is_named(mut app: TestApp) {
    app.registry().pause("on_order").await.unwrap();
    app.wait_until(|| app.registry().get("on_order").unwrap().state == ListenerState::Paused).await;
    let sent = app.send("orders", "pears").await;
    app.set_timeout(Duration::from_millis(300));
    let Err(Unsettled::Late { open, .. }) = app.try_settled().await else { panic!("it settled") };
    assert_eq!(open.len(), 1);
    let open = open[0].to_string();
    let partition = format!("orders-{}: 1 left", sent.partition());
    let end = format!("end {}", sent.offset().unwrap() + 1);
    for part in [&*partition, &*end, "(group `billing", "listener `on_order` is paused"] {
        assert!(open.contains(part), "{part} is not in {open}");
    }
    app.set_timeout(Duration::from_secs(10));
    app.registry().resume("on_order").await.unwrap();
    app.settled().await;
}

#[kafka_boot::test(properties("kafka.supervision.restarts" = 0))]
async fn a_failure_that_the_test_wants_is_none(app: TestApp) {
    app.send("fragile", "a tone").await;
    let reason = app.failed().await;
    assert!(reason.contains("on_fragile"), "{reason}");
    assert!(matches!(app.try_settled().await, Err(Unsettled::Failed(_))));
}

/// Runs what the attribute would, on a broker of its own in any case, and returns the message with which the test fails.
fn failure_of<F, Fut>(test: F) -> String
where
    F: FnOnce(TestApp) -> Fut,
    Fut: Future,
    Fut::Output: kafka_boot::TestOutcome,
{
    let builder = TestApp::builder()
        .property("kafka.bootstrap-servers", "embedded")
        .property("kafka.supervision.restarts", 0)
        .limit(Duration::from_secs(50));
    let run = || kafka_boot::__private::run_test(builder, test);
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    match payload.downcast_ref::<String>() {
        Some(message) => message.clone(),
        None => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn a_failure_that_the_test_does_not_look_at_fails_it() {
    let message = failure_of(async |app: TestApp| {
        app.send("fragile", "a tone").await;
        app.wait_until(|| true).await;
        let registry: &ListenerRegistry = app.registry();
        let mut state = registry.watch("on_fragile").unwrap();
        state.wait_for(|state| matches!(state, ListenerState::Failed(_))).await.unwrap();
    });
    assert!(message.contains("the application failed during the test"), "{message}");
    assert!(message.contains("on_fragile"), "{message}");
}

#[test]
fn an_error_and_a_condition_that_does_not_hold_fail_the_test_with_their_place() {
    let message = failure_of(async |_: TestApp| -> Result<()> { Err("no such luck".into()) });
    assert_eq!(message, "the test returned an error: no such luck");
    let message = failure_of(async |mut app: TestApp| {
        app.set_timeout(Duration::from_millis(300));
        app.wait_until(|| false).await;
    });
    assert!(message.contains("test_kit.rs:") && message.contains("did not hold within 300ms"), "{message}");
    let message = failure_of(async |app: TestApp| drop(app.run("print").await));
    assert!(message.contains("no job has the id `print`"), "{message}");
    let message = failure_of(async |app: TestApp| drop(app.run("broken").await));
    assert!(message.contains("job `broken` failed: out of paper"), "{message}");
}

#[test]
fn a_panic_stops_application_and_broker() {
    let servers = Mutex::new(String::new());
    let message = failure_of(async |app: TestApp| {
        *servers.lock().unwrap() = app.bootstrap_servers();
        std::net::TcpStream::connect(app.bootstrap_servers()).unwrap();
        assert_eq!(1, 2, "the sum is wrong");
    });
    assert!(message.contains("the sum is wrong"), "{message}");
    let servers = servers.into_inner().unwrap();
    assert!(std::net::TcpStream::connect(&servers).is_err(), "{servers} still answers");
}

#[tokio::test(flavor = "current_thread")]
async fn without_the_attribute_any_runtime_will_do() {
    let calls = AtomicUsize::new(0);
    let app = TestApp::builder().listeners(kafka_boot::listeners![on_order]).start().await.unwrap();
    app.send("orders", "pears").await;
    app.wait_until(|| calls.fetch_add(1, Ordering::Relaxed) == 3).await;
    app.settled().await;
    assert_eq!(app.records("invoices").await.len(), 1);
}

#[test]
fn without_any_runtime_it_works_as_well() {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Neither timers nor sockets: the kit brings its own.
        runtime.block_on(async {
            let app = TestApp::builder().start().await.unwrap();
            app.send("orders", "pears").await;
            app.settled().await;
            app.bean::<Seen>().all().len()
        })
    });
    assert_eq!(thread.join().unwrap(), 2);
}

#[tokio::test]
async fn an_application_that_does_not_start_says_why() {
    let error =
        TestApp::builder().property("kafka.listeners.on_ordre.concurrency", 2).start().await.unwrap_err();
    assert!(error.to_string().contains("did you mean `on_order`?"), "{error}");
    let error = TestApp::builder().config("kafka: { consumre: {} }").start().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("did you mean `consumer`?") && text.contains("test_kit.rs"), "{text}");
}
