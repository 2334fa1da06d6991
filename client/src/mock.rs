//! A Kafka cluster inside this process, made by librdkafka for tests, that fails on demand.

use std::ffi::c_int;
use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka_sys as rdsys;

use crate::config::{ClientConfig, NativeConfig};
use crate::error::{ClientError, ErrorCode, ErrorKind, lossy};
use crate::native::{Context, c_string, millis};

/// A cluster of brokers in this process, on random local ports; brokers are numbered from 1. Stops on drop.
///
/// It knows produce, fetch and consumer groups, but none of the admin requests, no transaction markers, no TLS and no
/// SASL. A partition keeps at most 5 MB and 100,000 records. Groups form without the initial delay of real brokers.
///
/// ```
/// use kafka_boot_client::MockCluster;
///
/// let cluster = MockCluster::start(1)?;
/// cluster.create_topic("orders", 3, 1)?;
/// assert!(cluster.bootstrap_servers().contains(':'));
/// # Ok::<(), kafka_boot_client::ClientError>(())
/// ```
pub struct MockCluster {
    cluster: NonNull<rdsys::rd_kafka_mock_cluster_t>,
    client: NonNull<rdsys::rd_kafka_t>,
    /// Used by the log callback until the client is destroyed.
    _context: Box<Context>,
}

// SAFETY: every operation of a mock cluster is a message to its own thread.
unsafe impl Send for MockCluster {}
// SAFETY: as above.
unsafe impl Sync for MockCluster {}

impl MockCluster {
    /// Starts `brokers` brokers.
    pub fn start(brokers: u16) -> Result<Self, ClientError> {
        let context = Box::new(Context::new("mock-cluster"));
        // Its own client has nobody to connect to, and need not say so.
        let settings = ClientConfig::from_iter([("log_level", "3")]);
        let config = NativeConfig::create(&settings)?;
        context.install(&config);
        let client = config.into_client(rdsys::rd_kafka_type_t::RD_KAFKA_PRODUCER, &settings)?;
        // SAFETY: the client is live; should there be no cluster it is destroyed at once.
        let cluster = unsafe { rdsys::rd_kafka_mock_cluster_new(client.as_ptr(), c_int::from(brokers)) };
        let Some(cluster) = NonNull::new(cluster) else {
            // SAFETY: live, and nobody else knows it.
            unsafe { rdsys::rd_kafka_destroy(client.as_ptr()) };
            return Err(ClientError::of_kind(ErrorKind::Other, "the mock cluster did not start"));
        };
        // SAFETY: the cluster is live.
        unsafe { rdsys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0) };
        Ok(Self { cluster, client, _context: context })
    }

    /// What to set `bootstrap.servers` to.
    pub fn bootstrap_servers(&self) -> String {
        // SAFETY: the cluster is live, and the string with it.
        unsafe { lossy(rdsys::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr())) }
    }

    /// Creates a topic. Topics that clients ask for come into being by themselves, with 4 partitions.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i32,
    ) -> Result<(), ClientError> {
        let name = c_string("a topic name", name)?;
        // SAFETY: cluster and name are live.
        let code = unsafe {
            rdsys::rd_kafka_mock_topic_create(
                self.cluster.as_ptr(),
                name.as_ptr(),
                partitions,
                replication_factor,
            )
        };
        ClientError::check_code("create topic", code)
    }

    /// Closes a broker's connections and refuses new ones.
    pub fn broker_down(&self, broker: i32) -> Result<(), ClientError> {
        // SAFETY: the cluster is live.
        let code = unsafe { rdsys::rd_kafka_mock_broker_set_down(self.cluster.as_ptr(), broker) };
        ClientError::check_code("take broker down", code)
    }

    /// Lets a broker accept connections again.
    pub fn broker_up(&self, broker: i32) -> Result<(), ClientError> {
        // SAFETY: the cluster is live.
        let code = unsafe { rdsys::rd_kafka_mock_broker_set_up(self.cluster.as_ptr(), broker) };
        ClientError::check_code("bring broker up", code)
    }

    /// Makes a broker answer no sooner than `round_trip` after a request.
    pub fn broker_round_trip(&self, broker: i32, round_trip: Duration) -> Result<(), ClientError> {
        // SAFETY: the cluster is live.
        let code =
            unsafe { rdsys::rd_kafka_mock_broker_set_rtt(self.cluster.as_ptr(), broker, millis(round_trip)) };
        ClientError::check_code("delay broker", code)
    }

    /// Fails the next requests of the kind `api_key` (Kafka's number: 0 produce, 1 fetch, 8 offset commit and so on),
    /// one code each. [`ErrorCode::NONE`] lets one pass.
    pub fn push_request_errors(&self, api_key: i16, codes: &[ErrorCode]) -> Result<(), ClientError> {
        let native: Vec<_> = codes.iter().filter_map(|code| code.native()).collect();
        if native.len() != codes.len() {
            return Err(ClientError::of_kind(
                ErrorKind::Invalid,
                "an error code that librdkafka does not know",
            ));
        }
        // SAFETY: the cluster is live; the codes are copied.
        unsafe {
            rdsys::rd_kafka_mock_push_request_errors_array(
                self.cluster.as_ptr(),
                api_key,
                native.len(),
                native.as_ptr(),
            );
        }
        Ok(())
    }

    /// Takes back what [`Self::push_request_errors`] has left.
    pub fn clear_request_errors(&self, api_key: i16) {
        // SAFETY: the cluster is live.
        unsafe { rdsys::rd_kafka_mock_clear_request_errors(self.cluster.as_ptr(), api_key) };
    }

    /// Makes `broker` the coordinator of `group`.
    pub fn coordinator(&self, group: &str, broker: i32) -> Result<(), ClientError> {
        let group = c_string("a group", group)?;
        // SAFETY: the cluster and both strings are live.
        let code = unsafe {
            rdsys::rd_kafka_mock_coordinator_set(
                self.cluster.as_ptr(),
                c"group".as_ptr(),
                group.as_ptr(),
                broker,
            )
        };
        ClientError::check_code("move coordinator", code)
    }

    /// Makes `broker` the leader of a partition; `None` leaves it without one.
    pub fn partition_leader(
        &self,
        topic: &str,
        partition: i32,
        broker: Option<i32>,
    ) -> Result<(), ClientError> {
        let topic = c_string("a topic name", topic)?;
        // SAFETY: cluster and name are live.
        let code = unsafe {
            rdsys::rd_kafka_mock_partition_set_leader(
                self.cluster.as_ptr(),
                topic.as_ptr(),
                partition,
                broker.unwrap_or(-1),
            )
        };
        ClientError::check_code("move leader", code)
    }

    /// Makes every request for `topic` fail with `code`; [`ErrorCode::NONE`] ends that.
    pub fn topic_error(&self, topic: &str, code: ErrorCode) -> Result<(), ClientError> {
        let topic = c_string("a topic name", topic)?;
        let Some(code) = code.native() else {
            return Err(ClientError::of_kind(
                ErrorKind::Invalid,
                "an error code that librdkafka does not know",
            ));
        };
        // SAFETY: cluster and name are live.
        unsafe { rdsys::rd_kafka_mock_topic_set_error(self.cluster.as_ptr(), topic.as_ptr(), code) };
        Ok(())
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: both are live and owned; the cluster goes before the client it belongs to.
        unsafe {
            rdsys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr());
            rdsys::rd_kafka_destroy(self.client.as_ptr());
        }
    }
}

impl fmt::Debug for MockCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockCluster").field("bootstrap_servers", &self.bootstrap_servers()).finish()
    }
}
