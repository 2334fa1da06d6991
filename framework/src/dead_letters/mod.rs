//! Dead letters as something one can look at, send again, and be done with.
//!
//! # Invariants
//! 1. A letter is marked as replayed only after the broker has confirmed its record.
//! 2. What cannot be marked is not sent: the marks are checked to fit before the first record goes.

mod filter;
mod letter;
mod marks;
mod replay;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kafka_boot_client::{
    Admin, ClientConfig, ClientError, ErrorKind, OffsetSpec, PartitionOffset, ProducerRecord, TopicPartition,
};
use tokio::sync::OnceCell;
use tracing::info;

pub use filter::DeadLetterFilter;
pub use letter::{DeadLetter, LetterFailure, Origin};
use marks::Marks;
pub use replay::{Replay, ReplayReport};

use crate::policy::Outbox;
use crate::reader::{self, ReadError, Span};

/// The group whose committed offsets are the marks.
const MARKS_GROUP: &str = "kafka-boot.dead-letters";
/// How long a question to the cluster may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long reading a topic may take.
const READING: Duration = Duration::from_mins(10);
/// How many records are on their way at once, and how many are marked at once.
const BATCH: usize = 200;

/// The dead letters of one cluster: a bean, and what the command line tool is made of.
///
/// Letters stay in their topic. What was replayed or discarded is marked, as the committed offsets of the group
/// `kafka-boot.dead-letters`, so that a second run leaves it out. A broker forgets them `offsets.retention.minutes` (7 days) after the
/// last replay or discard.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::{DeadLetterFilter, DeadLetters, Replay};
///
/// #[scheduled(cron = "0 0 6 * * *")]
/// async fn once_more(letters: Bean<DeadLetters>) -> Result<()> {
///     let timeouts = DeadLetterFilter::all().error("Timeout");
///     for letter in letters.list("orders-dlt", &timeouts).await? {
///         info!(%letter, "will be tried again");
///     }
///     let report = letters.replay("orders-dlt", &timeouts, Replay::new()).await?;
///     info!(replayed = report.done, "tried again");
///     Ok(())
/// }
/// ```
pub struct DeadLetters {
    admin: ClientConfig,
    producer: ClientConfig,
    connection: OnceCell<Connection>,
}

struct Connection {
    admin: Admin,
    outbox: Outbox,
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").finish_non_exhaustive()
    }
}

/// Why letters could not be read, sent or marked. What was done before is marked.
#[derive(Debug)]
pub struct DeadLetterError {
    message: String,
    source: Option<ClientError>,
}

impl DeadLetterError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The client's error, if it is one.
    pub fn client_error(&self) -> Option<&ClientError> {
        self.source.as_ref()
    }
}

impl From<ClientError> for DeadLetterError {
    fn from(error: ClientError) -> Self {
        Self { message: error.to_string(), source: Some(error) }
    }
}

impl fmt::Display for DeadLetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeadLetterError {}

/// A partition of a dead-letter topic, as it is now.
struct Part {
    marks: Marks,
    earliest: i64,
    end: i64,
}

type Parts = BTreeMap<i32, Part>;

impl DeadLetters {
    /// The dead letters of a cluster that clients reach with these settings. Nothing connects before it is asked for.
    pub fn new(admin: ClientConfig, producer: ClientConfig) -> Self {
        Self { admin, producer, connection: OnceCell::new() }
    }

    /// The letters that are meant, by partition and offset.
    ///
    /// # Errors
    /// There is no such topic, or it cannot be read.
    pub async fn list(
        &self,
        topic: &str,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let parts = self.parts(topic).await?;
        self.read(topic, filter, &parts).await
    }

