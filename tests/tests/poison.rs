//! Records that nobody can read (R9): each becomes a dead letter byte for byte, and its neighbours are handled in order.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::Arc;
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{Ended, HeaderValue, RunningApp, listeners};
use kafka_boot_tests::consume::{Consumed, read_topic};
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;
use kafka_boot_tests::wait::eventually_async;
use rdkafka::ClientConfig;
use rdkafka::message::{Header as RdHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

const DEADLINE: Duration = Duration::from_mins(3);
/// How large what is said of a failure may be, by default.
const FAILURE_BYTES_MAX: usize = 8 * 1024;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    number: u64,
    #[serde(default)]
    _customer: String,
    #[serde(default)]
    _lines: serde_json::Value,
}

struct Version;

impl HeaderValue for Version {
    const NAME: &'static str = "version";
}

/// The numbers of the orders that were handled.
#[derive(Default)]
struct Handled(tokio::sync::watch::Sender<Vec<u64>>);

#[kafka_listener(topic = "${test.topic}", group = "${test.topic}")]
async fn handle(
    order: Json<Order>,
    _key: Key<String>,
    _version: kafka_boot::Header<Version, u32>,
    handled: Bean<Arc<Handled>>,
) -> Result<()> {
    handled.0.send_modify(|numbers| numbers.push(order.number));
    Ok(())
}

/// A record that somebody wrote.
#[derive(Clone, Debug)]
struct Written {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Written {
    /// One that is as it should be.
    fn good(number: u64) -> Self {
        Self {
            key: Some(b"customer".to_vec()),
            value: Some(format!(r#"{{"number": {number}}}"#).into_bytes()),
            headers: vec![("version".to_owned(), Some(b"1".to_vec()))],
        }
    }

    fn is_large(&self) -> bool {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum();
        headers + length(&self.value) > 50_000
    }

    fn with_value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::good(0) }
    }

    fn with_headers(headers: impl IntoIterator<Item = (String, Option<Vec<u8>>)>) -> Self {
        let mut written = Self::with_value("not JSON");
        written.headers.extend(headers);
        written
    }
}

fn header(name: &str, value: impl Into<Vec<u8>>) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.into()))
}

/// Writes the records in their order to partition 0.
fn write(kafka: &Kafka, topic: &str, records: &[Written]) {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("message.max.bytes", "2000000")
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for record in records {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(RdHeader { key, value: value.as_deref() })
        });
        let mut base = BaseRecord::<[u8], [u8]>::to(topic).partition(0).headers(headers);
        base.key = record.key.as_deref();
        base.payload = record.value.as_deref();
        while let Err((error, back)) = producer.send(base) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(rdkafka::types::RDKafkaErrorCode::QueueFull),
                "{error}"
            );
            std::thread::sleep(Duration::from_millis(5));
            base = back;
        }
    }
    producer.flush(DEADLINE).unwrap();
}

async fn start(kafka: &Kafka, topic: &str, handled: &Arc<Handled>) -> RunningApp {
    let topic = format!("test.topic={topic}");
    let app = App::new().listeners(listeners![handle]).without_discovery().without_logging();
    app.bean(Arc::clone(handled)).load_options(options(kafka, [topic.as_str()])).start().await.unwrap()
}

