//! Rules about `ordering`, and about what only some orderings have.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{CommitMode, ConsumerProperties, ListenerProperties, Ordering};

/// Checks a listener's ordering. `effective` is the listener's section with all that it inherits; `own` is what was said
/// about this listener.
pub(crate) fn ordering(
    effective: &Section<'_>,
    own: &Section<'_>,
    listener: &ListenerProperties,
    consumer: &ConsumerProperties,
    errors: &mut ConfigErrors,
) {
    if consumer.commit == CommitMode::Transaction {
        transactions(effective, listener, errors);
    }
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

/// What transactions rule out: an offset is all that they can say of what is done, and it is only a group that fences those
/// who have lost a partition.
fn transactions(effective: &Section<'_>, listener: &ListenerProperties, errors: &mut ConfigErrors) {
    if listener.ordering != Ordering::Partition {
        let message = format!(
            "`commit: transaction` handles the records of a partition one after the other, and `ordering` is `{}`",
            listener.ordering.as_str()
        );
        let help = "remove `ordering`, or set `commit: sync`";
        errors.push(effective.conflict(&["ordering", "commit"], message, help));
    }
    if !listener.partitions.is_empty() {
        let message = "`commit: transaction` needs a group that shares the partitions out: nobody would stop another process with \
                       the same `partitions` from handling the same records";
        let help = "use `topics`, or set `commit: sync`";
        errors.push(effective.conflict(&["partitions", "commit"], message, help));
    }
}
