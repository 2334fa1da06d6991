//! An observer of a consumer group from outside: what is committed and what is there, every 50 ms.
//!
//! It asks with a client of its own that never joins the group, so it sees what a restarted service would see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_boot::OffsetMap;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::quiet_client;
use crate::ledger::now_ns;
use crate::{Error, ErrorKind, Result};

/// The time from one look to the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long one request of an observer may take. A broker that is down costs samples, not the observer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(2);

/// How long one request may take where there is no other: a broker that has just come back is slow.
const SINGLE_DEADLINE: Duration = Duration::from_secs(15);

/// What one partition looked like at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When the answer had arrived: what it says was true before.
    pub at_ns: u64,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The group's committed offset, the next one to be read; `None` if nothing is committed.
    pub committed: Option<i64>,
    /// What the commit's metadata tells to be done beyond the committed offset.
    pub finished: Option<OffsetMap>,
    /// The high watermark: the offset after the last record.
    pub end: i64,
}

/// Watches one group on one topic until it is stopped.
///
/// ```no_run
/// use kafka_boot_tests::observer::Observer;
/// use kafka_boot_tests::wait::eventually;
/// use std::time::Duration;
///
/// let observer = Observer::start("127.0.0.1:9092", "billing", "orders", 12).unwrap();
/// eventually(Duration::from_secs(30), "the group to have read everything", || observer.is_drained());
/// let samples = observer.stop();
/// ```
#[derive(Debug)]
pub struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    samples: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    all: Vec<Sample>,
    /// Where the last complete look begins in `all`.
    last_look: usize,
    /// Why the look after that failed.
    failure: Option<String>,
}

impl Sample {
    /// Whether a record counts as done for whoever takes the partition over.
    pub fn covers(&self, offset: i64) -> bool {
        self.committed.is_some_and(|committed| offset < committed)
            || self.finished.as_ref().is_some_and(|finished| finished.contains(offset))
    }

    /// How many offsets are not committed yet. Transaction markers count as long as they are last in the partition.
    pub fn lag(&self) -> i64 {
        self.end - self.committed.unwrap_or(0).min(self.end)
    }
}

impl Observer {
    /// Starts watching `group` on partitions `0..partitions` of `topic`.
    pub fn start(bootstrap_servers: &str, group: &str, topic: &str, partitions: i32) -> Result<Self> {
        let connect = {
            let (servers, group) = (bootstrap_servers.to_owned(), group.to_owned());
            move || client(&servers, &group)
        };
        let first = connect()?;
        let shared = Arc::new(Shared::default());
        let (topic, watched) = (topic.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || watched.watch(first, connect, &topic, partitions))
            .map_err(|error| Error::io("cannot start the observer's thread", error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The samples of the last look, one a partition; empty before the first.
    pub fn latest(&self) -> Vec<Sample> {
        let samples = self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.all[samples.last_look..].to_vec()
    }

    /// Why there was no look since then, if there was none.
    pub fn failure(&self) -> Option<String> {
        self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }

    /// Whether at the last look everything there was, and at least one record, was committed.
    pub fn is_drained(&self) -> bool {
        let latest = self.latest();
        latest.iter().any(|sample| sample.end > 0) && latest.iter().all(|sample| sample.lag() == 0)
    }

    /// Ends the watch, after one more look, and returns all samples in order of time.
    pub fn stop(mut self) -> Vec<Sample> {
        self.end();
        std::mem::take(&mut self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner).all)
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The watcher has no reason to panic; if it did, the samples up to then are still evidence.
            let _ = thread.join();
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn watch(
        &self,
        mut client: BaseConsumer,
        connect: impl Fn() -> Result<BaseConsumer>,
        topic: &str,
        partitions: i32,
    ) {
        loop {
            let last = self.stopping.load(Ordering::Acquire);
            let next = Instant::now() + INTERVAL;
            // A look that fails leaves a gap: the truth is unknown then, and the oracle judges samples only.
            let look = look_with(&client, topic, partitions, REQUEST_DEADLINE);
            let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            samples.failure = look.as_ref().err().map(ToString::to_string);
            match look {
                Ok(look) => {
                    samples.last_look = samples.all.len();
                    samples.all.extend(look);
                }
                // A client that fetches nothing keeps asking who led a partition once.
                Err(_) => client = connect().unwrap_or(client),
            }
            drop(samples);
            if last {
                return;
            }
            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// One look at a group, for tests that need no series.
pub fn look(bootstrap_servers: &str, group: &str, topic: &str, partitions: i32) -> Result<Vec<Sample>> {
    look_with(&client(bootstrap_servers, group)?, topic, partitions, SINGLE_DEADLINE)
}

/// The members of a group by their client ids, in no order; a group that nobody knows has none.
///
/// ```no_run
/// let members = kafka_boot_tests::observer::members("127.0.0.1:9092", "billing").unwrap();
/// assert_eq!(members, ["billing-0"]);
/// ```
pub fn members(bootstrap_servers: &str, group: &str) -> Result<Vec<String>> {
    let listed = client(bootstrap_servers, group)?.fetch_group_list(Some(group), SINGLE_DEADLINE)?;
    let members = listed.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
    Ok(members.map(|member| member.client_id().to_owned()).collect())
}

fn client(bootstrap_servers: &str, group: &str) -> Result<BaseConsumer> {
    let mut config = quiet_client(bootstrap_servers);
    config.set("group.id", group).set("enable.auto.commit", "false");
    Ok(config.create()?)
}

fn look_with(client: &BaseConsumer, topic: &str, partitions: i32, deadline: Duration) -> Result<Vec<Sample>> {
    let asked = |offset: Offset| -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, offset)?;
        }
        Ok(list)
    };
    let committed = client.committed_offsets(asked(Offset::Invalid)?, deadline)?;
    let at_ns = now_ns();
    // One request a broker for all partitions; the offset "end" is a timestamp to this call.
    let ends = client.offsets_for_times(asked(Offset::End)?, deadline)?;
    let mut samples = Vec::with_capacity(committed.count());
    for element in committed.elements() {
        element.error()?;
        // An end that is not known is no end at 0, which would look as if nothing were left.
        let end = ends.find_partition(topic, element.partition());
        end.as_ref().map_or(Ok(()), |end| end.error().map_err(crate::Error::from))?;
        let end =
            end.and_then(|end| end.offset().to_raw()).filter(|offset| *offset >= 0).ok_or_else(|| {
                Error::new(
                    ErrorKind::Kafka,
                    format!("the end of {topic}-{} is not known", element.partition()),
                )
            })?;
        let committed = element.offset().to_raw().filter(|offset| *offset >= 0);
        // What is no map is worth nothing, to the framework as well.
        let finished =
            committed.and_then(|offset| OffsetMap::decode(offset, element.metadata()).ok().flatten());
        samples.push(Sample {
            at_ns,
            topic: topic.to_owned(),
            partition: element.partition(),
            committed,
            finished,
            end,
        });
    }
    Ok(samples)
}
