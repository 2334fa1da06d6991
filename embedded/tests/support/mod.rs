//! Shared by the tests that talk to a broker through librdkafka.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_boot_client::{
    ClientConfig, Consumer, ConsumerEvent, PartitionOffset, Producer, ProducerLimits, ProducerRecord,
    Protocol, RawRecord, TopicPartition,
};
use kafka_boot_embedded::{EmbeddedBroker, EmbeddedBrokerBuilder};
use tokio::runtime::Runtime;

/// Long enough for a machine under load; every wait ends as soon as its condition holds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The timestamp of the first record that a test produces: recent, since older ones are not retained.
pub(crate) fn first_ms() -> i64 {
    static FIRST: OnceLock<i64> = OnceLock::new();
    *FIRST.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap() - 60_000
    })
}

/// A broker on a runtime of its own, as a test that blocks needs it.
pub(crate) struct Running {
    runtime: Runtime,
    pub(crate) broker: EmbeddedBroker,
}

impl Running {
    pub(crate) fn start(builder: EmbeddedBrokerBuilder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(builder.start()).unwrap();
        Self { runtime, broker }
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let patient = async { tokio::time::timeout(PATIENCE, future).await };
        self.runtime.block_on(patient).expect("the future did not end")
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        self.broker.bootstrap_servers()
    }

    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::from_iter([("bootstrap.servers", self.bootstrap_servers())])
    }

    pub(crate) fn consumer_config(&self, group: &str) -> ClientConfig {
        ClientConfig::from_iter([
            ("bootstrap.servers", self.bootstrap_servers()),
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("session.timeout.ms", "2000"),
            ("heartbeat.interval.ms", "100"),
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "1"),
            ("topic.metadata.refresh.fast.interval.ms", "50"),
        ])
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> Producer {
        let common = [("bootstrap.servers", self.bootstrap_servers()), ("linger.ms", "0")];
        let config: ClientConfig = common.iter().chain(settings).copied().collect();
        Producer::new(&config, ProducerLimits::default()).unwrap()
    }

    /// Produces so many records to a partition, each with its number as key and value.
    pub(crate) fn produce(&self, topic: &str, partition: i32, values: std::ops::Range<u32>) {
        let producer = self.producer(&[("enable.idempotence", "true")]);
        self.block_on(async {
            for value in values {
                let record = ProducerRecord::new(topic)
                    .partition(partition)
                    .key(value.to_string())
                    .payload(value.to_string())
                    .timestamp(first_ms() + i64::from(value));
                drop(producer.enqueue(record).await.unwrap());
            }
            producer.flush(PATIENCE).await.unwrap();
        });
    }
}

/// A consumer that answers every rebalance and keeps what it got.
pub(crate) struct Driver {
    pub(crate) consumer: Consumer,
    pub(crate) records: Vec<RawRecord>,
    pub(crate) assigned: Vec<TopicPartition>,
    pub(crate) seen: Vec<ConsumerEvent>,
}

impl Driver {
    pub(crate) fn subscribe(config: &ClientConfig, topic: &str) -> Self {
        let consumer = Consumer::new(config).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Self { consumer, records: Vec::new(), assigned: Vec::new(), seen: Vec::new() }
    }

    pub(crate) fn poll(&mut self) {
        let mut events = Vec::new();
        self.consumer.poll(1_000, Duration::from_millis(20), &mut self.records, &mut events).unwrap();
        for event in events {
            self.answer(&event);
            self.seen.push(event);
        }
    }

    pub(crate) fn poll_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < PATIENCE, "{what}; events: {:?}", self.seen);
            self.poll();
        }
    }

    fn answer(&mut self, event: &ConsumerEvent) {
        let cooperative = self.consumer.rebalance_protocol() == Protocol::Cooperative;
        match event {
            ConsumerEvent::Assign { partitions } => {
                let committed = |partition: &TopicPartition| {
                    PartitionOffset::new(partition.clone(), PartitionOffset::COMMITTED)
                };
                let start: Vec<_> = partitions.iter().map(committed).collect();
                if cooperative {
                    self.consumer.incremental_assign(&start).unwrap();
                } else {
                    self.consumer.assign(&start).unwrap();
                }
                self.assigned.extend_from_slice(partitions);
            }
            ConsumerEvent::Revoke { partitions, .. } => {
                if cooperative {
                    self.consumer.incremental_unassign(partitions).unwrap();
                } else {
                    self.consumer.unassign_all().unwrap();
                }
                self.assigned.retain(|partition| !partitions.contains(partition));
            }
            _ => {}
        }
    }
}
