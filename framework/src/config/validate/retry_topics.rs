//! Rules about retry topics.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{ListenerProperties, RetryTopicProperties};

/// Checks a listener's retry topics. `effective` is the listener's section with all that it inherits; `own` is what was said
/// about this listener.
pub(crate) fn retry_topics(
    effective: &Section<'_>,
    own: &Section<'_>,
    listener: &ListenerProperties,
    errors: &mut ConfigErrors,
) {
    let properties = &listener.error.retry_topics;
    let section = effective.child("error").child("retry-topics");
    if !properties.is_any() {
        let own = own.child("error").child("retry-topics");
        let differs =
            RetryTopicProperties { attempts: 1, ..properties.clone() } != RetryTopicProperties::default();
        if own.node.is_some() && differs {
            let message = "without `attempts` above 1 there are no retry topics";
            let help = "say how often a record is delivered, the first time included: `attempts: 4`";
            errors.push(own.conflict(&["attempts"], message, help));
        }
        return;
    }
    super::backoff(&section, errors);
    if listener.topics.is_empty() {
        let (key, help) = if listener.topic_pattern.is_some() {
            ("topic-pattern", "name the topics, or leave the retry topics out")
        } else {
            ("partitions", "let the group assign the partitions, or leave the retry topics out")
        };
        let message = format!("a listener with `{key}` cannot have retry topics");
        errors.push(effective.conflict(&[key], message, help));
    }
    if properties.suffix == listener.error.dead_letter.suffix {
        let message =
            format!("retry topics and dead letters would have the same suffix, `{}`", properties.suffix);
        errors.push(section.conflict(&["suffix"], message, "give one of them another"));
    }
}
