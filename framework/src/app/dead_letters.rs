//! Listeners of dead letters: what they take from the listener whose letters they read, and that their topics are there.

use std::sync::Arc;

use crate::app::outboxes::{Missing, Outboxes};
use crate::app::plan::PlannedListener;
use crate::config::model::ListenerSettings;
use crate::error::{StartError, StartErrorKind};
use crate::handler::ListenerDescriptor;

/// The keys that a listener takes from the one whose dead letters it reads; none for any other. Planned groups end with
/// `group_suffix`.
pub(super) fn inherited(
    descriptor: &ListenerDescriptor,
    planned: &[PlannedListener],
    group_suffix: &str,
) -> Result<Vec<(&'static str, Vec<String>)>, StartError> {
    let Some(main) = descriptor.dead_letters_of else { return Ok(Vec::new()) };
    let refuse = |why: String| {
        let message = format!("error: listener `{}` ({}) cannot start: {why}", descriptor.id, descriptor.at);
        StartError::new(StartErrorKind::Configuration, message)
    };
    let Some(main) = planned.iter().find(|planned| planned.descriptor.id == main) else {
        let known: Vec<String> =
            planned.iter().map(|planned| format!("`{}`", planned.descriptor.id)).collect();
        return Err(refuse(format!("there is no listener `{main}`; the listeners are {}", known.join(", "))));
    };
    let settings = &main.settings;
    let topics = topics(settings).ok_or_else(|| {
        refuse(format!(
            "the topics of `{}` are a pattern, so those of its dead letters are not known: give it one with \
             `dead_letter(topic = \"…\")`, or use `#[kafka_listener(pattern = \"…{}\")]`",
            settings.id, settings.error.dead_letter.suffix
        ))
    })?;
    let group = settings.group_id();
    let group = group.strip_suffix(group_suffix).unwrap_or(group);
    let group = format!("{group}{}", settings.error.dead_letter.suffix);
    let mut inherited =
        vec![("topics", topics), ("group-id", vec![group]), ("error.then", vec!["skip".to_owned()])];
    if let Some(cluster) = &settings.cluster {
        inherited.push(("cluster", vec![cluster.clone()]));
    }
    Ok(inherited)
}

/// The topics of a listener's dead letters, if they are known.
fn topics(settings: &ListenerSettings) -> Option<Vec<String>> {
    let properties = &settings.error.dead_letter;
    let mut topics: Vec<String> = properties.topic.iter().cloned().collect();
    for topic in &settings.topics {
        topics.push(properties.topic_of(topic));
        topics.extend(properties.routes.keys().map(|route| properties.routed_topic_of(topic, route)));
    }
    topics.sort_unstable();
    topics.dedup();
    Some(topics).filter(|topics| !topics.is_empty())
}

/// The topics that listeners of dead letters read, which are to be made where they are missing, each like that of the records.
pub(super) fn missing(
    listeners: &[PlannedListener],
    outboxes: &mut Outboxes<'_>,
) -> Result<Vec<Missing>, StartError> {
    let mut missing = Vec::new();
    for reader in listeners {
        let Some(main) = reader.descriptor.dead_letters_of else { continue };
        let Some(main) = listeners.iter().find(|planned| planned.descriptor.id == main) else { continue };
        let properties = &main.settings.error.dead_letter;
        if !properties.create_topic {
            continue;
        }
        let outbox = outboxes.outbox(main.settings.cluster.as_deref())?;
        for topic in &main.settings.topics {
            let routed = properties.routes.keys().map(|route| properties.routed_topic_of(topic, route));
            missing.extend(std::iter::once(properties.topic_of(topic)).chain(routed).map(|target| Missing {
                outbox: Arc::clone(&outbox),
                name: target.into(),
                model: topic.clone(),
            }));
        }
    }
    Ok(missing)
}
