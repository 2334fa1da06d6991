//! What a listener reads: several topics, topics by a pattern, also those that come later, and patterns that are none.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::prelude::*;
use kafka_boot::{
    Ended, FromPayload, ProducerRecord, RecordInterceptor, RecordView, RunningApp, StartErrorKind, Text,
    listeners,
};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::observer::look;
use kafka_boot_tests::produce::Seeding;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::{Notes, options};
use kafka_boot_tests::wait::eventually_async;

const DEADLINE: Duration = Duration::from_mins(2);

/// The topics and offsets that were handled.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<(String, i64)>>);

impl Seen {
    async fn until(&self, topics: &[String], records: i64) {
        let expected: BTreeSet<_> =
            topics.iter().flat_map(|topic| (0..records).map(move |offset| (topic.clone(), offset))).collect();
        eventually_async(DEADLINE, "the records of all topics", || async {
            let seen = self.0.lock().unwrap();
            if *seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
}

#[kafka_listener(id = "several", topics = ["${test.prefix}-a", "${test.prefix}-b"], group = "${test.prefix}")]
async fn several(meta: RecordMeta, seen: Bean<Arc<Seen>>) {
    seen.0.lock().unwrap().insert((meta.topic().to_owned(), meta.offset()));
}

#[kafka_listener(id = "matching", pattern = "${test.prefix}-[ab]", group = "${test.prefix}")]
async fn matching(meta: RecordMeta, seen: Bean<Arc<Seen>>) {
    seen.0.lock().unwrap().insert((meta.topic().to_owned(), meta.offset()));
}

fn app(which: App, prefix: &str, seen: &Arc<Seen>, options: LoadOptions) -> App {
    let mut options = options;
    options.arguments.push(format!("--test.prefix={prefix}"));
    which.without_discovery().without_logging().load_options(options).bean(Arc::clone(seen))
}

async fn start(kafka: &Kafka, which: App, prefix: &str, seen: &Arc<Seen>, more: &[&str]) -> RunningApp {
    app(which, prefix, seen, options(kafka, more.iter().copied())).start().await.unwrap()
}

fn seeded(kafka: &Kafka, topic: &str) -> String {
    kafka.create_topic(topic, 1).unwrap();
    Seeding::new(topic, 5).produce(kafka.bootstrap_servers()).unwrap();
    topic.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_reads_several_topics() {
    let Some(kafka) = Kafka::shared() else { return };
    let prefix = unique_name("several");
    let topics = ["a", "b"].map(|name| seeded(kafka, &format!("{prefix}-{name}")));
    let seen = Arc::new(Seen::default());
    let app = start(kafka, App::new().listeners(listeners![several]), &prefix, &seen, &[]).await;
    seen.until(&topics, 5).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_comes_later_and_matches_is_read_from_its_beginning() {
    let Some(kafka) = Kafka::shared() else { return };
    let prefix = unique_name("matching");
    let first = seeded(kafka, &format!("{prefix}-a"));
    seeded(kafka, &format!("{prefix}-other"));
    let seen = Arc::new(Seen::default());
    let more = ["kafka.listeners.matching.properties.topic.metadata.refresh.interval.ms=200"];
    let app = start(kafka, App::new().listeners(listeners![matching]), &prefix, &seen, &more).await;
    seen.until(std::slice::from_ref(&first), 5).await;
    let second = seeded(kafka, &format!("{prefix}-b"));
    seen.until(&[first, second], 5).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

/// Found at the start, before anything is connected: what the attribute holds is only known then.
#[tokio::test]
async fn a_pattern_that_is_none_does_not_start() {
    for (prefix, expected) in
        [("orders-(", "a group is not closed"), ("*orders", "there is nothing that `*` could repeat")]
    {
        let options = LoadOptions {
            arguments: vec!["--kafka.bootstrap-servers=localhost:1".into()],
            own_sections: vec!["test".to_owned()],
            ..LoadOptions::default()
        };
        let which = App::new().listeners(listeners![matching]);
        let error = app(which, prefix, &Arc::default(), options).start().await.err().unwrap();
        assert_eq!(error.kind(), StartErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("kafka.listeners.matching.topic-pattern"), "{error}");
    }
}

#[kafka_listener(id = "chosen", partitions("${test.prefix}" = "${test.partitions}"), group = "${test.prefix}")]
async fn chosen(meta: RecordMeta, seen: Bean<Arc<Seen>>) {
    seen.0.lock().unwrap().insert((meta.partition().to_string(), meta.offset()));
}

/// Sixty records in six partitions.
fn six_partitions(kafka: &Kafka, topic: &str) {
    kafka.create_topic(topic, 6).unwrap();
    Seeding::new(topic, 60).keys(1_000).produce(kafka.bootstrap_servers()).unwrap();
}

fn until_seen<'a>(seen: &'a Seen, wanted: &'a BTreeSet<(String, i64)>) -> impl Future<Output = ()> + 'a {
    eventually_async(DEADLINE, "the records of the partitions", move || async move {
        let seen = seen.0.lock().unwrap();
        if *seen == *wanted { Ok(()) } else { Err(format!("{seen:?}, not {wanted:?}")) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_assigned_by_hand_are_read_from_where_it_says() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("chosen");
    six_partitions(kafka, &topic);
    let ends: Vec<i64> =
        look(kafka.bootstrap_servers(), &topic, &topic, 6).unwrap().iter().map(|s| s.end).collect();
    let all = |partition: i32, from: i64| {
        let end = ends[usize::try_from(partition).unwrap()];
        (from..end).map(move |offset| (partition.to_string(), offset))
    };
    // No record of the fifth is that young.
    let lists = "--test.partitions=0-1, 2@1, 3@end, 4@beginning, 5@2100-01-01T00:00:00Z";
    let wanted: BTreeSet<_> = all(0, 0).chain(all(1, 0)).chain(all(2, 1)).chain(all(4, 0)).collect();
    let again: BTreeSet<_> = all(2, 1).chain(all(4, 0)).collect();
    for (concurrency, wanted) in [(1, &wanted), (3, &again), (8, &again)] {
        // What starts at the committed offset has been read by the first one; the others start where they say each time.
        let seen = Arc::new(Seen::default());
        let mut options =
            options(kafka, [format!("kafka.listeners.chosen.concurrency={concurrency}").as_str()]);
        options.arguments.push(lists.into());
        let app =
            app(App::new().listeners(listeners![chosen]), &topic, &seen, options).start().await.unwrap();
        until_seen(&seen, wanted).await;
        let registry = app.listeners();
        let assigned = registry.get("chosen").unwrap().assigned;
        assert_eq!(assigned.len(), concurrency);
        assert_eq!(assigned.iter().map(Vec::len).sum::<usize>(), 6, "{assigned:?}");
        let error = registry.set_concurrency("chosen", 2).await.unwrap_err();
        assert!(error.to_string().contains("assigned by hand"), "{error}");
        assert_eq!(app.stop().await, Ended::Clean);
        let committed = look(kafka.bootstrap_servers(), &topic, &topic, 6).unwrap();
        for sample in committed.iter().filter(|sample| sample.partition != 3 && sample.partition != 5) {
            assert_eq!(sample.committed.unwrap_or(0), sample.end, "partition {}", sample.partition);
        }
    }
}

#[kafka_listener(id = "failing", partitions("${test.prefix}" = "0@end"), group = "${test.prefix}")]
async fn failing(meta: RecordMeta, seen: Bean<Arc<Seen>>) -> Result<()> {
    // Once; then it is started again.
    if seen.0.lock().unwrap().insert(("failed".to_owned(), meta.offset())) && meta.offset() % 2 == 0 {
        return Err("as the test wants it".into());
    }
    seen.0.lock().unwrap().insert((meta.partition().to_string(), meta.offset()));
    Ok(())
}

/// "The end" is that of the listener's start, not that of each start of a consumer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_fails_goes_on_where_it_was_though_its_partition_starts_at_the_end() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("failing");
    kafka.create_topic(&topic, 1).unwrap();
    Seeding::new(&topic, 3).produce(kafka.bootstrap_servers()).unwrap();
    let seen = Arc::new(Seen::default());
    let more = [
        "kafka.error.then=stop",
        "kafka.error.attempts=1",
        "kafka.supervision.restarts=100",
        "kafka.supervision.backoff.initial=100ms",
    ];
    let app = start(kafka, App::new().listeners(listeners![failing]), &topic, &seen, &more).await;
    eventually_async(DEADLINE, "the partition to be assigned", || async {
        let assigned = app.listeners().get("failing").unwrap().assigned;
        if assigned.concat().len() == 1 { Ok(()) } else { Err(format!("{assigned:?}")) }
    })
    .await;
    Seeding::new(&topic, 6).produce(kafka.bootstrap_servers()).unwrap();
    let wanted: BTreeSet<_> =
        (3..9).flat_map(|offset| [("0".to_owned(), offset), ("failed".to_owned(), offset)]).collect();
    until_seen(&seen, &wanted).await;
    assert_eq!(app.stop().await, Ended::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_assigned_by_hand_and_a_group_with_members_do_not_go_together() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("both");
    six_partitions(kafka, &topic);
    let seen = Arc::new(Seen::default());
    let more = [format!("kafka.listeners.several.topics={topic}")];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let member = start(kafka, App::new().listeners(listeners![several]), &topic, &seen, &more).await;
    eventually_async(DEADLINE, "the member to have its partitions", || async {
        let assigned = member.listeners().get("several").unwrap().assigned;
        if assigned.concat().len() == 6 { Ok(()) } else { Err(format!("{assigned:?}")) }
    })
    .await;

    let mut options = options(kafka, ["kafka.supervision.restarts=0"]);
    options.arguments.push("--test.partitions=0@beginning, 1@beginning, 2@beginning".to_owned());
    let app = app(App::new().listeners(listeners![chosen]), &topic, &seen, options).start().await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, app.run()).await.unwrap();
    let Ended::Failed(reason) = ended else { panic!("{ended:?}") };
    assert!(reason.contains(&format!("group `{topic}` has members")), "{reason}");
    assert_eq!(member.stop().await, Ended::Clean);
}

#[tokio::test]
async fn partitions_that_are_none_are_an_error_at_the_start() {
    let options = LoadOptions {
        arguments: vec!["--test.partitions=0-3@start".into()],
        own_sections: vec!["test".to_owned()],
        ..LoadOptions::default()
    };
    let seen = Arc::new(Seen::default());
    let error =
        app(App::new().listeners(listeners![chosen]), "orders", &seen, options).start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Configuration);
    assert!(
        error.to_string().contains("`start` is no place to start at; expected partitions such as"),
        "{error}"
    );
}

/// Chosen by a header, as Spring's JSON serializer writes it.
#[derive(Debug, FromPayload)]
#[payload(header = "__TypeId__")]
enum Event {
    #[payload("order-created", "com.acme.OrderCreated")]
    Created(Json<Vec<u64>>),
    Cancelled,
    #[payload(other)]
    Other(Option<Text>),
}

/// Chosen by a header, with nothing for what is not expected.
#[derive(Debug, FromPayload)]
#[payload(header = "type")]
enum ByHeader {
    #[payload("a")]
    A,
}

/// Chosen by the topic.
#[derive(Debug, FromPayload)]
#[payload(topic)]
enum ByTopic {
    #[payload("invoices")]
    Invoice(Json<Vec<u64>>),
    Orders(Text),
}

#[kafka_listener(id = "events", topic = "${test.prefix}", group = "${test.prefix}-events")]
async fn events(event: Payload<Event>, notes: Bean<Arc<Notes>>) {
    notes.add(match event.0 {
        Event::Created(Json(lines)) => format!("created {lines:?}"),
        Event::Cancelled => "cancelled".to_owned(),
        Event::Other(text) => format!("other {text:?}"),
    });
}

async fn send_event(template: &KafkaTemplate, topic: &str, kind: Option<&str>, value: Option<&str>) {
    let mut record = ProducerRecord::new(topic);
    if let Some(kind) = kind {
        record = record.header("__TypeId__", kind.to_owned());
    }
    if let Some(value) = value {
        record = record.payload(value.to_owned());
    }
    template.send_record(record).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_chooses_what_a_record_is() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("events");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let mut options = options(kafka, []);
    options.arguments.push(format!("--test.prefix={topic}"));
    let app = App::new().without_discovery().without_logging().load_options(options);
    let app = app.bean(Arc::clone(&notes)).listeners(listeners![events]).start().await.unwrap();
    let template = app.beans().bean::<KafkaTemplate, kafka_boot::Primary>().unwrap();
    for (kind, value) in [
        (Some("order-created"), Some("[1, 2]")),
        (Some("com.acme.OrderCreated"), Some("[3]")),
        (Some("Cancelled"), Some("whatever")),
        (Some("unknown"), Some("text")),
        (None, None),
    ] {
        send_event(&template, &topic, kind, value).await;
    }
    assert_eq!(
        notes.first(5).await,
        ["created [1, 2]", "created [3]", "cancelled", "other Some(\"text\")", "other None"]
    );
    assert_eq!(app.stop().await, Ended::Clean);
}

#[test]
fn a_topic_chooses_what_a_record_is_and_one_that_no_variant_stands_for_cannot_be_read() {
    let decoded = |topic: &str| Record::of(topic, "[7]".to_owned()).decode::<ByTopic>();
    assert!(matches!(decoded("invoices").unwrap(), ByTopic::Invoice(Json(lines)) if lines == [7]));
    assert!(matches!(decoded("Orders").unwrap(), ByTopic::Orders(text) if &*text == "[7]"));
    let error = decoded("refunds").unwrap_err().to_string();
    assert_eq!(error, "the topic is `refunds`, expected one of `invoices`, `Orders`");
    let error = Record::of("t", "x".to_owned()).decode::<ByHeader>().unwrap_err().to_string();
    assert_eq!(error, "header `type` is missing or no text, expected one of `a`");
    let record = Record::of("t", "x".to_owned()).with_header("type", "b\nc");
    let error = record.decode::<ByHeader>().unwrap_err().to_string();
    assert_eq!(error, "header `type` is `b\\nc`, expected one of `a`");
}

/// Leaves out what a test marks, and notes the rest.
struct Marker(Arc<Notes>);

impl RecordInterceptor for Marker {
    fn intercept(&self, _: &str, record: &RecordView<'_>) -> bool {
        record.payload() != Some(b"left out")
    }

    fn success(&self, listener: &str, record: &RecordView<'_>) {
        self.0.add(format!("{listener} has done {}", record.offset()));
    }
}

fn has_text(record: &RecordView<'_>) -> bool {
    record.payload().is_some()
}

#[kafka_listener(id = "whole", topic = "${test.prefix}", group = "${test.prefix}-whole", filter = has_text)]
async fn whole(batch: Batch<Text>, notes: Bean<Arc<Notes>>) {
    notes.add(batch.iter().map(|record| record.value().to_string()).collect::<Vec<_>>().join(" "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_what_its_filter_and_the_interceptor_let_through() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("whole");
    kafka.create_topic(&topic, 1).unwrap();
    let notes = Arc::new(Notes::default());
    let mut options = options(kafka, ["kafka.consumer.auto-startup=false"]);
    options.arguments.push(format!("--test.prefix={topic}"));
    let interceptor: Box<dyn RecordInterceptor> = Box::new(Marker(Arc::clone(&notes)));
    let app = App::new().without_discovery().without_logging().load_options(options).bean(interceptor);
    let app = app.bean(Arc::clone(&notes)).listeners(listeners![whole]).start().await.unwrap();
    let template = app.beans().bean::<KafkaTemplate, kafka_boot::Primary>().unwrap();
    for value in [Some("a"), None, Some("left out"), Some("b"), None] {
        send_event(&template, &topic, None, value).await;
    }
    app.listeners().start("whole").await.unwrap();
    // One poll may bring less than all of them.
    eventually_async(DEADLINE, "both records to be handled", || async {
        let notes = notes.all();
        let handled: Vec<&str> =
            notes.iter().filter(|note| !note.contains("has done")).map(String::as_str).collect();
        let done: Vec<&str> =
            notes.iter().filter(|note| note.contains("has done")).map(String::as_str).collect();
        let is_all = handled.join(" ") == "a b" && done == ["whole has done 0", "whole has done 3"];
        if is_all { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
    assert_eq!(app.stop().await, Ended::Clean);
    let samples = look(kafka.bootstrap_servers(), &format!("{topic}-whole"), &topic, 1).unwrap();
    assert_eq!(samples[0].committed, Some(5), "what is left out is committed");
}
