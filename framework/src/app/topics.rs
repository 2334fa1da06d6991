//! Declared topics: `kafka.topics` and `kafka.clusters.<name>.topics` exist before the first listener starts.

use crate::app::embedded::Embedded;
use crate::config::Settings;
use crate::error::StartError;

/// Creates the declared topics.
pub(super) fn declare(settings: &Settings, embedded: Option<&Embedded>) -> Result<(), StartError> {
    let kafka = settings.kafka();
    let names = std::iter::once(None).chain(kafka.clusters.keys().map(|name| Some(name.as_str())));
    for name in names {
        let Some(cluster) = kafka.cluster(name) else { continue };
        if let Some(embedded) = embedded.filter(|_| cluster.bootstrap_servers.is_embedded()) {
            for topic in &cluster.topics {
                embedded.create_topic(topic, kafka.embedded.partitions)?;
            }
        }
    }
    Ok(())
}
