//! Declared topics: `kafka.topics` and `kafka.clusters.<name>.topics` exist, with at least their partitions, before the
//! first listener starts.

use std::time::{Duration, Instant};

use kafka_boot_client::{ClientError, ErrorCode, ErrorKind, NewTopic};
use tracing::{info, warn};

use crate::app::embedded::Embedded;
use crate::beans::{Admin, Beans};
use crate::config::Settings;
use crate::config::model::{ClusterProperties, TopicProperties};
use crate::error::{StartError, StartErrorKind};

/// The pause between attempts while no broker can be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Creates what is missing and grows what is too small, in every cluster.
pub(super) async fn declare(
    settings: &Settings,
    beans: &Beans,
    embedded: Option<&Embedded>,
) -> Result<(), StartError> {
    let kafka = settings.kafka();
    let deadline = Instant::now() + settings.lifecycle().startup_timeout.get();
    let names = std::iter::once(None).chain(kafka.clusters.keys().map(|name| Some(name.as_str())));
    for name in names {
        let Some(cluster) = kafka.cluster(name) else { continue };
        match embedded {
            Some(embedded) if cluster.bootstrap_servers.is_embedded() => {
                for topic in &cluster.topics {
                    embedded.create_topic(topic, kafka.embedded.partitions)?;
                }
            }
            _ if cluster.topics.is_empty() => {}
            _ => {
                let admin = beans.named::<Admin>(name.unwrap_or_default())?;
                declare_on(&admin, &cluster, deadline).await?;
            }
        }
    }
    Ok(())
}

async fn declare_on(admin: &Admin, cluster: &ClusterProperties, deadline: Instant) -> Result<(), StartError> {
    for topic in &cluster.topics {
        let mut told = false;
        loop {
            let error = match declare_topic(admin, topic).await {
                Ok(()) => break,
                Err(error) => error,
            };
            let may_pass = error.is_retriable()
                || matches!(
                    error.kind(),
                    ErrorKind::AllBrokersDown | ErrorKind::Transport | ErrorKind::Timeout
                );
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
    Ok(())
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
