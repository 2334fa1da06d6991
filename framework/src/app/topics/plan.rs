//! What has to be done for a declared topic to be as it is declared. Knows no cluster.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::model::TopicProperties;

/// What a cluster has of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) partitions: usize,
    pub(super) replication_factor: usize,
    /// The value of each setting that is declared; `None` is one that the cluster does not know.
    pub(super) configs: BTreeMap<String, Option<String>>,
}

/// One thing to do, or one that differs and is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Grow {
        from: usize,
        to: usize,
    },
    /// Settings, with the value that each one has and the one it is to have.
    Alter(Vec<(String, Option<String>, String)>),
    /// What differs, and why that stays.
    Leave(String),
}

/// The steps for one topic, in the order in which they are taken.
pub(super) fn plan(
    declared: &TopicProperties,
    existing: Option<&Existing>,
    modify_configs: bool,
) -> Vec<Step> {
    let Some(existing) = existing else { return vec![Step::Create] };
    let mut steps = Vec::new();
    if let Some(partitions) = declared.partitions {
        let to = usize::try_from(partitions).unwrap_or(usize::MAX);
        let from = existing.partitions;
        if from < to {
            steps.push(Step::Grow { from, to });
        } else if from > to {
            steps.push(Step::Leave(format!(
                "it has {from} partitions and {to} are declared: partitions only grow"
            )));
        }
    }
    if let Some(factor) = declared.replication_factor.map(usize::from)
        && factor != existing.replication_factor
    {
        let there = existing.replication_factor;
        steps.push(Step::Leave(format!(
            "it has {there} replicas and {factor} are declared: Kafka's `kafka-reassign-partitions` changes that"
        )));
    }
    let changes: Vec<_> = declared
        .configs
        .iter()
        .map(|(name, wanted)| (name.clone(), existing.configs.get(name).cloned().flatten(), wanted.clone()))
        .filter(|(_, there, wanted)| there.as_ref() != Some(wanted))
        .collect();
    if !changes.is_empty() && modify_configs {
        steps.push(Step::Alter(changes));
    } else {
        steps.extend(changes.into_iter().map(|(name, there, wanted)| {
            let there = there.unwrap_or_else(|| "not set".to_owned());
            Step::Leave(format!(
                "`{name}` is {there} and {wanted} is declared: `kafka.admin.modify-topic-configs: true` changes that"
            ))
        }));
    }
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create"),
            Self::Grow { from, to } => write!(f, "grow from {from} to {to} partitions"),
            Self::Alter(changes) => {
                f.write_str("alter")?;
                for (index, (name, there, wanted)) in changes.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    let there = there.as_deref().unwrap_or("not set");
                    write!(f, "{comma} {name} from {there} to {wanted}")?;
                }
                Ok(())
            }
            Self::Leave(difference) => write!(f, "leave as it is: {difference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(partitions: Option<u32>, replicas: Option<u16>, configs: &[(&str, &str)]) -> TopicProperties {
        TopicProperties {
            name: "orders".to_owned(),
            partitions,
            replication_factor: replicas,
            configs: configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn existing(configs: &[(&str, Option<&str>)]) -> Existing {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
        Existing { partitions: 3, replication_factor: 1, configs: configs.collect() }
    }

    fn told(declared: &TopicProperties, existing: Option<&Existing>, modify: bool) -> Vec<String> {
        plan(declared, existing, modify).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_missing_is_created_and_what_is_as_declared_is_left() {
        assert_eq!(told(&declared(None, None, &[]), None, false), ["create"]);
        assert!(told(&declared(None, None, &[]), Some(&existing(&[])), true).is_empty());
        let same = declared(Some(3), Some(1), &[("retention.ms", "5")]);
        assert!(told(&same, Some(&existing(&[("retention.ms", Some("5"))])), true).is_empty());
    }

    #[test]
    fn partitions_grow_and_never_shrink_and_replicas_stay() {
        assert_eq!(
            told(&declared(Some(6), None, &[]), Some(&existing(&[])), false),
            ["grow from 3 to 6 partitions"]
        );
        let told = told(&declared(Some(2), Some(3), &[]), Some(&existing(&[])), true);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("leave as it is: it has 3 partitions and 2 are declared"), "{told:?}");
        assert!(told[1].starts_with("leave as it is: it has 1 replicas and 3 are declared"), "{told:?}");
    }

    #[test]
    fn settings_are_changed_only_if_that_is_asked_for() {
        let declared =
            declared(None, None, &[("cleanup.policy", "compact"), ("retention.ms", "9"), ("same", "1")]);
        let there = existing(&[("retention.ms", Some("5")), ("cleanup.policy", None), ("same", Some("1"))]);
        assert_eq!(
            told(&declared, Some(&there), true),
            ["alter cleanup.policy from not set to compact, retention.ms from 5 to 9"]
        );
        let told = told(&declared, Some(&there), false);
        assert_eq!(told.len(), 2);
        assert!(told[1].contains("`retention.ms` is 5 and 9 is declared"), "{told:?}");
        assert!(told[1].contains("modify-topic-configs"), "{told:?}");
    }
}
