//! Shared by the tests on the mock cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::{Duration, Instant};

use kafka_boot_client::{
    ClientConfig, Consumer, ConsumerEvent, MockCluster, PartitionOffset, Protocol, RawRecord, TopicPartition,
};

/// Long enough for a machine under load; every wait ends as soon as its condition holds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn config(cluster: &MockCluster, group: &str) -> ClientConfig {
    ClientConfig::from_iter([
        ("bootstrap.servers", cluster.bootstrap_servers().as_str()),
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("session.timeout.ms", "2000"),
        ("heartbeat.interval.ms", "200"),
        ("fetch.wait.max.ms", "50"),
        ("fetch.queue.backoff.ms", "1"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
    ])
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(PATIENCE * 2, future).await.expect("the future did not end") })
}

/// A consumer that answers every rebalance and keeps what it got.
pub(crate) struct Driver {
    pub(crate) consumer: Consumer,
    pub(crate) records: Vec<RawRecord>,
    pub(crate) seen: Vec<ConsumerEvent>,
    pub(crate) assigned: Vec<TopicPartition>,
}

impl Driver {
    pub(crate) fn subscribe(config: &ClientConfig, topic: &str) -> Self {
        let consumer = Consumer::new(config).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Self { consumer, records: Vec::new(), seen: Vec::new(), assigned: Vec::new() }
    }

    pub(crate) fn poll(&mut self) {
        let mut events = Vec::new();
        self.consumer.poll(1_000, Duration::from_millis(50), &mut self.records, &mut events).unwrap();
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
                let start: Vec<_> = partitions
                    .iter()
                    .map(|partition| PartitionOffset::new(partition.clone(), PartitionOffset::COMMITTED))
                    .collect();
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
