//! Where reading begins and ends, partition by partition. Asks the cluster, and decides.

use kafka_boot_client::{Admin, OffsetSpec, TopicPartition};

use crate::commands::positions::{Offsets, offsets};
use crate::error::CliError;
use crate::output::Output;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    Offset(i64),
    /// So many records before the end.
    Last(i64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
}

/// What is there of a partition, and where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) partition: TopicPartition,
    pub(super) start: i64,
    /// The first offset that is there.
    pub(super) first: i64,
    /// Where the partition ends now.
    pub(super) end: i64,
}

/// The spans of `partitions`, in their order.
pub(super) async fn spans(
    partitions: &[TopicPartition],
    start: Start,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<Vec<Span>, CliError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let first = offsets(partitions, OffsetSpec::Earliest, admin).await?;
    let end = offsets(partitions, OffsetSpec::Latest, admin).await?;
    let at_time = match start {
        Start::Time(time) => offsets(partitions, OffsetSpec::AtOrAfter(time), admin).await?,
        _ => Offsets::new(),
    };
    let mut spans = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let (Some(&first), Some(&end)) = (first.get(partition), end.get(partition)) else {
            return Err(CliError::failed(format!(
                "the cluster does not tell where {partition} begins and ends"
            )));
        };
        let start = match start {
            Start::Beginning => first,
            // Where the last ones begin is found by reading.
            Start::End | Start::Last(_) => end,
            // Where no record is that young, the next one to come is.
            Start::Time(_) => at_time.get(partition).copied().unwrap_or(end),
            Start::Offset(offset) if offset > end || offset < first => {
                let bound = offset.clamp(first, end);
                output.note(&format!(
                    "{partition} has offsets from {first} to {end}: reading from {bound} instead of {offset}"
                ));
                bound
            }
            Start::Offset(offset) => offset,
        };
        spans.push(Span { partition: partition.clone(), start, first, end });
    }
    Ok(spans)
}
