//! Rules about `ordering`, and about what only some orderings have.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{ConsumerProperties, ListenerProperties, Ordering};

/// Checks a listener's ordering. `effective` is the listener's section with all that it inherits; `own` is what was said
/// about this listener.
pub(crate) fn ordering(
    effective: &Section<'_>,
    own: &Section<'_>,
    listener: &ListenerProperties,
    consumer: &ConsumerProperties,
    errors: &mut ConfigErrors,
) {
    let metadata_max = consumer.offset_metadata_max_bytes;
    if listener.ordering == Ordering::Partition {
        let differs = metadata_max != ConsumerProperties::default().offset_metadata_max_bytes;
        if own.is_set("offset-metadata-max-bytes") && differs {
            let message = "`ordering: partition` finishes records in order and keeps nothing in the metadata of commits";
            let help = "set `ordering: key` or `ordering: none`, or remove it";
            errors.push(own.conflict(&["offset-metadata-max-bytes"], message, help));
        }
        return;
    }
    if consumer.max_in_flight < u32::from(consumer.concurrency) {
        let message = format!(
            "with `ordering: {}`, `max-in-flight` ({}) is shared by all consumers and must not be less than `concurrency` ({})",
            listener.ordering.as_str(),
            consumer.max_in_flight,
            consumer.concurrency
        );
        let help = "raise `max-in-flight`, or lower `concurrency`";
        errors.push(effective.conflict(&["max-in-flight", "concurrency"], message, help));
    }
}
