//! What the log says when an application starts: version, profiles, sources, and every handler with its effective
//! settings and its place in the source.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::app::plan::Plan;
use crate::config::model::{CommitMode, Trigger};
use crate::config::{PartitionList, Settings};

/// Tells what is about to start.
pub(super) fn tell(settings: &Settings, plan: &Plan) {
    let profiles = match settings.profiles() {
        [] => "default".to_owned(),
        active => active.join(", "),
    };
    info!(
        application = %settings.application().name,
        version = env!("CARGO_PKG_VERSION"),
        librdkafka = %kafka_boot_client::librdkafka_version(),
        %profiles,
        sources = ?settings.sources(),
        bootstrap_servers = %settings.kafka().bootstrap_servers.joined(),
        pid = std::process::id(),
        "kafka-boot starts"
    );
    for warning in settings.warnings() {
        warn!("{warning}");
    }
    for listener in &plan.listeners {
        let (settings, descriptor) = (&listener.settings, listener.descriptor);
        let consumer = &settings.consumer;
        info!(
            id = %settings.id,
            topics = ?settings.topics,
            pattern = settings.topic_pattern.as_deref(),
            partitions = by_hand(&settings.partitions),
            group = settings.group_id(),
            cluster = settings.cluster.as_deref(),
            commit = ?consumer.commit,
            ack_mode = ?consumer.ack_mode,
            concurrency = consumer.concurrency,
            kind = ?descriptor.kind,
            blocking = descriptor.blocking,
            attempts = settings.error.attempts,
            then = ?settings.error.then,
            auto_offset_reset = ?consumer.auto_offset_reset,
            auto_startup = consumer.auto_startup,
            at = %descriptor.at,
            "listener"
        );
        if consumer.commit == CommitMode::Auto {
            warn!(
                id = %settings.id,
                interval = %consumer.auto_commit_interval,
                "`commit: auto` leaves commits to the client's timer: a crash repeats the records handled since its last tick"
            );
        }
    }
    for job in &plan.jobs {
        let trigger = match &job.settings.trigger {
            Trigger::FixedDelay(delay) => format!("fixed-delay {delay}"),
            Trigger::FixedRate(rate) => format!("fixed-rate {rate}"),
            Trigger::Cron { expression, zone } => format!("cron {expression} {zone}"),
        };
        info!(id = %job.settings.id, %trigger, initial_delay = %job.settings.initial_delay, enabled = job.settings.enabled, at = %job.descriptor.at, "job");
    }
}

/// The partitions that are assigned by hand, if any are.
fn by_hand(partitions: &BTreeMap<String, PartitionList>) -> Option<String> {
    let lists: Vec<String> = partitions.iter().map(|(topic, list)| format!("{topic}: {list}")).collect();
    (!lists.is_empty()).then(|| lists.join("; "))
}
