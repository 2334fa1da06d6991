//! Topics: made, changed, and taken away.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::quiet_client;
use crate::{Error, ErrorKind, Result};

/// How long the broker may take for one request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Creates a topic with the broker's default replication and waits until every partition has a leader. Blocks; may be
/// called inside a Tokio runtime.
///
/// Fails with [`ErrorKind::Kafka`] if the broker refuses, for instance because the topic exists.
pub fn create_topic(bootstrap_servers: &str, name: &str, partitions: i32) -> Result<()> {
    create_topic_with(bootstrap_servers, name, partitions, &[])
}

/// The same, with properties of the topic.
pub fn create_topic_with(
    bootstrap_servers: &str,
    name: &str,
    partitions: i32,
    properties: &[(&str, &str)],
) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = quiet_client(bootstrap_servers).create()?;
    let topic = properties
        .iter()
        .fold(NewTopic::new(name, partitions, TopicReplication::Fixed(-1)), |topic, (key, value)| {
            topic.set(key, value)
        });
    let options =
        AdminOptions::new().operation_timeout(Some(REQUEST_DEADLINE)).request_timeout(Some(REQUEST_DEADLINE));
    let created = block_on(admin.create_topics([&topic], &options))??;
    if let Some(Err((topic, code))) = created.into_iter().find(std::result::Result::is_err) {
        return Err(Error::new(ErrorKind::Kafka, format!("cannot create topic `{topic}`: {code}")));
    }
    until_led(bootstrap_servers, name, usize::try_from(partitions).unwrap_or_default())
}

fn until_led(bootstrap_servers: &str, name: &str, count: usize) -> Result<()> {
    let client: BaseConsumer = quiet_client(bootstrap_servers).create()?;
    crate::wait::poll(REQUEST_DEADLINE, &format!("topic `{name}` to have leaders"), || {
        client.fetch_metadata(Some(name), Duration::from_secs(1)).is_ok_and(|metadata| {
            let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
            // With the broker's default number there is at least one.
            partitions.len() >= count.max(1) && partitions.iter().all(|partition| partition.leader() >= 0)
        })
    })
}

/// Sets properties of a topic, in the place of all that were set. Blocks.
pub fn alter_topic(bootstrap_servers: &str, name: &str, properties: &[(&str, &str)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = quiet_client(bootstrap_servers).create()?;
    let change =
        properties.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |change, (key, value)| {
            change.set(key, value)
        });
    let altered = block_on(admin.alter_configs([&change], &AdminOptions::new()))??;
    match altered.into_iter().find_map(std::result::Result::err) {
        Some((_, code)) => Err(Error::new(ErrorKind::Kafka, format!("cannot alter topic `{name}`: {code}"))),
        None => Ok(()),
    }
}

/// Gives a topic more partitions, and waits until they have leaders. Blocks.
pub fn add_partitions(bootstrap_servers: &str, name: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = quiet_client(bootstrap_servers).create()?;
    let count = usize::try_from(partitions).unwrap_or_default();
    let wanted = NewPartitions::new(name, count);
    let created = block_on(admin.create_partitions([&wanted], &AdminOptions::new()))??;
    if let Some(Err((_, code))) = created.into_iter().find(std::result::Result::is_err) {
        return Err(Error::new(ErrorKind::Kafka, format!("cannot add partitions to `{name}`: {code}")));
    }
    until_led(bootstrap_servers, name, count)
}

/// Deletes a topic, and waits until nobody knows it any more. Blocks.
pub fn delete_topic(bootstrap_servers: &str, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = quiet_client(bootstrap_servers).create()?;
    let deleted = block_on(admin.delete_topics(&[name], &AdminOptions::new()))??;
    if let Some(Err((_, code))) = deleted.into_iter().find(std::result::Result::is_err) {
        return Err(Error::new(ErrorKind::Kafka, format!("cannot delete topic `{name}`: {code}")));
    }
    let client: BaseConsumer = quiet_client(bootstrap_servers).create()?;
    crate::wait::poll(REQUEST_DEADLINE, &format!("topic `{name}` to be gone"), || {
        let known = client.fetch_metadata(None, Duration::from_secs(5));
        known.is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.name() != name))
    })
}

/// Deletes the records of a topic before an offset in each partition, as retention does. Blocks.
pub fn delete_records(bootstrap_servers: &str, name: &str, before: &[(i32, i64)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = quiet_client(bootstrap_servers).create()?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in before {
        list.add_partition_offset(name, *partition, Offset::Offset(*offset))?;
    }
    let deleted = block_on(admin.delete_records(&list, &AdminOptions::new()))??;
    for element in deleted.elements() {
        element.error()?;
    }
    Ok(())
}

/// Drives a future on a thread of its own, because the caller may be inside a runtime, which refuses to be blocked.
fn block_on<F: Future<Output: Send> + Send>(future: F) -> Result<F::Output> {
    std::thread::scope(|scope| {
        let driven = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.map(|runtime| runtime.block_on(future))
        });
        match driven.join() {
            Ok(output) => output.map_err(|error| Error::io("cannot start a runtime", error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
