//! Where the last records of partitions begin.
//!
//! Offsets cannot tell: the ends of transactions take some up, aborted records do, and compaction leaves gaps. So they are
//! read, backwards in ever wider steps, each offset once at most, until enough records are found.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kafka_boot_client::{ClientConfig, Consumer, ConsumerEvent, PartitionOffset, TopicPartition};

use super::fetched::{Fetched, STATISTICS_MS};
use super::follow::ends_reading;
use super::span::Span;
use crate::commands::REQUEST;
use crate::error::CliError;
use crate::output::Output;

/// How many records a poll hands over at most.
const POLL_RECORDS: usize = 4096;
const POLL: Duration = Duration::from_millis(100);
/// How much wider each step is than the one before.
const WIDER: i64 = 4;

/// A partition of which more records are wanted.
struct Search<'a> {
    span: &'a mut Span,
    /// How many are still to be found.
    missing: usize,
    /// Everything from here on has been read.
    read_from: i64,
}

/// A step of one partition: the offsets from `from` up to, but without, `until`, and the last records found there.
struct Step {
    from: i64,
    until: i64,
    wanted: usize,
    found: VecDeque<i64>,
}

/// Sets the start of each span so that `count` records are behind it, or all there are.
pub(super) fn start_before<'a>(
    count: i64,
    spans: impl Iterator<Item = &'a mut Span>,
    config: &ClientConfig,
    output: &Output<'_>,
) -> Result<(), CliError> {
    let missing = usize::try_from(count).unwrap_or(usize::MAX);
    let mut searches: Vec<Search<'_>> =
        spans.map(|span| Search { missing, read_from: span.end, span }).collect();
    let mut width = count;
    loop {
        searches.retain(|search| search.missing > 0 && search.read_from > search.span.first);
        if searches.is_empty() {
            return Ok(());
        }
        let mut steps: HashMap<TopicPartition, Step> = HashMap::new();
        for search in &searches {
            let from = search.read_from.saturating_sub(width).max(search.span.first);
            let step = Step { from, until: search.read_from, wanted: search.missing, found: VecDeque::new() };
            steps.insert(search.span.partition.clone(), step);
        }
        read(&mut steps, config, output)?;
        for search in &mut searches {
            let Some(step) = steps.get(&search.span.partition) else { continue };
            search.missing -= step.found.len();
            search.read_from = step.from;
            search.span.start = match step.found.front() {
                Some(first) if search.missing == 0 => *first,
                _ => step.from,
            };
        }
        width = width.saturating_mul(WIDER);
    }
}

/// Reads what the steps are about. Each time with a consumer of its own: what an earlier assignment left behind can be taken
/// for nothing else.
fn read(
    steps: &mut HashMap<TopicPartition, Step>,
    config: &ClientConfig,
    output: &Output<'_>,
) -> Result<(), CliError> {
    let mut config = config.clone();
    config.set("statistics.interval.ms", STATISTICS_MS);
    let consumer = Consumer::new(&config)?;
    let mut open: Vec<TopicPartition> = steps.keys().cloned().collect();
    let assigned: Vec<_> =
        steps.iter().map(|(partition, step)| PartitionOffset::new(partition.clone(), step.from)).collect();
    consumer.assign(&assigned)?;
    let mut consumer = consumer;
    let read = read_open(&mut consumer, steps, &mut open, output);
    // Nobody waits for it: it is in no group.
    drop(consumer.close(REQUEST, |_, _| {}));
    read
}

fn read_open(
    consumer: &mut Consumer,
    steps: &mut HashMap<TopicPartition, Step>,
    open: &mut Vec<TopicPartition>,
    output: &Output<'_>,
) -> Result<(), CliError> {
    let (mut records, mut events) = (Vec::new(), Vec::new());
    while !open.is_empty() {
        if output.interrupt.is_interrupted() {
            return Err(CliError::Interrupted);
        }
        consumer.poll(POLL_RECORDS, POLL, &mut records, &mut events)?;
        let is_idle = records.is_empty();
        for record in records.drain(..) {
            let partition = TopicPartition::new(record.topic(), record.partition());
            let Some(step) = steps.get_mut(&partition) else { continue };
            if record.offset() < step.until {
                step.found.push_back(record.offset());
                if step.found.len() > step.wanted {
                    step.found.pop_front();
                }
            }
            if record.offset() + 1 >= step.until && open.contains(&partition) {
                open.retain(|other| *other != partition);
                // What comes behind is in nobody's interest; that it comes all the same does no harm.
                drop(consumer.pause(&[partition]));
            }
        }
        for event in events.drain(..) {
            match event {
                // Whatever was fetched comes before the statistics only when nothing waits in between.
                ConsumerEvent::Statistics(json) if is_idle => {
                    let Some(fetched) = Fetched::read(&json) else { continue };
                    open.retain(|partition| {
                        let until = steps.get(partition).map_or(0, |step| step.until);
                        !fetched.is_at(&partition.topic, partition.partition, until)
                    });
                }
                ConsumerEvent::Error(error) if ends_reading(&error, false) => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}