/// Writes the poison among good records; every good one is handled, in order, and every bad one is a letter, in order.
async fn among_others(kafka: &Kafka, name: &str, poison: Vec<Written>, others: u64) {
    let topic = unique_name(name);
    kafka.create_topic(&topic, 1).unwrap();
    let every = others / u64::try_from(poison.len() + 1).unwrap();
    let mut records = Vec::new();
    let mut at = Vec::new();
    let mut left = poison.iter();
    for number in 0..others {
        if number % every.max(1) == every / 2
            && let Some(bad) = left.next()
        {
            at.push(i64::try_from(records.len()).unwrap());
            records.push(bad.clone());
        }
        records.push(Written::good(number));
    }
    assert!(left.next().is_none(), "all of the poison is in");
    let (servers, target) = (kafka.bootstrap_servers().to_owned(), format!("{topic}-dlt"));
    tokio::task::block_in_place(|| write(kafka, &topic, &records));
    let handled = Arc::new(Handled::default());
    let app = start(kafka, &topic, &handled).await;
    let mut numbers = handled.0.subscribe();
    let all = numbers.wait_for(|numbers| u64::try_from(numbers.len()).unwrap() >= others);
    let all = tokio::time::timeout(DEADLINE, all).await.map(|all| all.unwrap().clone());
    let all = all.unwrap_or_else(|_| panic!("{name}: {} of {others} handled", handled.0.borrow().len()));
    assert!(all.iter().copied().eq(0..others), "{name}: each once, in order");
    let letters = eventually_async(DEADLINE, "every poisoned record to be a letter", async || {
        let (servers, target) = (servers.clone(), target.clone());
        let read = tokio::task::spawn_blocking(move || read_topic(&servers, &target, DEADLINE))
            .await
            .unwrap()
            .unwrap();
        if read.len() >= poison.len() { Ok(read) } else { Err(format!("{} of {}", read.len(), poison.len())) }
    })
    .await;
    assert_eq!(letters.len(), poison.len(), "{name}: each once");
    for ((letter, bad), offset) in letters.iter().zip(&poison).zip(at) {
        assert_same(name, letter, bad, &topic, offset);
    }
    assert_eq!(app.stop().await, Ended::Clean);
}

/// The record byte for byte, and behind its headers where it was and what went wrong, within bounds.
fn assert_same(name: &str, letter: &Consumed, bad: &Written, topic: &str, offset: i64) {
    assert_eq!(letter.key, bad.key, "{name}: the key");
    assert!(
        letter.value == bad.value,
        "{name}: the value, of {:?} bytes",
        letter.value.as_ref().map(Vec::len)
    );
    let (own, added) = letter.headers.split_at(bad.headers.len());
    assert!(own == bad.headers, "{name}: the headers");
    let value = |wanted: &str| {
        let found = added.iter().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.as_deref()).unwrap_or_else(|| panic!("{name}: no {wanted}"))
    };
    assert_eq!(value("kafka_dlt-original-topic"), topic.as_bytes());
    assert_eq!(value("kafka_dlt-original-partition"), [0; 4]);
    assert_eq!(value("kafka_dlt-original-offset"), offset.to_be_bytes());
    let is_key = added[0].0 == "kafka_dlt-key-exception-fqcn";
    let kind = if is_key { "key-exception" } else { "exception" };
    assert_eq!(value(&format!("kafka_dlt-{kind}-fqcn")), b"kafka_boot::ExtractError");
    let message = value(&format!("kafka_dlt-{kind}-message"));
    assert!(message.starts_with(b"cannot read `"), "{name}: {}", String::from_utf8_lossy(message));
    let failure: usize = added
        .iter()
        .filter(|(name, _)| name.contains("exception"))
        .map(|(_, value)| value.as_ref().unwrap().len())
        .sum();
    assert!(failure <= FAILURE_BYTES_MAX, "{name}: {failure} bytes");
}

/// A test for each kind, of ten records among a hundred others; and all kinds, to be mixed.
macro_rules! kinds {
    ($($name:ident => $poison:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(kafka) = Kafka::shared() else { return };
                among_others(kafka, "poison", vec![$poison; 10], 100).await;
            }
        )+

        fn every_kind() -> Vec<Written> {
            vec![$($poison),+]
        }
    };
}

