//! Rules about `kafka.producer`.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{Acks, ProducerProperties};

pub(super) fn producer(section: &Section<'_>, properties: &ProducerProperties, errors: &mut ConfigErrors) {
    if properties.enable_idempotence {
        if properties.acks != Acks::All {
            let message = "`enable-idempotence`, which is on, needs `acks: all`";
            let help =
                "set `acks: all`, or `enable-idempotence: false` if duplicates and loss are acceptable";
            errors.push(section.conflict(&["acks"], message, help));
        }
        if properties.retries == 0 {
            let message = "`enable-idempotence`, which is on, needs at least one retry";
            let help = "raise `retries`, or bound the time with `delivery-timeout`";
            errors.push(section.conflict(&["retries"], message, help));
        }
    } else if properties.transactional_id.is_some() {
        let message = "`transactional-id` needs `enable-idempotence: true`";
        let help = "remove `enable-idempotence`, or `transactional-id`";
        errors.push(section.conflict(&["transactional-id"], message, help));
    }
    if properties.delivery_timeout <= properties.linger {
        let message = format!(
            "`delivery-timeout` ({}) must be longer than `linger` ({})",
            properties.delivery_timeout, properties.linger
        );
        let help = "otherwise a record is given up before it is sent";
        errors.push(section.conflict(&["delivery-timeout", "linger"], message, help));
    }
    if properties.max_request_size > properties.max_in_flight_bytes {
        let message = format!(
            "`max-request-size` ({}) must not be larger than `max-in-flight-bytes` ({})",
            properties.max_request_size, properties.max_in_flight_bytes
        );
        let help = "otherwise a record of that size could never be sent";
        errors.push(section.conflict(&["max-request-size", "max-in-flight-bytes"], message, help));
    }
}
