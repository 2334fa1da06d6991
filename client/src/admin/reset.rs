//! Where a group would go on: looked up and decided, but not set.

use std::collections::HashMap;
use std::time::Duration;

use super::{Admin, OffsetSpec};
use crate::error::{ClientError, ErrorKind};
use crate::partition::{PartitionOffset, TopicPartition};

/// Where a group is to go on in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OffsetReset {
    /// With the first record that is there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// Where it stands, or behind the last record if it stands nowhere.
    Current,
    /// With this offset, or the nearest that is there.
    Offset(i64),
    /// So many records further on, or back if negative; the nearest offset that is there.
    ShiftBy(i64),
    /// With the first record of this time or later, in milliseconds since the Unix epoch; behind the last record if there is
    /// none so late.
    AtOrAfter(i64),
}

/// Where a group stands in a partition, and where it would go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedOffset {
    /// The offset that it has committed, if it has one.
    pub from: Option<i64>,
    /// The offset that it would go on with.
    pub to: i64,
    /// The offset that was asked for, where the partition does not have it.
    pub asked: Option<i64>,
    /// Where the partition begins.
    pub first: i64,
    /// Where it ends: the offset of the next record to come.
    pub end: i64,
}

/// What is planned for each partition.
pub type OffsetPlan = Vec<(TopicPartition, Result<PlannedOffset, ClientError>)>;

impl PlannedOffset {
    fn new(from: Option<i64>, first: i64, end: i64, wanted: i64) -> Self {
        let to = wanted.clamp(first, end.max(first));
        Self { from, to, asked: (to != wanted).then_some(wanted), first, end }
    }
}

impl Admin {
    /// Looks up where `group` would go on. Changes nothing: [`Admin::alter_group_offsets`] sets what is planned.
    ///
    /// # Errors
    /// Of a partition: [`ErrorKind::NoOffset`] where the group has no offset to shift.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use kafka_boot_client::{Admin, ClientError, OffsetReset, PartitionOffset, TopicPartition};
    ///
    /// # async fn run(admin: Admin) -> Result<(), ClientError> {
    /// let deadline = Duration::from_secs(5);
    /// let wanted = [(TopicPartition::new("orders", 0), OffsetReset::ShiftBy(-100))];
    /// let mut offsets = Vec::new();
    /// for (partition, planned) in admin.plan_group_offsets("billing", &wanted, deadline).await? {
    ///     offsets.push(PartitionOffset::new(partition, planned?.to));
    /// }
    /// admin.alter_group_offsets("billing", &offsets, deadline).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn plan_group_offsets(
        &self,
        group: &str,
        wanted: &[(TopicPartition, OffsetReset)],
        deadline: Duration,
    ) -> Result<OffsetPlan, ClientError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let partitions: Vec<_> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
        let mut committed = HashMap::new();
        for (offset, outcome) in self.list_group_offsets(group, Some(&partitions), deadline).await? {
            let PartitionOffset { partition, offset, .. } = offset;
            committed.insert(partition, outcome.map(|()| (offset >= 0).then_some(offset)));
        }
        let first = self.offsets(&partitions, OffsetSpec::Earliest, deadline).await?;
        let end = self.offsets(&partitions, OffsetSpec::Latest, deadline).await?;
        let timed = wanted.iter().filter_map(|(partition, reset)| match reset {
            OffsetReset::AtOrAfter(time) => Some((partition.clone(), OffsetSpec::AtOrAfter(*time))),
            _ => None,
        });
        let at_time = self.looked_up(&timed.collect::<Vec<_>>(), deadline).await?;
        let plan = wanted.iter().map(|(partition, reset)| {
            let planned = || {
                let from = found(&committed, partition)?;
                let unknown = || ClientError::unanswered().at(partition.clone());
                let first = found(&first, partition)?.ok_or_else(unknown)?;
                let end = found(&end, partition)?.ok_or_else(unknown)?;
                let to = match *reset {
                    OffsetReset::Earliest => first,
                    OffsetReset::Latest => end,
                    OffsetReset::Current => from.unwrap_or(end),
                    OffsetReset::Offset(offset) => offset,
                    OffsetReset::ShiftBy(by) => {
                        from.ok_or_else(|| nothing_to_shift(partition))?.saturating_add(by)
                    }
                    OffsetReset::AtOrAfter(_) => found(&at_time, partition)?.unwrap_or(end),
                };
                Ok(PlannedOffset::new(from, first, end, to))
            };
            (partition.clone(), planned())
        });
        Ok(plan.collect())
    }

    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        deadline: Duration,
    ) -> Result<LookedUp, ClientError> {
        let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        self.looked_up(&wanted, deadline).await
    }

    async fn looked_up(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        deadline: Duration,
    ) -> Result<LookedUp, ClientError> {
        let listed = self.list_offsets(wanted, deadline).await?;
        Ok(listed
            .into_iter()
            .map(|(partition, listed)| (partition, listed.map(|found| found.offset)))
            .collect())
    }
}

type LookedUp = HashMap<TopicPartition, Result<Option<i64>, ClientError>>;

fn found(looked_up: &LookedUp, partition: &TopicPartition) -> Result<Option<i64>, ClientError> {
    looked_up.get(partition).cloned().unwrap_or(Ok(None))
}

fn nothing_to_shift(partition: &TopicPartition) -> ClientError {
    ClientError::of_kind(ErrorKind::NoOffset, "the group has no offset to shift").at(partition.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_is_not_there_becomes_the_nearest_that_is() {
        let planned = |wanted| {
            let planned = PlannedOffset::new(Some(5), 3, 9, wanted);
            (planned.to, planned.asked)
        };
        assert_eq!(planned(3), (3, None));
        assert_eq!(planned(9), (9, None));
        assert_eq!(planned(2), (3, Some(2)));
        assert_eq!(planned(i64::MAX), (9, Some(i64::MAX)));
    }
}
