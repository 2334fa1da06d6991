//! The listeners of retry topics: one for each topic of each listener that has some, with the same handler.

use std::sync::Arc;

use crate::app::outboxes::{Missing, Outboxes};
use crate::app::plan::PlannedListener;
use crate::config::TimeSpan;
use crate::config::model::{AutoOffsetReset, ListenerSettings};
use crate::error::{StartError, StartErrorKind};
use crate::policy::{RetryTopics, Stage};

/// Adds the listeners of retry topics. Planned groups end with `group_suffix`.
pub(super) fn add_listeners(
    planned: &mut Vec<PlannedListener>,
    group_suffix: &str,
) -> Result<(), StartError> {
    let mut added = Vec::new();
    for main in planned.iter() {
        let Some(topics) = &main.retry_topics else { continue };
        for (index, stage) in topics.stages().iter().enumerate() {
            let settings = settings(&main.settings, stage, group_suffix);
            if let Some(other) = planned.iter().find(|other| other.settings.id == settings.id) {
                let message = format!(
                    "two listeners have the id `{}`: that of a retry topic of `{}` ({}), and the one at {}; give the latter \
                     another with `#[kafka_listener(id = \"…\")]`",
                    settings.id, main.settings.id, main.descriptor.at, other.descriptor.at
                );
                return Err(StartError::new(StartErrorKind::Handler, message));
            }
            if let Some((topic, other)) = shared_topic(&settings, &added) {
                let message = format!(
                    "listeners `{}` ({}) and `{}` have one retry topic, `{topic}`: each would handle again what only the other failed to. \
                     Give one of them another `suffix` in its `retry-topics`, or read the topic with one of them",
                    main.settings.id, main.descriptor.at, other
                );
                return Err(StartError::new(StartErrorKind::Configuration, message));
            }
            let retry_topics = Some(topics.at(index));
            added.push(PlannedListener { descriptor: main.descriptor, settings, retry_topics });
        }
    }
    planned.append(&mut added);
    planned.sort_by(|one, other| one.settings.id.cmp(&other.settings.id));
    Ok(())
}

/// A topic that is also that of a listener that was added before, and whose that is. Of two that share one, a service may start
/// either.
fn shared_topic(settings: &ListenerSettings, added: &[PlannedListener]) -> Option<(String, &'static str)> {
    let is_beside = |other: &&PlannedListener| {
        let other = &other.settings;
        other.cluster == settings.cluster && other.consumer.auto_startup && settings.consumer.auto_startup
    };
    added.iter().filter(is_beside).find_map(|other| {
        let topic = other.settings.topics.iter().find(|topic| settings.topics.contains(topic))?;
        Some((topic.clone(), other.descriptor.id))
    })
}

/// A listener's settings, as those of the listener of one of its retry topics.
fn settings(main: &ListenerSettings, stage: &Stage, group_suffix: &str) -> ListenerSettings {
    let suffix = &stage.suffix;
    let with_suffix = |name: &String| format!("{name}{suffix}");
    let mut settings = main.clone();
    settings.id = with_suffix(&main.id);
    settings.topics = main.topics.iter().map(with_suffix).collect();
    let consumer = &mut settings.consumer;
    let group = main.group_id();
    let group = group.strip_suffix(group_suffix).unwrap_or(group);
    consumer.group_id = Some(format!("{group}{suffix}{group_suffix}"));
    consumer.client_id = consumer.client_id.as_ref().map(with_suffix);
    consumer.group_instance_id = consumer.group_instance_id.as_ref().map(with_suffix);
    // What is there before the group is, is there because it failed.
    consumer.auto_offset_reset = AutoOffsetReset::Earliest;
    if let Some(concurrency) = main.error.retry_topics.concurrency {
        consumer.concurrency = concurrency;
    }
    let stuck_after = consumer.stuck_after.get();
    if !stuck_after.is_zero() {
        // A record that waits for its time is not stuck.
        let wait = stage.delay.mul_f64(1.0 + main.error.retry_topics.backoff.jitter);
        consumer.stuck_after = TimeSpan::from(stuck_after + wait);
    }
    settings
}

/// The retry topics that are to be made where they are missing, each like the topic of the records.
pub(super) fn missing(
    listeners: &[PlannedListener],
    outboxes: &mut Outboxes<'_>,
) -> Result<Vec<Missing>, StartError> {
    let mut missing = Vec::new();
    for PlannedListener { settings, retry_topics, .. } in listeners {
        let Some(stages) = retry_topics.as_ref().filter(|topics| topics.is_delayed()) else { continue };
        if !settings.error.retry_topics.create_topics {
            continue;
        }
        let outbox = outboxes.outbox(settings.cluster.as_deref())?;
        missing.extend(settings.topics.iter().map(|topic| Missing {
            outbox: Arc::clone(&outbox),
            name: topic.as_str().into(),
            model: RetryTopics::main_topic(stages, topic).to_owned(),
        }));
    }
    Ok(missing)
}
