//! What a dead cluster does to the log. A program of its own, because librdkafka's threads log to the global subscriber.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_boot_client::{ClientConfig, Consumer, ConsumerEvent, MockCluster};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_dead_cluster_yields_a_handful_of_lines_however_often_it_fails() {
    let lines = Lines::default();
    let sink = lines.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).init();

    let cluster = MockCluster::start(1).unwrap();
    let config = ClientConfig::from_iter([
        ("bootstrap.servers", cluster.bootstrap_servers().as_str()),
        ("client.id", "the-client"),
        ("group.id", "dead"),
        ("sasl.password", "canary-7f3a"),
        ("reconnect.backoff.ms", "5"),
        ("reconnect.backoff.max.ms", "10"),
    ]);
    drop(cluster);
    let mut consumer = Consumer::new(&config).unwrap();
    consumer.subscribe(&["orders"]).unwrap();

    let (mut events, started) = (Vec::new(), Instant::now());
    let failures = |events: &[ConsumerEvent]| {
        events.iter().filter(|event| matches!(event, ConsumerEvent::Error(_))).count()
    };
    while failures(&events) < 20 {
        assert!(started.elapsed() < Duration::from_secs(30), "{events:?}");
        consumer.poll(1, Duration::from_millis(50), &mut Vec::new(), &mut events).unwrap();
    }

    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    let ours: Vec<_> = text.lines().filter(|line| line.contains("kafka_boot::client")).collect();
    // Each kind of line at once and then every ten seconds.
    let windows = 1 + started.elapsed().as_secs() / 10;
    assert!(!ours.is_empty() && ours.len() as u64 <= 5 * windows, "{text}");
    assert!(
        ours.iter().all(|line| line.contains("client=\"the-client\"") && line.contains("facility=")),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}
