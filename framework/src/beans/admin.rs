//! `Admin`: topics, settings, groups and offsets of a cluster.

use std::fmt;
use std::time::Duration;

use kafka_boot_client::{
    Admin as ClientAdmin, ClientConfig, ClientError, ClusterDescription, ConfigChange, ConfigEntry,
    ConfigResource, GroupDescription, GroupListings, ItemResults, ListedOffset, NewPartitions, NewTopic,
    OffsetPlan, OffsetReset, OffsetSpec, PartitionOffset, PartitionResults, ResourceResults,
    TopicDescription, TopicMetadata, TopicPartition,
};

use crate::config::model::AdminProperties;

/// Administers one cluster: a bean. Requests take at most `kafka.admin.request-timeout` (5 s by default), those that
/// create, grow or delete at most `kafka.admin.operation-timeout` (10 s).
///
/// A call about several things returns one result each; what fails for one does not fail the others.
///
/// ```no_run
/// use kafka_boot::admin::{ConfigChange, ConfigOperation, NewTopic};
/// use kafka_boot::prelude::*;
///
/// #[scheduled(cron = "0 0 3 * * *")]
/// async fn housekeeping(admin: Bean<Admin>) -> Result<()> {
///     admin.create_topic(NewTopic::new("audit").partitions(3).replication_factor(1)).await?;
///     let retention = ConfigChange { name: "retention.ms".into(), operation: ConfigOperation::Set("60000".into()) };
///     admin.alter_topic_configs("audit", &[retention]).await?;
///     for topic in admin.list_topics().await? {
///         info!(topic = %topic.name, "there");
///     }
///     Ok(())
/// }
/// ```
pub struct Admin {
    client: ClientAdmin,
    request_timeout: Duration,
    operation_timeout: Duration,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("request_timeout", &self.request_timeout).finish_non_exhaustive()
    }
}

impl Admin {
    pub(crate) fn new(config: &ClientConfig, properties: &AdminProperties) -> Result<Self, ClientError> {
        Ok(Self {
            client: ClientAdmin::new(config)?,
            request_timeout: properties.request_timeout.get(),
            operation_timeout: properties.operation_timeout.get(),
        })
    }

