//! Housekeeping of a cluster with `Bean<Admin>`: jobs that look, and change what the configuration says they may.
//!
//! Each call answers for each thing that it is about: what fails for one topic or group is told, and the others go on.

use std::collections::HashMap;

use kafka_boot::admin::{
    ConfigChange, ConfigOperation, ConfigResource, OffsetSpec, PartitionOffset, TopicPartition,
};
use kafka_boot::config::TimeSpan;
use kafka_boot::prelude::*;
use serde::Deserialize;

/// The section `housekeeping`.
#[derive(Debug, Deserialize, ConfigProperties)]
#[config(prefix = "housekeeping")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HousekeepingProperties {
    /// The topics that this program looks after: those whose name begins so.
    pub prefix: String,
    /// How long their records are kept.
    pub retention: TimeSpan,
    /// From how many records on a group's lag is worth a warning.
    pub max_lag: i64,
    /// Whether empty topics are deleted; otherwise they are only named.
    pub delete_empty_topics: bool,
}

/// Sets the retention of topics that have another one; all their other settings stay.
#[scheduled(cron = "0 0 3 * * *")]
async fn apply_retention(admin: Bean<Admin>, properties: Config<HousekeepingProperties>) -> Result<()> {
    let wanted = properties.retention.as_millis().to_string();
    let topics = topics(&admin, &properties.prefix).await?;
    let resources: Vec<_> = topics.into_iter().map(ConfigResource::Topic).collect();
    let mut changes = Vec::new();
    for (resource, entries) in admin.describe_configs(&resources).await? {
        let retention = entries?.into_iter().find(|entry| entry.name == "retention.ms");
        if retention.and_then(|entry| entry.value).as_ref() != Some(&wanted) {
            let operation = ConfigOperation::Set(wanted.clone());
            changes.push((resource, vec![ConfigChange { name: "retention.ms".to_owned(), operation }]));
        }
    }
    for (resource, changed) in admin.alter_configs(&changes).await? {
        match changed {
            Ok(()) => info!(?resource, retention = %properties.retention, "retention set"),
            Err(error) => warn!(?resource, %error, "retention not set"),
        }
    }
    Ok(())
}

/// Names the groups that lag.
#[scheduled(fixed_delay = "10s")]
async fn report_lag(admin: Bean<Admin>, properties: Config<HousekeepingProperties>) -> Result<()> {
    for group in admin.list_groups().await?.groups {
        let committed = admin.list_group_offsets(&group.group_id, None).await?;
        let stands: Vec<PartitionOffset> = committed
            .into_iter()
            .filter_map(|(offset, outcome)| outcome.is_ok().then_some(offset))
            .filter(|offset| offset.offset >= 0)
            .collect();
        let lag = lag(&admin, &stands).await?;
        if lag > properties.max_lag {
            warn!(group = %group.group_id, lag, "the group lags");
        } else {
            info!(group = %group.group_id, lag, "the group keeps up");
        }
    }
    Ok(())
}

/// How many records are behind these offsets.
async fn lag(admin: &Admin, stands: &[PartitionOffset]) -> Result<i64> {
    let wanted: Vec<_> = stands.iter().map(|offset| (offset.partition.clone(), OffsetSpec::Latest)).collect();
    let mut ends: HashMap<TopicPartition, i64> = HashMap::new();
    for (partition, listed) in admin.list_offsets(&wanted).await? {
        // A topic that was deleted leaves no lag.
        ends.extend(listed.ok().and_then(|listed| listed.offset).map(|end| (partition, end)));
    }
    let behind =
        stands.iter().filter_map(|offset| Some((ends.get(&offset.partition)? - offset.offset).max(0)));
    Ok(behind.sum())
}

/// Deletes topics without a record, if it may.
#[scheduled(cron = "0 30 3 * * *")]
async fn delete_empty_topics(admin: Bean<Admin>, properties: Config<HousekeepingProperties>) -> Result<()> {
    let mut empty = Vec::new();
    for topic in topics(&admin, &properties.prefix).await? {
        if is_empty(&admin, &topic).await? {
            empty.push(topic);
        }
    }
    if !properties.delete_empty_topics {
        info!(?empty, "empty topics; `housekeeping.delete-empty-topics` would delete them");
        return Ok(());
    }
    let names: Vec<_> = empty.iter().map(String::as_str).collect();
    for (topic, deleted) in admin.delete_topics(&names).await? {
        match deleted {
            Ok(()) => info!(%topic, "empty topic deleted"),
            Err(error) => warn!(%topic, %error, "empty topic not deleted"),
        }
    }
    Ok(())
}

async fn is_empty(admin: &Admin, topic: &str) -> Result<bool> {
    let partitions = admin.describe_topic(topic).await?.partitions;
    let mut offsets = [Vec::new(), Vec::new()];
    for (offsets, spec) in offsets.iter_mut().zip([OffsetSpec::Earliest, OffsetSpec::Latest]) {
        let wanted: Vec<_> =
            partitions.iter().map(|partition| (TopicPartition::new(topic, partition.id), spec)).collect();
        for (partition, listed) in admin.list_offsets(&wanted).await? {
            offsets.push((partition, listed?.offset));
        }
        offsets.sort_unstable();
    }
    Ok(offsets[0] == offsets[1])
}

/// The names that begin with `prefix`.
async fn topics(admin: &Admin, prefix: &str) -> Result<Vec<String>> {
    let all = admin.list_topics().await?.into_iter().map(|topic| topic.name);
    Ok(all.filter(|name| name.starts_with(prefix)).collect())
}
