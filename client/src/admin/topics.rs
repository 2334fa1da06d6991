//! Topics, partitions, and the cluster as a whole.

use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_admin_op_t;

use super::native::{Arguments, broker, check_message, elements, item_error, optional, topic_results};
use super::{Admin, ItemResults};
use crate::config::MessageBuffer;
use crate::error::{ClientError, lossy};
use crate::metadata::{BrokerMetadata, Metadata, TopicMetadata};
use crate::native::{c_string, offload};

/// A topic to be created.
///
/// ```
/// use kafka_boot_client::NewTopic;
///
/// let topic = NewTopic::new("orders").partitions(6).replication_factor(3).config("cleanup.policy", "compact");
/// assert_eq!(topic.partitions, Some(6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTopic {
    /// The topic's name.
    pub name: String,
    /// How many partitions; `None` takes the broker's default.
    pub partitions: Option<i32>,
    /// How many copies; `None` takes the broker's default.
    pub replication_factor: Option<i32>,
    /// Settings of the topic that differ from the broker's, by Kafka's names.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication_factor: None, configs: Vec::new() }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets the number of copies.
    #[must_use]
    pub fn replication_factor(mut self, replication_factor: i32) -> Self {
        self.replication_factor = Some(replication_factor);
        self
    }

    /// Sets a setting of the topic.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

/// More partitions for a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic's name.
    pub topic: String,
    /// How many partitions there shall be, those that are there included.
    pub total: usize,
}

/// A topic, as its brokers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic's name.
    pub name: String,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub is_internal: bool,
    /// Its partitions, ordered by number.
    pub partitions: Vec<TopicPartitionDescription>,
}

/// A partition, as its brokers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicPartitionDescription {
    /// The partition's number, from 0.
    pub id: i32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<BrokerMetadata>,
    /// The brokers that hold it.
    pub replicas: Vec<BrokerMetadata>,
    /// The brokers that hold all of it.
    pub in_sync_replicas: Vec<BrokerMetadata>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// The cluster's id, where it has one.
    pub cluster_id: Option<String>,
    /// The broker to send admin requests to; `None` while there is none.
    pub controller: Option<BrokerMetadata>,
    /// The brokers that are up, ordered by id.
    pub brokers: Vec<BrokerMetadata>,
}

impl Admin {
    /// Every topic, with its partitions.
    pub async fn list_topics(&self, deadline: Duration) -> Result<Vec<TopicMetadata>, ClientError> {
        let client = self.client().clone();
        let metadata = offload("kafka-metadata", move || Metadata::fetch(&client, None, deadline)).await?;
        Ok(metadata.topics)
    }

    /// What brokers know of each of `topics`.
    pub async fn describe_topics(
        &self,
        topics: &[&str],
        deadline: Duration,
    ) -> Result<ItemResults<TopicDescription>, ClientError> {
        const DOING: &str = "describe topic";
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let names: Vec<_> =
                topics.iter().map(|topic| c_string("a topic name", topic)).collect::<Result<_, _>>()?;
            let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
            self.start(
                rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                DOING,
                deadline,
                |client, options, queue| {
                    // SAFETY: all live for the call; the collection copies the names, the request the collection.
                    unsafe {
                        let collection = rdsys::rd_kafka_TopicCollection_of_topic_names(
                            pointers.as_mut_ptr(),
                            pointers.len(),
                        );
                        rdsys::rd_kafka_DescribeTopics(client, collection, options, queue);
                        rdsys::rd_kafka_TopicCollection_destroy(collection);
                    }
                },
            )?
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_DescribeTopics_result_topics(result, count));
            Ok(found
                .iter()
                .map(|topic| {
                    let name = lossy(rdsys::rd_kafka_TopicDescription_name(*topic));
                    let doing = format!("{DOING} `{name}`");
                    let checked = item_error(&doing, rdsys::rd_kafka_TopicDescription_error(*topic));
                    (name, checked.map(|()| TopicDescription::copy(*topic)))
                })
                .collect())
        }
    }

    /// Creates topics.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        deadline: Duration,
    ) -> Result<ItemResults<()>, ClientError> {
        const DOING: &str = "create topic";
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let arguments = new_topics(topics)?;
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_CreateTopics,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_CreateTopics_result(event.as_ptr());
            let results = elements(|count| rdsys::rd_kafka_CreateTopics_result_topics(result, count));
            Ok(topic_results(DOING, results))
        }
    }

    /// Deletes topics, with everything in them.
    pub async fn delete_topics(
        &self,
        topics: &[&str],
        deadline: Duration,
    ) -> Result<ItemResults<()>, ClientError> {
        const DOING: &str = "delete topic";
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let mut arguments = Arguments::new(rdsys::rd_kafka_DeleteTopic_destroy);
            for topic in topics {
                let name = c_string("a topic name", topic)?;
                // SAFETY: the name is copied; the list destroys the argument.
                unsafe { arguments.push(rdsys::rd_kafka_DeleteTopic_new(name.as_ptr())) };
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_DeleteTopics,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DeleteTopics_result(event.as_ptr());
            let results = elements(|count| rdsys::rd_kafka_DeleteTopics_result_topics(result, count));
            Ok(topic_results(DOING, results))
        }
    }

    /// Adds partitions to topics. Keys then go to other partitions than before.
    pub async fn create_partitions(
        &self,
        partitions: &[NewPartitions],
        deadline: Duration,
    ) -> Result<ItemResults<()>, ClientError> {
        const DOING: &str = "create partitions of";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let mut arguments = Arguments::new(rdsys::rd_kafka_NewPartitions_destroy);
            for wanted in partitions {
                let name = c_string("a topic name", &wanted.topic)?;
                let mut message = MessageBuffer::new();
                // SAFETY: the name is copied; the buffer is live; the list destroys the argument.
                unsafe {
                    let argument = rdsys::rd_kafka_NewPartitions_new(
                        name.as_ptr(),
                        wanted.total,
                        message.as_mut_ptr(),
                        message.len(),
                    );
                    if argument.is_null() {
                        return Err(ClientError::invalid(format!(
                            "{DOING} `{}`: {}",
                            wanted.topic,
                            message.text()
                        )));
                    }
                    arguments.push(argument);
                }
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_CreatePartitions,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_CreatePartitions_result(event.as_ptr());
            let results = elements(|count| rdsys::rd_kafka_CreatePartitions_result_topics(result, count));
            Ok(topic_results(DOING, results))
        }
    }

    /// The cluster's id, controller and brokers.
    pub async fn describe_cluster(&self, deadline: Duration) -> Result<ClusterDescription, ClientError> {
        let pending = self.start(
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            "describe cluster",
            deadline,
            // SAFETY: all live for the call.
            |client, options, queue| unsafe { rdsys::rd_kafka_DescribeCluster(client, options, queue) },
        )?;
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DescribeCluster_result(event.as_ptr());
            let nodes = elements(|count| rdsys::rd_kafka_DescribeCluster_result_nodes(result, count));
            let mut brokers = brokers_of(nodes);
            brokers.sort_unstable_by_key(|broker| broker.id);
            Ok(ClusterDescription {
                cluster_id: optional(rdsys::rd_kafka_DescribeCluster_result_cluster_id(result)),
                controller: broker(rdsys::rd_kafka_DescribeCluster_result_controller(result)),
                brokers,
            })
        }
    }
}