kinds! {
    an_empty_value => Written::with_value("");
    a_tombstone => Written { value: None, ..Written::good(0) };
    a_value_that_is_not_utf_8 => Written::with_value(b"{\"number\": \"\xff\xfe\"}".to_vec());
    json_that_is_cut_short => Written::with_value(r#"{"number": 1, "_customer": "Mill"#);
    json_nested_a_hundred_thousand_deep => Written::with_value("[".repeat(100_000));
    a_value_of_another_schema => Written::with_value([&[0, 0, 0, 0, 99], &b"{\"number\": 1}"[..]].concat());
    a_header_of_a_megabyte => Written::with_headers([header("large", vec![7; 1_000_000])]);
    ten_thousand_headers => Written::with_headers((0..10_000).map(|number| header(&format!("h{number}"), "v")));
    one_header_many_times => Written::with_headers((0..100).map(|number| header("same", format!("{number}"))));
    nul_bytes_everywhere => Written {
        key: Some(vec![0; 10]),
        value: Some(vec![0; 100]),
        headers: vec![header("version", "1"), header("nul", vec![0; 10]), ("null".to_owned(), None)],
    };
    terminal_controls_and_line_breaks => Written {
        key: Some(b"\x1b[2J\r\nERROR forged".to_vec()),
        value: Some(b"\x1b]0;title\x07\n".to_vec()),
        headers: vec![header("version", "1"), header("\x1b[31m", "\u{202e}\u{2028}")],
    };
    a_value_compressed_by_its_sender => Written::with_value(b"\x1f\x8b\x08\0\0\0\0\0\0\x03garbage".to_vec());
    a_key_that_cannot_be_read => Written { key: Some(vec![0xc3, 0x28]), ..Written::good(0) };
    no_key_where_one_is_needed => Written { key: None, ..Written::good(0) };
    a_header_that_is_missing => Written { headers: Vec::new(), ..Written::good(0) };
    a_header_that_is_no_number => Written { headers: vec![header("version", "1.5.2-beta")], ..Written::good(0) };
    a_header_without_a_value => Written { headers: vec![("version".to_owned(), None)], ..Written::good(0) };
    json_of_another_type => Written::with_value(r#"["number", 1]"#);
    a_number_that_is_too_large => Written::with_value(r#"{"number": 99999999999999999999999999}"#);
    a_key_of_json_twice => Written::with_value(r#"{"number": 1, "number": 2}"#);
    half_a_surrogate_pair => Written::with_value(r#"{"number": 1, "_customer": "\ud800"}"#);
    a_byte_order_mark => Written::with_value(b"\xef\xbb\xbf{\"number\": 1}".to_vec());
    text_of_sixteen_bits => Written::with_value(b"{\0\"\0n\0\"\0:\x001\0}\0".to_vec());
    garbage_behind_the_json => Written::with_value(r#"{"number": 1} and more"#);
    an_error_of_a_hundred_kilobytes => Written::with_value(format!(r#"{{"{}": 1}}"#, "field".repeat(20_000)));
}

/// One record in a hundred is of one of these kinds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_percent_of_poison_of_every_kind_among_a_hundred_thousand_records() {
    const RECORDS: usize = 100_000;
    let Some(kafka) = Kafka::shared() else { return };
    let (large, small): (Vec<_>, Vec<_>) = every_kind().into_iter().partition(Written::is_large);
    assert!(large.len() + small.len() >= 20);
    // Each kind as often as any other; but of those that are large, ten are enough.
    let few = large.iter().cycle().take(large.len() * 10);
    let poison: Vec<Written> = few.chain(small.iter().cycle()).take(RECORDS / 100).cloned().collect();
    among_others(kafka, "poison.mixed", poison, u64::try_from(RECORDS - RECORDS / 100).unwrap()).await;
}

/// A record as large as its topic takes has a letter, too: the topic that is made for it has room for what is added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_as_large_as_its_topic_takes() {
    let Some(kafka) = Kafka::shared() else { return };
    among_others(kafka, "poison.large", vec![Written::with_value(vec![b'x'; 1_048_400])], 10).await;
}
