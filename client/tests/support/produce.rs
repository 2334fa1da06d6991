//! For the tests that produce.

use kafka_boot_client::{ClientConfig, MockCluster};

pub(crate) fn producer_config(cluster: &MockCluster) -> ClientConfig {
    ClientConfig::from_iter([
        ("bootstrap.servers", cluster.bootstrap_servers().as_str()),
        ("linger.ms", "0"),
        ("enable.idempotence", "true"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
    ])
}
