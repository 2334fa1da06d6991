//! Whether the time of a producer's records is near enough to the broker's.

use kafka_protocol::error::ResponseError;

use super::batch::Batch;
use super::partition::Refused;
use super::settings::Behaviour;

/// Refuses records from too far in the past or in the future. Where the broker stamps them itself, theirs do not count.
pub(super) fn check(batch: &Batch, topic: Behaviour, now_ms: i64) -> Result<(), Refused> {
    if topic.log_append_time {
        return Ok(());
    }
    let latest = now_ms.saturating_add(topic.timestamp_after_max_ms);
    if batch.max_timestamp > latest {
        let message = format!(
            "the timestamp {} is later than {latest}, which `message.timestamp.after.max.ms` allows",
            batch.max_timestamp
        );
        return Err(Refused::new(ResponseError::InvalidTimestamp, message));
    }
    let earliest = now_ms.saturating_sub(topic.timestamp_before_max_ms);
    // Without a limit there is no need to look into the batch, and records without a time are not early.
    let is_early = |timestamp: i64| timestamp >= 0 && timestamp < earliest;
    let has_early = || {
        batch.look(|mut records| records.any(|record| record.is_ok_and(|record| is_early(record.timestamp))))
    };
    if earliest > 0 && has_early() == Some(true) {
        let message =
            format!("a timestamp is earlier than {earliest}, which `message.timestamp.before.max.ms` allows");
        return Err(Refused::new(ResponseError::InvalidTimestamp, message));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::log::settings::Settings;
    use crate::txn::ProducerIdentity;

    /// A batch with this time; what is in it does not matter here.
    fn batch_of(timestamp: i64) -> Batch {
        Batch::marker(0, 0, timestamp, ProducerIdentity { id: 1, epoch: 0 }, true)
    }

    fn behaviour_with(name: &str, value: &str) -> Behaviour {
        let mut settings = Settings::default();
        settings.set(name, value).unwrap();
        settings.behaviour()
    }

    #[test]
    fn records_from_too_far_in_the_future_or_the_past_are_refused() {
        let now_ms = 1_000_000;
        let cases = [
            ("message.timestamp.after.max.ms", "1000", 1_001_000, true),
            ("message.timestamp.after.max.ms", "1000", 1_001_001, false),
            ("message.timestamp.before.max.ms", "1000", 999_000, true),
            ("message.timestamp.before.max.ms", "1000", 998_999, false),
            ("message.timestamp.type", "LogAppendTime", i64::MAX, true),
        ];
        for (name, value, timestamp, allowed) in cases {
            let checked = check(&batch_of(timestamp), behaviour_with(name, value), now_ms);
            let refused = checked.err().map(|refused| refused.error);
            let expected = (!allowed).then_some(ResponseError::InvalidTimestamp);
            assert_eq!(refused, expected, "{name}={value}, {timestamp}");
        }
    }

    #[test]
    fn any_past_is_allowed_by_default() {
        assert!(check(&batch_of(0), Settings::default().behaviour(), i64::MAX / 2).is_ok());
    }
}