impl TopicDescription {
    /// # Safety
    /// `native` is live, and what it holds with it.
    unsafe fn copy(native: *const rdsys::rd_kafka_TopicDescription_t) -> Self {
        // SAFETY: by this function's contract.
        unsafe {
            let found = elements(|count| rdsys::rd_kafka_TopicDescription_partitions(native, count));
            let mut partitions: Vec<_> =
                found.iter().map(|partition| TopicPartitionDescription::copy(*partition)).collect();
            partitions.sort_unstable_by_key(|partition| partition.id);
            Self {
                name: lossy(rdsys::rd_kafka_TopicDescription_name(native)),
                is_internal: rdsys::rd_kafka_TopicDescription_is_internal(native) != 0,
                partitions,
            }
        }
    }
}

impl TopicPartitionDescription {
    /// # Safety
    /// `native` is live, and what it holds with it.
    unsafe fn copy(native: *const rdsys::rd_kafka_TopicPartitionInfo_t) -> Self {
        // SAFETY: by this function's contract.
        unsafe {
            let replicas = elements(|count| rdsys::rd_kafka_TopicPartitionInfo_replicas(native, count));
            let in_sync = elements(|count| rdsys::rd_kafka_TopicPartitionInfo_isr(native, count));
            Self {
                id: rdsys::rd_kafka_TopicPartitionInfo_partition(native),
                leader: broker(rdsys::rd_kafka_TopicPartitionInfo_leader(native))
                    .filter(|leader| leader.id >= 0),
                replicas: brokers_of(replicas),
                in_sync_replicas: brokers_of(in_sync),
            }
        }
    }
}

/// # Safety
/// The nodes are live.
unsafe fn brokers_of(nodes: &[*const rdsys::rd_kafka_Node_t]) -> Vec<BrokerMetadata> {
    // SAFETY: by this function's contract.
    nodes.iter().filter_map(|node| unsafe { broker(*node) }).collect()
}

fn new_topics(topics: &[NewTopic]) -> Result<Arguments<rdsys::rd_kafka_NewTopic_t>, ClientError> {
    let mut arguments = Arguments::new(rdsys::rd_kafka_NewTopic_destroy);
    for topic in topics {
        let doing = format!("create topic `{}`", topic.name);
        if topic.name.is_empty() {
            return Err(ClientError::invalid("create topic: a topic needs a name"));
        }
        let name = c_string("a topic name", &topic.name)?;
        let mut message = MessageBuffer::new();
        // SAFETY: the name is copied; the buffer is live.
        let argument = unsafe {
            rdsys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions.unwrap_or(-1),
                topic.replication_factor.unwrap_or(-1),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        if argument.is_null() {
            return Err(ClientError::invalid(format!("{doing}: {}", message.text())));
        }
        // SAFETY: the argument is live, and the list destroys it.
        unsafe { arguments.push(argument) };
        for (key, value) in &topic.configs {
            let (key, value) = (c_string("a setting", key)?, c_string("a setting's value", value)?);
            // SAFETY: the argument is live; both strings are copied.
            let code = unsafe { rdsys::rd_kafka_NewTopic_set_config(argument, key.as_ptr(), value.as_ptr()) };
            check_message(&doing, code, &message)?;
        }
    }
    Ok(arguments)
}
