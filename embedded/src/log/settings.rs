//! The settings of a topic: the names, types and defaults of Kafka's, the values that were set, and those that act here.

use std::collections::BTreeMap;

/// A setting as Kafka defines it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: SettingKind,
}

/// The type of a value, and what it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SettingKind {
    Flag,
    Number {
        min: i64,
        max: i64,
    },
    Ratio,
    Choice(&'static [&'static str]),
    Choices(&'static [&'static str]),
    /// Of anything.
    List,
}

/// What has been set on a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, String>);

/// The values that change what the broker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) compacts: bool,
    pub(crate) deletes: bool,
    pub(crate) log_append_time: bool,
    pub(crate) max_batch_bytes: i64,
    /// How far from the broker's time a producer's may be, in either direction.
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    /// Live replicas without which a write that is to reach all of them is refused.
    pub(crate) min_in_sync_replicas: i64,
    /// Negative: without end.
    pub(crate) retention_ms: i64,
    /// Negative: without limit.
    pub(crate) retention_bytes: i64,
    pub(crate) segment_bytes: i64,
    pub(crate) segment_ms: i64,
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub(crate) min_dirty_millionths: u32,
}

const fn number(name: &'static str, default: &'static str, min: i64, max: i64) -> Setting {
    Setting { name, default, kind: SettingKind::Number { min, max } }
}

const fn long(name: &'static str, default: &'static str, min: i64) -> Setting {
    number(name, default, min, i64::MAX)
}

const fn int(name: &'static str, default: &'static str, min: i64) -> Setting {
    number(name, default, min, i32::MAX as i64)
}

const fn choice(name: &'static str, default: &'static str, of: &'static [&'static str]) -> Setting {
    Setting { name, default, kind: SettingKind::Choice(of) }
}

const fn flag(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, kind: SettingKind::Flag }
}

const fn list(name: &'static str) -> Setting {
    Setting { name, default: "", kind: SettingKind::List }
}

const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const ENDLESS: &str = "9223372036854775807";

/// Every setting that a topic knows.
pub(crate) const TOPIC_SETTINGS: &[Setting] = &[
    Setting { name: "cleanup.policy", default: "delete", kind: SettingKind::Choices(&["compact", "delete"]) },
    int("compression.gzip.level", "-1", -1),
    int("compression.lz4.level", "9", 1),
    choice("compression.type", "producer", CODECS),
    int("compression.zstd.level", "3", -131_072),
    long("delete.retention.ms", "86400000", 0),
    long("file.delete.delay.ms", "60000", 0),
    long("flush.messages", ENDLESS, 1),
    long("flush.ms", ENDLESS, 0),
    list("follower.replication.throttled.replicas"),
    int("index.interval.bytes", "4096", 0),
    list("leader.replication.throttled.replicas"),
    long("local.retention.bytes", "-2", -2),
    long("local.retention.ms", "-2", -2),
    long("max.compaction.lag.ms", ENDLESS, 1),
    int("max.message.bytes", "1048588", 0),
    long("message.timestamp.after.max.ms", "3600000", 0),
    long("message.timestamp.before.max.ms", ENDLESS, 0),
    choice("message.timestamp.type", "CreateTime", &["CreateTime", "LogAppendTime"]),
    Setting { name: "min.cleanable.dirty.ratio", default: "0.5", kind: SettingKind::Ratio },
    long("min.compaction.lag.ms", "0", 0),
    int("min.insync.replicas", "1", 1),
    flag("preallocate", "false"),
    flag("remote.log.copy.disable", "false"),
    flag("remote.log.delete.on.disable", "false"),
    flag("remote.storage.enable", "false"),
    long("retention.bytes", "-1", -1),
    long("retention.ms", "604800000", -1),
    int("segment.bytes", "1073741824", 1),
    int("segment.index.bytes", "10485760", 4),
    long("segment.jitter.ms", "0", 0),
    long("segment.ms", "604800000", 1),
    flag("unclean.leader.election.enable", "false"),
];

/// The settings of the broker that tools ask for. They are what they are, and cannot be changed.
pub(crate) const BROKER_SETTINGS: &[Setting] = &[
    int("broker.id", "1", 0),
    int("node.id", "1", 0),
    flag("auto.create.topics.enable", "true"),
    int("num.partitions", "1", 1),
    long("group.initial.rebalance.delay.ms", "0", 0),
    long("group.max.session.timeout.ms", "1800000", 1),
    long("group.min.session.timeout.ms", "1", 1),
    int("default.replication.factor", "1", 1),
    long("log.retention.bytes", "-1", -1),
    int("log.retention.hours", "168", -1),
    int("message.max.bytes", "1048588", 0),
    int("min.insync.replicas", "1", 1),
    int("offset.metadata.max.bytes", "4096", 0),
];