    /// The same client with other deadlines, for what takes longer, or may not.
    ///
    /// ```no_run
    /// # use kafka_boot::prelude::*;
    /// # use std::time::Duration;
    /// # async fn run(admin: Bean<Admin>) -> Result<()> {
    /// let patient = admin.with_timeouts(Duration::from_secs(30), Duration::from_mins(2));
    /// patient.delete_topics(&["orders", "payments"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeouts(&self, request_timeout: Duration, operation_timeout: Duration) -> Self {
        Self { client: self.client.clone(), request_timeout, operation_timeout }
    }

    /// Every topic, with its partitions.
    pub async fn list_topics(&self) -> Result<Vec<TopicMetadata>, ClientError> {
        self.client.list_topics(self.request_timeout).await
    }

    /// What the brokers know of each topic.
    pub async fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<ItemResults<TopicDescription>, ClientError> {
        self.client.describe_topics(topics, self.request_timeout).await
    }

    /// What the brokers know of one topic.
    pub async fn describe_topic(&self, topic: &str) -> Result<TopicDescription, ClientError> {
        only(self.describe_topics(&[topic]).await?)
    }

    /// Every setting of topics, brokers or groups, defaults included.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
    ) -> Result<ResourceResults<Vec<ConfigEntry>>, ClientError> {
        self.client.describe_configs(resources, self.request_timeout).await
    }

    /// Every setting of a topic, defaults included.
    pub async fn describe_topic_configs(&self, topic: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        only(self.describe_configs(&[ConfigResource::Topic(topic.to_owned())]).await?)
    }

    /// Creates topics.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Result<ItemResults<()>, ClientError> {
        self.client.create_topics(topics, self.operation_timeout).await
    }

    /// Creates one topic.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(), ClientError> {
        only(self.create_topics(&[topic]).await?)
    }

    /// Deletes topics with all that is in them.
    pub async fn delete_topics(&self, topics: &[&str]) -> Result<ItemResults<()>, ClientError> {
        self.client.delete_topics(topics, self.operation_timeout).await
    }

    /// Changes settings of topics, brokers or groups; all others stay as they are.
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<ConfigChange>)],
    ) -> Result<ResourceResults<()>, ClientError> {
        self.client.incremental_alter_configs(changes, self.request_timeout).await
    }

    /// Changes settings of a topic; all others stay as they are.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), ClientError> {
        let resource = ConfigResource::Topic(topic.to_owned());
        only(self.alter_configs(&[(resource, changes.to_vec())]).await?)
    }

    /// Grows a topic to `total` partitions. Partitions only grow, and keys may move to others.
    pub async fn create_partitions(&self, topic: &str, total: usize) -> Result<(), ClientError> {
        only(self.create_partitions_of(&[NewPartitions { topic: topic.to_owned(), total }]).await?)
    }

    /// As [`create_partitions`](Self::create_partitions), for several topics at once.
    pub async fn create_partitions_of(
        &self,
        growth: &[NewPartitions],
    ) -> Result<ItemResults<()>, ClientError> {
        self.client.create_partitions(growth, self.operation_timeout).await
    }

    /// Deletes one topic with all that is in it.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        only(self.delete_topics(&[topic]).await?)
    }

    /// Deletes the records before an offset in each partition.
    pub async fn delete_records(&self, before: &[PartitionOffset]) -> Result<PartitionResults, ClientError> {
        self.client.delete_records(before, self.operation_timeout).await
    }

    /// Every consumer group.
    pub async fn list_groups(&self) -> Result<GroupListings, ClientError> {
        self.client.list_groups(self.request_timeout).await
    }

    /// State, members and assignments of groups.
    pub async fn describe_groups(
        &self,
        groups: &[&str],
    ) -> Result<ItemResults<GroupDescription>, ClientError> {
        self.client.describe_groups(groups, self.request_timeout).await
    }

    /// A group's committed offsets: of these partitions, or of all it has any of.
    pub async fn list_group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PartitionResults, ClientError> {
        self.client.list_group_offsets(group, partitions, self.request_timeout).await
    }

    /// Sets a group's committed offsets. The group must have no active members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[PartitionOffset],
    ) -> Result<PartitionResults, ClientError> {
        self.client.alter_group_offsets(group, offsets, self.request_timeout).await
    }

    /// Looks up where a group would go on, for [`alter_group_offsets`](Self::alter_group_offsets) to set; changes nothing.
    ///
    /// ```no_run
    /// use kafka_boot::admin::{OffsetReset, PartitionOffset, TopicPartition};
    /// use kafka_boot::prelude::*;
    ///
    /// # async fn run(admin: Bean<Admin>) -> Result<()> {
    /// let an_hour_ago = OffsetReset::AtOrAfter(1_772_368_200_000);
    /// let wanted = [(TopicPartition::new("orders", 0), an_hour_ago)];
    /// let mut offsets = Vec::new();
    /// for (partition, planned) in admin.plan_group_offsets("billing", &wanted).await? {
    ///     offsets.push(PartitionOffset::new(partition, planned?.to));
    /// }
    /// admin.alter_group_offsets("billing", &offsets).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn plan_group_offsets(
        &self,
        group: &str,
        wanted: &[(TopicPartition, OffsetReset)],
    ) -> Result<OffsetPlan, ClientError> {
        self.client.plan_group_offsets(group, wanted, self.request_timeout).await
    }

    /// Forgets a group's committed offsets of these partitions.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PartitionResults, ClientError> {
        self.client.delete_group_offsets(group, partitions, self.request_timeout).await
    }

    /// Deletes groups. They must have no active members.
    pub async fn delete_groups(&self, groups: &[&str]) -> Result<ItemResults<()>, ClientError> {
        self.client.delete_groups(groups, self.operation_timeout).await
    }

    /// Looks offsets up: the first, the next, or the first from a moment on.
    pub async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, ClientError>)>, ClientError> {
        self.client.list_offsets(partitions, self.request_timeout).await
    }

    /// The cluster's id, controller and brokers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        self.client.describe_cluster(self.request_timeout).await
    }
}

/// The result of a request about one thing.
fn only<K, T>(results: Vec<(K, Result<T, ClientError>)>) -> Result<T, ClientError> {
    match results.into_iter().next() {
        Some((_, result)) => result,
        None => Err(ClientError::unanswered()),
    }
}
