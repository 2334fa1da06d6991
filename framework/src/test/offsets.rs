//! Where a cluster's partitions end, and what groups have committed of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use kafka_boot_client::{ClientError, ErrorCode, NewTopic, OffsetSpec, PartitionOffset, TopicPartition};

use crate::app::Prepared;
use crate::beans::Admin;
use crate::error::{StartError, StartErrorKind};

/// The pause before a cluster that is not ready is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The next offset of each partition.
pub(super) type Ends = HashMap<TopicPartition, i64>;

/// Where every partition stood when the test began, by cluster; one that is not listed began at 0.
#[derive(Debug, Default)]
pub(super) struct Starts {
    by_cluster: HashMap<String, Ends>,
}

impl Starts {
    pub(super) fn of(&self, cluster: &str, partition: &TopicPartition) -> i64 {
        self.by_cluster.get(cluster).and_then(|ends| ends.get(partition)).copied().unwrap_or(0)
    }
}

/// The partitions of every topic, by topic.
pub(super) async fn partitions(admin: &Admin) -> Result<BTreeMap<String, Vec<TopicPartition>>, ClientError> {
    let topics = admin.list_topics().await?;
    let named = topics.into_iter().filter(|topic| topic.error.is_none()).map(|topic| {
        let partitions =
            topic.partitions.iter().map(|partition| TopicPartition::new(topic.name.as_str(), partition.id));
        (topic.name.clone(), partitions.collect())
    });
    Ok(named.collect())
}

/// Where partitions end now.
pub(super) async fn ends(admin: &Admin, partitions: &[TopicPartition]) -> Result<Ends, ClientError> {
    if partitions.is_empty() {
        return Ok(Ends::new());
    }
    let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
    let listed = admin.list_offsets(&asked).await?;
    listed.into_iter().map(|(partition, end)| Ok((partition, end?.offset.unwrap_or(0)))).collect()
}

/// What a group has committed; a partition without a commit is left out.
pub(super) async fn committed(
    admin: &Admin,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Ends, ClientError> {
    if partitions.is_empty() {
        return Ok(Ends::new());
    }
    let mut committed = Ends::new();
    for (offset, outcome) in admin.list_group_offsets(group, Some(partitions)).await? {
        outcome?;
        if offset.offset >= 0 {
            committed.insert(offset.partition, offset.offset);
        }
    }
    Ok(committed)
}

/// Brings about what a test may rely on before the first listener starts: the topics exist; where the brokers are
/// shared, the test's groups begin at the present ends. Returns where that is.
pub(super) async fn prepare(
    prepared: &Prepared,
    more_topics: &[String],
    is_shared: bool,
    patience: Duration,
) -> Result<Starts, StartError> {
    let deadline = Instant::now() + patience;
    let kafka = prepared.settings.kafka();
    let names = std::iter::once("").chain(kafka.clusters.keys().map(String::as_str));
    let mut starts = Starts::default();
    for name in names {
        let listeners: Vec<_> = prepared
            .listeners
            .iter()
            .filter(|listener| listener.cluster.as_deref().unwrap_or_default() == name)
            .collect();
        if listeners.is_empty() && !name.is_empty() {
            continue;
        }
        let admin = prepared.beans.named::<Admin>(name)?;
        let mut wanted: HashSet<&str> =
            listeners.iter().flat_map(|listener| &listener.topics).map(String::as_str).collect();
        if name.is_empty() {
            wanted.extend(more_topics.iter().map(String::as_str));
        }
        let failed = |what: &str| {
            let message = format!("the test kit could not {what}");
            move |error: ClientError| StartError::new(StartErrorKind::Kafka, message).with_source(error)
        };
        let known = patiently(deadline, || partitions(&admin)).await;
        let known = known.map_err(failed("list the topics"))?;
        for topic in wanted.into_iter().filter(|topic| !known.contains_key(*topic)) {
            let created = patiently(deadline, || create(&admin, topic)).await;
            created.map_err(failed(&format!("create the topic `{topic}`")))?;
        }
        if !is_shared {
            continue;
        }
        let all: Vec<TopicPartition> = known
            .into_iter()
            .filter(|(topic, _)| !topic.starts_with("__"))
            .flat_map(|(_, all)| all)
            .collect();
        let ends = patiently(deadline, || ends(&admin, &all)).await;
        let ends = ends.map_err(failed("look up where the topics end"))?;
        for listener in listeners {
            let of_group = ends.iter().filter(|(partition, _)| {
                listener.topic_pattern.is_some()
                    || listener.topics.iter().any(|topic| **topic == *partition.topic)
            });
            let pinned: Vec<_> =
                of_group.map(|(partition, end)| PartitionOffset::new(partition.clone(), *end)).collect();
            let pinned = patiently(deadline, || pin(&admin, listener.group_id(), &pinned)).await;
            pinned.map_err(failed("place the test's groups"))?;
        }
        starts.by_cluster.insert(name.to_owned(), ends);
    }
    Ok(starts)
}

/// Asks again while the cluster is only not ready yet: leaders are being elected, a coordinator loads its groups.
async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    deadline: Instant,
    attempt: impl Fn() -> F,
) -> Result<T, ClientError> {
    loop {
        match attempt().await {
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn create(admin: &Admin, topic: &str) -> Result<(), ClientError> {
    match admin.create_topic(NewTopic::new(topic)).await {
        Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Err(error),
        _ => Ok(()),
    }
}

async fn pin(admin: &Admin, group: &str, offsets: &[PartitionOffset]) -> Result<(), ClientError> {
    if offsets.is_empty() {
        return Ok(());
    }
    for (_, outcome) in admin.alter_group_offsets(group, offsets).await? {
        outcome?;
    }
    Ok(())
}