    /// Sends the letters that are meant again, in the order of their offsets, and marks them.
    ///
    /// # Errors
    /// As [`list`](Self::list), or a record was refused: those before it are sent and marked.
    pub async fn replay(
        &self,
        topic: &str,
        filter: &DeadLetterFilter,
        replay: Replay,
    ) -> Result<ReplayReport, DeadLetterError> {
        let mut parts = self.parts(topic).await?;
        let letters = self.read(topic, filter, &parts).await?;
        let mut report = ReplayReport::default();
        let mut leaving = Vec::new();
        for letter in letters {
            match replay.record(&letter) {
                Some(record) => leaving.push((letter, record)),
                None => report.without_origin.push(letter),
            }
        }
        refuse_what_cannot_be_marked(&parts, leaving.iter().map(|(letter, _)| letter))?;
        if replay.is_dry {
            report.done = leaving.len();
            return Ok(report);
        }
        // Brokers forget the offsets of a group without members some time after they were committed last. And whoever may not mark
        // anything should know before anything is sent.
        self.save(topic, &parts).await?;
        let mut pace = replay.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate.get()));
        let batch = if pace.is_some() { 1 } else { BATCH };
        let mut unmarked = 0;
        let mut failed = None;
        while !leaving.is_empty() && failed.is_none() {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let now: Vec<_> = leaving.drain(..leaving.len().min(batch)).collect();
            let sent = join_all(now.iter().map(|(_, record)| self.send(record.clone()))).await;
            for ((letter, _), sent) in now.iter().zip(sent) {
                match sent {
                    Ok(()) => {
                        mark(&mut parts, letter);
                        report.done += 1;
                        unmarked += 1;
                    }
                    Err(error) => failed = Some(failed.unwrap_or(error)),
                }
            }
            if unmarked >= BATCH || leaving.is_empty() || failed.is_some() {
                self.save(topic, &parts).await?;
                unmarked = 0;
            }
        }
        info!(topic, replayed = report.done, "dead letters replayed");
        failed.map_or(Ok(report), Err)
    }

    /// Marks the letters that are meant as done, without sending anything. They stay in the topic.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn discard(
        &self,
        topic: &str,
        filter: &DeadLetterFilter,
    ) -> Result<ReplayReport, DeadLetterError> {
        let mut parts = self.parts(topic).await?;
        let letters = self.read(topic, filter, &parts).await?;
        refuse_what_cannot_be_marked(&parts, letters.iter())?;
        for letter in &letters {
            mark(&mut parts, letter);
        }
        self.save(topic, &parts).await?;
        info!(topic, discarded = letters.len(), "dead letters discarded");
        Ok(ReplayReport { done: letters.len(), without_origin: Vec::new() })
    }

    async fn send(&self, mut record: ProducerRecord) -> Result<(), DeadLetterError> {
        let outbox = &self.connection().await?.outbox;
        if let Some(partition) = record.partition {
            // The topic may have been made anew, with fewer.
            let partitions = outbox.partitions(&record.topic, None).await?;
            if usize::try_from(partition).is_ok_and(|partition| partition >= partitions) {
                record.partition = None;
            }
        }
        let topic = Arc::clone(&record.topic);
        outbox.send(record).await.map(drop).map_err(|error| {
            let source = error.error().clone();
            DeadLetterError { message: format!("`{topic}` took no record: {source}"), source: Some(source) }
        })
    }

    async fn connection(&self) -> Result<&Connection, ClientError> {
        let connect = async || {
            let admin = Admin::new(&self.admin)?;
            Ok(Connection { outbox: Outbox::alone(&self.producer, &self.admin)?, admin })
        };
        self.connection.get_or_try_init(connect).await
    }

    /// The topic's partitions, with what is marked in them.
    async fn parts(&self, topic: &str) -> Result<Parts, DeadLetterError> {
        let admin = &self.connection().await?.admin;
        let described = admin.describe_topics(&[topic], REQUEST).await?;
        let count = match described.into_iter().next() {
            Some((_, Ok(topic))) => topic.partitions.len(),
            Some((_, Err(error))) if error.kind() == &ErrorKind::UnknownTopic => {
                return Err(DeadLetterError::new(format!("there is no topic `{topic}`")));
            }
            Some((_, Err(error))) => return Err(error.into()),
            None => return Err(ClientError::unanswered().into()),
        };
        let partitions: Vec<TopicPartition> = (0..i32::try_from(count).unwrap_or(i32::MAX))
            .map(|number| TopicPartition::new(topic, number))
            .collect();
        let ask = |spec| {
            let all: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
            async move { admin.list_offsets(&all, REQUEST).await }
        };
        let (earliest, latest) = (ask(OffsetSpec::Earliest).await?, ask(OffsetSpec::Latest).await?);
        let mut parts = Parts::new();
        for ((partition, earliest), (_, latest)) in earliest.into_iter().zip(latest) {
            let (earliest, end) = (earliest?.offset.unwrap_or(0), latest?.offset.unwrap_or(0));
            parts.insert(partition.partition, Part { marks: Marks::default(), earliest, end });
        }
        for (marked, result) in admin.list_group_offsets(MARKS_GROUP, Some(&partitions), REQUEST).await? {
            result?;
            if let Some(part) = parts.get_mut(&marked.partition.partition) {
                part.marks = Marks::read(marked.offset, marked.metadata.as_deref().unwrap_or_default());
            }
        }
        Ok(parts)
    }

    /// The letters that are meant. The topic is read aside, by a client that is in no group.
    async fn read(
        &self,
        topic: &str,
        filter: &DeadLetterFilter,
        parts: &Parts,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let wanted =
            parts.iter().filter(|(partition, _)| filter.partition.is_none_or(|one| one == **partition));
        let spans: Vec<Span> = wanted
            .map(|(partition, part)| {
                let (first, last) = filter.offsets.unwrap_or((part.earliest, i64::MAX));
                Span {
                    partition: TopicPartition::new(topic, *partition),
                    start: first.max(part.earliest),
                    end: Some(part.end.min(last.saturating_add(1))),
                }
            })
            .collect();
        let marks: BTreeMap<i32, Marks> =
            parts.iter().map(|(partition, part)| (*partition, part.marks.clone())).collect();
        let (mut config, filter) = (self.admin.clone(), filter.clone());
        config.set("group.id", "kafka-boot.dead-letters.reader");
        let topic = topic.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let mut letters = Vec::new();
            let read = reader::read_each(config, &spans, Instant::now() + READING, |record| {
                let is_done = marks.get(&record.partition()).is_some_and(|marks| marks.has(record.offset()));
                let letter = DeadLetter::of(&record, is_done);
                if filter.has(&letter) {
                    letters.push(letter);
                }
                let is_full = filter.limit.is_some_and(|limit| letters.len() >= limit);
                if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            letters.sort_by_key(|letter| (letter.partition, letter.offset));
            match read {
                Ok(()) => Ok(letters),
                Err(ReadError::Client(error)) => Err(error.into()),
                Err(ReadError::Late(count)) => Err(DeadLetterError::new(format!(
                    "`{topic}` could not be read within {} min: {count} records were",
                    READING.as_secs() / 60
                ))),
            }
        });
        reading.await.unwrap_or_else(|error| Err(DeadLetterError::new(format!("reading broke off: {error}"))))
    }

    /// Writes the marks down.
    async fn save(&self, topic: &str, parts: &Parts) -> Result<(), DeadLetterError> {
        let offsets = parts.iter().filter_map(|(partition, part)| {
            let (offset, text) = part.marks.write(part.earliest)?;
            let mut marked = PartitionOffset::new(TopicPartition::new(topic, *partition), offset);
            marked.metadata = Some(text);
            Some(marked)
        });
        let offsets: Vec<PartitionOffset> = offsets.collect();
        let admin = &self.connection().await?.admin;
        for (_, result) in admin.alter_group_offsets(MARKS_GROUP, &offsets, REQUEST).await? {
            result?;
        }
        Ok(())
    }
}

fn mark(parts: &mut Parts, letter: &DeadLetter) {
    if let Some(part) = parts.get_mut(&letter.partition) {
        part.marks.mark(letter.offset);
    }
}

/// The marks of a partition are one text of four kilobytes.
fn refuse_what_cannot_be_marked<'a>(
    parts: &Parts,
    letters: impl Iterator<Item = &'a DeadLetter>,
) -> Result<(), DeadLetterError> {
    let mut after: BTreeMap<i32, Marks> = BTreeMap::new();
    for letter in letters {
        let Some(part) = parts.get(&letter.partition) else { continue };
        after.entry(letter.partition).or_insert_with(|| part.marks.clone()).mark(letter.offset);
    }
    for (partition, marks) in after {
        if parts.get(&partition).is_some_and(|part| marks.write(part.earliest).is_none()) {
            return Err(DeadLetterError::new(format!(
                "too many letters of partition {partition} would be done between others that are not: replay or discard \
                 the earlier ones first"
            )));
        }
    }
    Ok(())
}
