//! Declared topics: `kafka.topics` and `kafka.clusters.<name>.topics` exist, with at least their partitions, before the
//! first listener starts.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use kafka_boot_client::{ClientError, ErrorCode, ErrorKind, NewTopic};
use tracing::{info, warn};

use crate::beans::{Admin, Beans};
use crate::config::Settings;
use crate::config::model::TopicProperties;
use crate::error::{StartError, StartErrorKind};

/// The pause between attempts while no broker can be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Creates what is missing and grows what is too small, in every cluster.
pub(super) async fn declare(settings: &Settings, beans: &Beans) -> Result<(), StartError> {
    let kafka = settings.kafka();
    let deadline = Instant::now() + settings.lifecycle().startup_timeout.get();
    let names = std::iter::once(None).chain(kafka.clusters.keys().map(|name| Some(name.as_str())));
    for name in names {
        let Some(cluster) = kafka.cluster(name) else { continue };
        if cluster.topics.is_empty() {
            continue;
        }
        let admin = beans.named::<Admin>(name.unwrap_or_default())?;
        let brokers = cluster.bootstrap_servers.is_embedded().then_some(kafka.embedded.brokers);
        for topic in &cluster.topics {
            declare_on(&admin, &fitted(topic, brokers), deadline).await?;
        }
    }
    Ok(())
}

/// A topic as it can be on an embedded broker of so many nodes: what is declared for production has more copies.
fn fitted(topic: &TopicProperties, embedded_brokers: Option<u16>) -> Cow<'_, TopicProperties> {
    let Some(brokers) = embedded_brokers else { return Cow::Borrowed(topic) };
    match topic.replication_factor {
        Some(declared) if u32::from(declared) > u32::from(brokers) => {
            info!(topic = %topic.name, declared, brokers, "the embedded broker keeps fewer copies than declared");
            Cow::Owned(TopicProperties { replication_factor: None, ..topic.clone() })
        }
        _ => Cow::Borrowed(topic),
    }
}

async fn declare_on(admin: &Admin, topic: &TopicProperties, deadline: Instant) -> Result<(), StartError> {
    let mut told = false;
    loop {
        let error = match declare_topic(admin, topic).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let may_pass = error.is_retriable()
            || matches!(error.kind(), ErrorKind::AllBrokersDown | ErrorKind::Transport | ErrorKind::Timeout);
        if !may_pass || Instant::now() >= deadline {
            let message = format!("declared topic `{}` could not be brought about", topic.name);
            return Err(StartError::new(StartErrorKind::Kafka, message).with_source(error));
        }
        if !told {
            warn!(topic = %topic.name, %error, "waiting for a broker to declare topics");
            told = true;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn declare_topic(admin: &Admin, topic: &TopicProperties) -> Result<(), ClientError> {
    let mut new = NewTopic::new(&topic.name);
    if let Some(partitions) = topic.partitions {
        new = new.partitions(i32::try_from(partitions).unwrap_or(i32::MAX));
    }
    if let Some(factor) = topic.replication_factor {
        new = new.replication_factor(i32::from(factor));
    }
    for (name, value) in &topic.configs {
        new = new.config(name, value);
    }
    match admin.create_topic(new).await {
        Ok(()) => {
            info!(topic = %topic.name, partitions = ?topic.partitions, "declared topic created");
            return Ok(());
        }
        Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
        Err(error) => return Err(error),
    }
    let Some(wanted) = topic.partitions else { return Ok(()) };
    let existing = admin.describe_topic(&topic.name).await?.partitions.len();
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if existing < wanted {
        admin.create_partitions(&topic.name, wanted).await?;
        info!(topic = %topic.name, from = existing, to = wanted, "declared topic grown");
    } else if existing > wanted {
        warn!(topic = %topic.name, existing, declared = wanted, "declared topic has more partitions; partitions only grow");
    }
    Ok(())
}
