//! The settings of a broker from which those of its topics take their defaults, by Kafka's names.

/// What the broker calls the setting of a topic. `None`: a topic takes its default from no setting that is set.
pub(crate) fn broker_name_of(topic_setting: &str) -> Option<&'static str> {
    let name = match topic_setting {
        "cleanup.policy" => "log.cleanup.policy",
        "compression.gzip.level" => "compression.gzip.level",
        "compression.lz4.level" => "compression.lz4.level",
        "compression.type" => "compression.type",
        "compression.zstd.level" => "compression.zstd.level",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "file.delete.delay.ms" => "log.segment.delete.delay.ms",
        "flush.messages" => "log.flush.interval.messages",
        "index.interval.bytes" => "log.index.interval.bytes",
        "local.retention.bytes" => "log.local.retention.bytes",
        "local.retention.ms" => "log.local.retention.ms",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "max.message.bytes" => "message.max.bytes",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.type" => "log.message.timestamp.type",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "min.insync.replicas" => "min.insync.replicas",
        "preallocate" => "log.preallocate",
        "retention.bytes" => "log.retention.bytes",
        "segment.bytes" => "log.segment.bytes",
        "segment.index.bytes" => "log.index.size.max.bytes",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::settings::{BROKER_SETTINGS, TOPIC_SETTINGS};

    #[test]
    fn where_both_are_told_the_broker_and_the_topic_have_the_same_default() {
        let mut told_by_both = 0;
        for topic_setting in TOPIC_SETTINGS {
            let name = broker_name_of(topic_setting.name);
            if let Some(of_broker) = BROKER_SETTINGS.iter().find(|setting| Some(setting.name) == name) {
                assert_eq!(of_broker.default, topic_setting.default, "{}", topic_setting.name);
                told_by_both += 1;
            }
        }
        assert_eq!(told_by_both, 3);
        assert_eq!(broker_name_of("retention.ms"), None, "the broker counts in hours");
    }
}
