//! The metrics that a recorder of the `metrics` facade is given, on the embedded broker.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::observe::names;
use kafka_boot::prelude::*;
use kafka_boot::{Ended, jobs, listeners};
use kafka_boot_tests::wait::eventually_async;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key as MetricKey, KeyName, Metadata, Recorder, SharedString, Unit,
};

const DEADLINE: Duration = Duration::from_mins(1);

/// Remembers every metric by its name and labels.
#[derive(Default)]
struct Remembering {
    values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

/// Counts how many values a histogram was given.
struct Counting(Arc<AtomicU64>);

impl HistogramFn for Counting {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Remembering {
    fn value(&self, key: &MetricKey) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.values.lock().unwrap().entry(name).or_default())
    }

    fn get(&self, name: &str, label: &str) -> Option<u64> {
        let values = self.values.lock().unwrap();
        let wanted = format!("{name}{{{label}}}");
        values.get(&wanted).map(|value| value.load(Ordering::SeqCst))
    }
}

struct Shared(Arc<Remembering>);

impl Recorder for Shared {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &MetricKey, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.value(key))
    }

    fn register_gauge(&self, key: &MetricKey, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.0.value(key))
    }

    fn register_histogram(&self, key: &MetricKey, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Counting(self.0.value(key))))
    }
}

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

#[kafka_listener(id = "measured", topic = "measured", group = "measured")]
async fn measured(_record: Record<String>) -> Result<()> {
    match ATTEMPTS.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the first attempt fails".into()),
        _ => Ok(()),
    }
}

#[scheduled(id = "sender", fixed_delay = 20)]
async fn sender(kafka: Bean<KafkaTemplate>) -> Result<()> {
    kafka.send("measured", "value").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_template_job_and_lag_are_measured() {
    let remembered = Arc::new(Remembering::default());
    metrics::set_global_recorder(Shared(Arc::clone(&remembered))).unwrap();
    let arguments = vec![
        "--kafka.topics[0].name=measured".to_owned(),
        "--kafka.topics[0].partitions=1".to_owned(),
        "--kafka.error.backoff.initial=10ms".to_owned(),
    ];
    let app = App::new()
        .without_discovery()
        .without_logging()
        .load_options(LoadOptions { arguments, ..LoadOptions::default() })
        .listeners(listeners![measured])
        .jobs(jobs![sender])
        .start()
        .await
        .unwrap();

    let counted = [
        (names::LISTENER_RECORDS_RECEIVED, "listener=measured"),
        (names::LISTENER_RECORDS_HANDLED, "listener=measured"),
        (names::LISTENER_ATTEMPTS_FAILED, "listener=measured"),
        (names::LISTENER_ATTEMPTS_RETRIED, "listener=measured"),
        (names::LISTENER_SECONDS, "listener=measured"),
        (names::LISTENER_COMMITS, "listener=measured"),
        (names::TEMPLATE_RECORDS_SENT, "cluster=default"),
        (names::JOB_RUNS, "job=sender"),
        (names::JOB_SECONDS, "job=sender"),
    ];
    for (name, label) in counted {
        eventually_async(DEADLINE, name, || async {
            remembered.get(name, label).is_some_and(|value| value > 0)
        })
        .await;
    }
    // Gauges may be zero when all is well: what counts is that they are told.
    let gauges = [
        (names::LISTENER_LAG, "listener=measured,topic=measured,partition=0"),
        (names::LISTENER_PREFETCHED, "listener=measured,topic=measured,partition=0"),
        (names::LISTENER_IN_FLIGHT, "listener=measured,consumer=0"),
        (names::TEMPLATE_IN_FLIGHT, "cluster=default"),
    ];
    for (name, label) in gauges {
        eventually_async(DEADLINE, name, || async { remembered.get(name, label).is_some() }).await;
    }
    assert_eq!(app.stop().await, Ended::Clean);
}
