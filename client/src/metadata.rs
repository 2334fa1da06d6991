//! What the cluster says about its brokers, topics and partitions.

use std::ptr;
use std::time::Duration;

use rdkafka_sys as rdsys;

use crate::error::{ClientError, ErrorCode, lossy};
use crate::native::{NativeClient, c_string, millis};

/// A snapshot of the cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metadata {
    /// The brokers that are up.
    pub brokers: Vec<BrokerMetadata>,
    /// The topics asked for.
    pub topics: Vec<TopicMetadata>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerMetadata {
    /// The broker's id.
    pub id: i32,
    /// The host it advertises.
    pub host: String,
    /// The port it advertises.
    pub port: i32,
    /// Its rack, where known; only [`Admin::describe_cluster`](crate::Admin::describe_cluster) and its like tell.
    pub rack: Option<String>,
}

/// A topic.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TopicMetadata {
    /// The topic's name.
    pub name: String,
    /// Its partitions, ordered by number.
    pub partitions: Vec<PartitionMetadata>,
    /// Why the topic cannot be used, such as [`UnknownTopic`](crate::ErrorKind::UnknownTopic).
    pub error: Option<ClientError>,
}

/// A partition.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartitionMetadata {
    /// The partition's number, from 0.
    pub id: i32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// The brokers that hold all of it.
    pub in_sync_replicas: Vec<i32>,
    /// Why the partition cannot be used.
    pub error: Option<ClientError>,
}

impl Metadata {
    /// Blocks up to `timeout`. `None` asks about all topics.
    pub(crate) fn fetch(
        client: &NativeClient,
        topic: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let name = topic.map(|topic| c_string("a topic name", topic)).transpose()?;
        // SAFETY: client and name are live; the handle is released and the metadata destroyed once copied. A topic
        // handle that is null (an invalid name) is reported by `rd_kafka_last_error`.
        unsafe {
            let handle = match &name {
                Some(name) => {
                    let handle = rdsys::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), ptr::null_mut());
                    if handle.is_null() {
                        let code = ErrorCode::from(rdsys::rd_kafka_last_error());
                        return Err(ClientError::from_code("read metadata", code));
                    }
                    handle
                }
                None => ptr::null_mut(),
            };
            let mut native = ptr::null();
            let all = i32::from(handle.is_null());
            let code =
                rdsys::rd_kafka_metadata(client.as_ptr(), all, handle, &raw mut native, millis(timeout));
            if !handle.is_null() {
                rdsys::rd_kafka_topic_destroy(handle);
            }
            ClientError::check_code("read metadata", code)?;
            let copy = Self::copy(&*native);
            rdsys::rd_kafka_metadata_destroy(native);
            Ok(copy)
        }
    }

    /// # Safety
    /// `native` and what it points to are live.
    unsafe fn copy(native: &rdsys::rd_kafka_metadata) -> Self {
        // SAFETY: each pointer comes with the number of elements behind it.
        unsafe {
            let brokers = array(native.brokers, native.broker_cnt);
            let topics = array(native.topics, native.topic_cnt);
            Self {
                brokers: brokers
                    .iter()
                    .map(|broker| BrokerMetadata {
                        id: broker.id,
                        host: lossy(broker.host),
                        port: broker.port,
                        rack: None,
                    })
                    .collect(),
                topics: topics
                    .iter()
                    .map(|topic| {
                        let name = lossy(topic.topic);
                        let mut partitions: Vec<_> = array(topic.partitions, topic.partition_cnt)
                            .iter()
                            .map(|partition| PartitionMetadata::copy(partition))
                            .collect();
                        partitions.sort_unstable_by_key(|partition| partition.id);
                        TopicMetadata {
                            error: error_in(&raw const topic.err, &format!("topic `{name}`")),
                            name,
                            partitions,
                        }
                    })
                    .collect(),
            }
        }
    }
}

impl PartitionMetadata {
    /// # Safety
    /// `native` and what it points to are live.
    unsafe fn copy(native: &rdsys::rd_kafka_metadata_partition) -> Self {
        // SAFETY: each pointer comes with the number of elements behind it.
        unsafe {
            Self {
                id: native.id,
                leader: (native.leader >= 0).then_some(native.leader),
                replicas: array(native.replicas, native.replica_cnt).to_vec(),
                in_sync_replicas: array(native.isrs, native.isr_cnt).to_vec(),
                error: error_in(&raw const native.err, &format!("partition {}", native.id)),
            }
        }
    }
}

/// # Safety
/// `start` points to `count` live elements, or `count` is not positive.
unsafe fn array<'a, T>(start: *const T, count: i32) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: by this function's contract.
        Ok(count) if count > 0 && !start.is_null() => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

/// # Safety
/// `code` is live. It is read as a number because a broker may send one that the enum lacks.
unsafe fn error_in(code: *const rdsys::rd_kafka_resp_err_t, what: &str) -> Option<ClientError> {
    // SAFETY: by this function's contract.
    let code = ErrorCode::from_number(unsafe { code.cast::<i32>().read() });
    ClientError::check_code(what, code).err()
}