impl Setting {
    /// The number of this type in `DescribeConfigs`.
    pub(crate) fn type_number(&self) -> i8 {
        match self.kind {
            SettingKind::Flag => 1,
            SettingKind::Number { max, .. } if max == i64::from(i32::MAX) => 3,
            SettingKind::Number { .. } => 5,
            SettingKind::Ratio => 6,
            SettingKind::Choices(_) | SettingKind::List => 7,
            SettingKind::Choice(_) => 2,
        }
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let expected = match self.kind {
            SettingKind::List => return Ok(()),
            SettingKind::Flag if matches!(value, "true" | "false") => return Ok(()),
            SettingKind::Flag => "`true` or `false`".to_owned(),
            SettingKind::Number { min, max } => {
                if value.parse().is_ok_and(|number: i64| (min..=max).contains(&number)) {
                    return Ok(());
                }
                format!("a number from {min} to {max}")
            }
            SettingKind::Ratio => {
                if value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)) {
                    return Ok(());
                }
                "a ratio from 0 to 1".to_owned()
            }
            SettingKind::Choice(of) if of.contains(&value) => return Ok(()),
            SettingKind::Choices(of) if elements(value).all(|element| of.contains(&element)) => return Ok(()),
            SettingKind::Choice(of) | SettingKind::Choices(of) => format!("one of `{}`", of.join("`, `")),
        };
        Err(format!("`{}` is `{value}`, and has to be {expected}", self.name))
    }
}

/// The setting of a topic with this name.
pub(crate) fn topic_setting(name: &str) -> Option<&'static Setting> {
    TOPIC_SETTINGS.iter().find(|setting| setting.name == name)
}

fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|element| !element.is_empty())
}

impl Settings {
    /// Sets a value, or says why not.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        setting_or_error(name)?.check(value)?;
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Goes back to the default.
    pub(crate) fn unset(&mut self, name: &str) -> Result<(), String> {
        setting_or_error(name)?;
        self.0.remove(name);
        Ok(())
    }

    /// Adds elements to a list, or takes them away.
    pub(crate) fn change_list(&mut self, name: &str, change: &str, add: bool) -> Result<(), String> {
        let setting = setting_or_error(name)?;
        if !matches!(setting.kind, SettingKind::Choices(_)) {
            return Err(format!("`{name}` is no list, so nothing can be added to it or taken away"));
        }
        let mut list: Vec<&str> = elements(self.get(setting)).collect();
        list.retain(|element| !elements(change).any(|other| other == *element));
        if add {
            list.extend(elements(change));
        }
        let value = list.join(",");
        self.set(name, &value)
    }

    /// The value that counts.
    pub(crate) fn get(&self, setting: &Setting) -> &str {
        self.0.get(setting.name).map_or(setting.default, String::as_str)
    }

    /// Whether the value was set on the topic itself.
    pub(crate) fn is_set(&self, setting: &Setting) -> bool {
        self.0.contains_key(setting.name)
    }

    /// What was set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        let value = |name| topic_setting(name).map_or("", |setting| self.get(setting));
        let number = |name| value(name).parse().unwrap_or(-1);
        let has_policy = |policy| elements(value("cleanup.policy")).any(|element| element == policy);
        Behaviour {
            compacts: has_policy("compact"),
            deletes: has_policy("delete"),
            log_append_time: value("message.timestamp.type") == "LogAppendTime",
            max_batch_bytes: number("max.message.bytes"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            min_in_sync_replicas: number("min.insync.replicas"),
            retention_ms: number("retention.ms"),
            retention_bytes: number("retention.bytes"),
            segment_bytes: number("segment.bytes"),
            segment_ms: number("segment.ms"),
            delete_retention_ms: number("delete.retention.ms"),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            min_dirty_millionths: millionths(value("min.cleanable.dirty.ratio")),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a ratio has been checked to be from 0 to 1"
)]
fn millionths(ratio: &str) -> u32 {
    let ratio: f64 = ratio.parse().unwrap_or(0.5);
    (ratio.clamp(0.0, 1.0) * 1e6) as u32
}

fn setting_or_error(name: &str) -> Result<&'static Setting, String> {
    topic_setting(name).ok_or_else(|| format!("unknown topic setting `{name}`"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_behave_as_kafkas() {
        for setting in TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS) {
            assert_eq!(setting.check(setting.default), Ok(()));
        }
        let behaviour = Settings::default().behaviour();
        assert!(behaviour.deletes && !behaviour.compacts && !behaviour.log_append_time);
        assert_eq!(behaviour.retention_ms, 7 * 24 * 60 * 60 * 1_000);
        assert_eq!((behaviour.max_batch_bytes, behaviour.retention_bytes), (1_048_588, -1));
    }

    #[test]
    fn values_are_checked() {
        let cases = [
            ("retention.ms", "-1", true),
            ("retention.ms", "-2", false),
            ("retention.ms", "soon", false),
            ("max.message.bytes", "2147483648", false),
            ("cleanup.policy", "compact, delete", true),
            ("cleanup.policy", "shred", false),
            ("preallocate", "yes", false),
            ("min.cleanable.dirty.ratio", "1.1", false),
            ("message.timestamp.type", "LogAppendTime", true),
            ("retention.millis", "1", false),
        ];
        for (name, value, valid) in cases {
            assert_eq!(Settings::default().set(name, value).is_ok(), valid, "{name}={value}");
        }
    }

    #[test]
    fn lists_are_added_to_and_taken_from() {
        let mut settings = Settings::default();
        settings.change_list("cleanup.policy", "compact", true).unwrap();
        assert!(settings.behaviour().compacts && settings.behaviour().deletes);
        settings.change_list("cleanup.policy", "delete", false).unwrap();
        assert!(!settings.behaviour().deletes);
        settings.unset("cleanup.policy").unwrap();
        assert!(settings.behaviour().deletes);
        assert!(settings.change_list("retention.ms", "1", true).is_err());
    }
}
