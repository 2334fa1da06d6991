//! Rules about where dead letters go.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{Exhausted, ListenerProperties};

/// Checks a listener's dead letters. `effective` is the listener's `error` section with all that it inherits.
pub(crate) fn dead_letter(effective: &Section<'_>, listener: &ListenerProperties, errors: &mut ConfigErrors) {
    let (section, properties) = (effective.child("dead-letter"), &listener.error.dead_letter);
    if section.is_set("topic") && section.is_set("suffix") && properties.routes.is_empty() {
        let message = "one `topic` for all dead letters leaves nothing for `suffix` to name";
        errors.push(section.conflict(&["topic", "suffix"], message, "keep one of the two"));
    }
    for topic in &listener.topics {
        let routed = properties.routes.keys().map(|route| properties.routed_topic_of(topic, route));
        let target = std::iter::once(properties.topic_of(topic)).chain(routed);
        if let Some(target) = target.into_iter().find(|target| listener.topics.contains(target)) {
            let message = format!(
                "the dead letters of `{topic}` would go to `{target}`, which the listener reads itself"
            );
            let help = match listener.error.then {
                Exhausted::DeadLetter => {
                    "name another topic, or give another listener the dead letters to read"
                }
                _ => "name another topic: a handler may send a record there, whatever `then` says",
            };
            errors.push(section.conflict(&["topic", "suffix"], message, help));
        }
    }
}
