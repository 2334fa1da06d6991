//! Replies: what a listener returns is sent before its record is done, and a request finds its reply.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_boot::prelude::*;
use kafka_boot::{Ended, Reply, ReplyingTemplate, RequestError, RunningApp, StartErrorKind, listeners};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(1);

#[kafka_listener(id = "fixed", topic = "${test.topic}", group = "${test.topic}")]
#[send_to("${test.topic}.prices")]
async fn fixed(order: Payload<String>) -> Result<Option<Vec<Reply>>> {
    match order.0.as_str() {
        "bad" => Err("there is no such thing".into()),
        "secret" => Ok(None),
        order => Ok(Some(vec![
            Reply::new(format!("{order}: 1")).header("currency", "EUR"),
            Reply::new(format!("{order}: 2")).key("other").partition(0),
        ])),
    }
}

#[send_to]
#[kafka_listener(id = "asked", topic = "${test.topic}", group = "${test.topic}", ordering = "key")]
fn asked(order: Payload<String>) -> Json<Vec<String>> {
    Json(vec![order.0])
}

#[kafka_listener(id = "lost", topic = "${test.topic}", group = "${test.topic}", on_failure = "stop")]
#[send_to("${test.topic}.missing")]
async fn lost(order: Payload<String>, notes: Bean<Arc<Notes>>) -> String {
    notes.add(order.0.as_str());
    order.0.clone()
}

#[kafka_listener(id = "silent", topic = "${test.topic}", group = "${test.topic}")]
async fn silent() {}

fn app(kafka: &Kafka, app: App, topic: &str, more: &[&str]) -> App {
    let topic = format!("test.topic={topic}");
    let common = [topic.as_str(), "kafka.error.backoff.initial=1ms", "kafka.error.backoff.max=20ms"];
    app.without_discovery()
        .without_logging()
        .bean(Arc::new(Notes::default()))
        .load_options(options(kafka, common.into_iter().chain(more.iter().copied())))
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

async fn records(kafka: &Kafka, topic: &str, count: usize) -> Vec<Consumed> {
    let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
    eventually_async(DEADLINE, &format!("{count} records in `{topic}`"), async || {
        let (servers, topic) = (servers.clone(), topic.clone());
        let read = move || read_topic(&servers, &topic, DEADLINE);
        let read = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
        if read.len() >= count { Ok(read) } else { Err(format!("{} are there", read.len())) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listener_returns_goes_to_its_topic_with_key_and_correlation() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("replies");
    let prices = format!("{topic}.prices");
    kafka.create_topic(&topic, 2).unwrap();
    kafka.create_topic(&prices, 2).unwrap();
    let app = app(kafka, App::new().listeners(listeners![fixed]), &topic, &[]).start().await.unwrap();
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    for value in ["umbrella", "secret", "bad"] {
        let record = ProducerRecord::new(topic.as_str()).partition(1).key("7").payload(value);
        let record =
            record.header("kafka_correlationId", "c").header("kafka_replyPartition", vec![0, 0, 0, 1]);
        template.send_record(record).await.unwrap();
    }
    records(kafka, &format!("{topic}-dlt"), 1).await;
    let mut sent = records(kafka, &prices, 2).await;
    sent.sort_by_key(|reply| reply.text().to_owned());
    let [one, two] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((one.text(), one.partition, one.key.as_deref()), ("umbrella: 1", 1, Some(&b"7"[..])));
    assert_eq!((two.text(), two.partition, two.key.as_deref()), ("umbrella: 2", 0, Some(&b"other"[..])));
    let names = |reply: &Consumed| reply.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(one), one.header_text("currency")),
        (vec!["kafka_correlationId".into(), "currency".into()], Some("EUR"))
    );
    assert_eq!(
        (names(two), two.header_text("kafka_correlationId")),
        (vec!["kafka_correlationId".into()], Some("c"))
    );
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_reply_is_not_written_is_not_done() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("unanswered");
    kafka.create_topic(&topic, 1).unwrap();
    let more = [
        "kafka.producer.delivery-timeout=2s",
        "kafka.error.attempts=2",
        "kafka.supervision.escalation=stop-listener",
        "kafka.supervision.restarts=0",
    ];
    let app = app(kafka, App::new().listeners(listeners![lost]), &topic, &more).start().await.unwrap();
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    template.send(&topic, "one").await.unwrap();
    let notes = app.beans().named::<Arc<Notes>>("").unwrap();
    assert_eq!(notes.first(2).await, ["one", "one"], "a reply that is not written is a failed attempt");
    let health = app.beans().named::<kafka_boot::Health>("").unwrap();
    eventually_async(DEADLINE, "the listener to stop", async || {
        let report = health.report();
        if report.status == kafka_boot::HealthStatus::Up { Err(format!("{report:?}")) } else { Ok(()) }
    })
    .await;
    let admin = app.beans().named::<Admin>("").unwrap();
    let committed = admin.list_group_offsets(&topic, None).await.unwrap();
    assert!(committed.iter().all(|(found, _)| found.offset <= 0), "{committed:?}");
    drop(app.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_finds_its_reply_among_many() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("requests");
    let replies = format!("{topic}.replies");
    kafka.create_topic(&topic, 3).unwrap();
    let setting = format!("kafka.replies.topic={replies}");
    let more = [setting.as_str(), "kafka.replies.timeout=30s"];
    let app = app(kafka, App::new().listeners(listeners![asked]), &topic, &more).start().await.unwrap();
    let requests = app.beans().named::<ReplyingTemplate>("").unwrap();
    // The reply topic is not there yet, so nothing is sent.
    let early =
        requests.request_within(ProducerRecord::new(topic.as_str()), Duration::from_millis(300)).await;
    assert!(matches!(early, Err(RequestError::NotReading { .. })), "{early:?}");
    kafka.create_topic(&replies, 3).unwrap();

    let mut asking = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (requests, topic) = (Arc::clone(&requests), topic.clone());
        asking.spawn(async move {
            let order = format!("order {number}");
            let request = ProducerRecord::new(topic).key(format!("{}", number % 7)).payload(order.clone());
            let Json(answer) = requests.request_as::<Json<Vec<String>>>(request).await.unwrap();
            assert_eq!(answer, [order]);
        });
    }
    assert_eq!(asking.join_all().await.len(), 200);

    // Nobody answers here: the error says so in time.
    let begun = Instant::now();
    let unread = unique_name("nobody");
    kafka.create_topic(&unread, 1).unwrap();
    let request = ProducerRecord::new(unread.as_str()).payload("hello");
    let error = requests.request_within(request, Duration::from_secs(1)).await.unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("no reply to a request in `{unread}` came into `{replies}`")),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));

    // A record that asks for no reply has nowhere to be answered.
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    template.send(&topic, "no request").await.unwrap();
    let letters = records(kafka, &format!("{topic}-dlt"), 1).await;
    assert!(
        letters[0]
            .header_text("kafka_dlt-exception-message")
            .unwrap()
            .starts_with("there is nowhere to reply to"),
        "{letters:?}"
    );
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_topic_for_a_listener_that_returns_nothing_refuses_to_start() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("silent");
    let more = ["kafka.listeners.silent.send-to=prices"];
    let error =
        app(kafka, App::new().listeners(listeners![silent]), &topic, &more).start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Configuration);
    assert!(error.to_string().contains("`kafka.listeners.silent.send-to` has no effect"), "{error}");
}
