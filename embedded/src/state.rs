//! What all connections of a broker share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kafka_protocol::error::ResponseError;

use crate::clock::Stopwatch;
use crate::cluster::Cluster;
use crate::control::Controls;
use crate::error::StartError;
use crate::group::OffsetStore;
use crate::group::coordinator::Coordinator;
use crate::group::settings::GroupSettings;
use crate::log::budget::Budget;
use crate::log::settings::Settings;
use crate::log::topics::{Denied, Topic, Topics, check_name};
use crate::security::Users;
use crate::storage::{DataDirectory, Record, Storage};
use crate::txn::{End, Ended, ProducerIdentity, Transactions};

/// The state of a broker.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) topics: Topics,
    pub(crate) groups: Coordinator,
    pub(crate) offsets: OffsetStore,
    pub(crate) transactions: Transactions,
    pub(crate) storage: Storage,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) controls: Controls,
    pub(crate) cluster_id: String,
    pub(crate) default_partitions: i32,
    pub(crate) creates_topics: bool,
    /// Who may connect; nobody has to say who it is where this is empty.
    pub(crate) users: Arc<Users>,
    /// How long an authentication holds.
    pub(crate) session_lifetime: Option<Duration>,
    next_producer_id: AtomicI64,
}

/// What a [`State`] is made from.
#[derive(Debug)]
pub(crate) struct StateSettings {
    pub(crate) cluster: Cluster,
    pub(crate) default_partitions: i32,
    pub(crate) creates_topics: bool,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) offsets_limit_bytes: u64,
    pub(crate) recorded_requests: usize,
    pub(crate) groups: GroupSettings,
    pub(crate) users: Users,
    pub(crate) session_lifetime: Option<Duration>,
}

#[cfg(test)]
impl StateSettings {
    /// Of one broker that little fits in.
    pub(crate) fn for_tests() -> Self {
        Self {
            cluster: Cluster::of(1),
            default_partitions: 1,
            creates_topics: true,
            memory_limit_bytes: 1_000_000,
            offsets_limit_bytes: 1_000_000,
            recorded_requests: 100,
            groups: GroupSettings::default(),
            users: Users::default(),
            session_lifetime: None,
        }
    }
}

/// Producer ids of one start of a broker on a data directory, so that none is ever given twice.
const PRODUCER_IDS_PER_START: i64 = 1_000_000_000_000;

impl State {
    /// The state that a data directory holds, or, without one, an empty one.
    pub(crate) fn open(
        settings: StateSettings,
        directory: Option<Arc<DataDirectory>>,
    ) -> Result<Self, StartError> {
        let stopwatch = Stopwatch::start();
        let storage = Storage(directory);
        let (cluster_id, starts, groups, configs) =
            storage.0.as_ref().map_or_else(Default::default, |directory| {
                directory.look(|image| {
                    (image.cluster_id.clone(), image.starts, image.groups.clone(), image.configs.clone())
                })
            });
        let cluster_id = cluster_id.unwrap_or_else(|| cluster_id_of(uuid::Uuid::new_v4()));
        // Before the topics are read, since it begins an epoch of all their partitions.
        let started = || vec![Record::ClusterId(cluster_id.clone()), Record::Starts(starts + 1)];
        storage.write(started).map_err(|_| {
            StartError::storage("the journal of the data directory cannot be written".to_owned(), None)
        })?;
        let offsets = OffsetStore::new(settings.offsets_limit_bytes, storage.clone());
        let coordinator = Coordinator::new(stopwatch.clone(), settings.groups, storage.clone());
        let cluster = Arc::new(settings.cluster);
        let budget = Arc::new(Budget::new(settings.memory_limit_bytes));
        let state = Self {
            topics: Topics::open(budget, Arc::clone(&cluster), storage.clone())?,
            groups: coordinator,
            offsets,
            transactions: Transactions::open(storage.clone()),
            storage,
            stopwatch,
            cluster_id,
            cluster,
            controls: Controls::new(settings.recorded_requests),
            default_partitions: settings.default_partitions,
            creates_topics: settings.creates_topics,
            users: Arc::new(settings.users),
            session_lifetime: settings.session_lifetime,
            next_producer_id: AtomicI64::new(starts.saturating_mul(PRODUCER_IDS_PER_START)),
        };
        // After the logs were read, which may take longer than the members' sessions.
        state.groups.restore(groups, configs, &state.offsets);
        state.finish_transactions();
        Ok(state)
    }

    /// Tells partitions of the ends of transactions that a kill has kept from them.
    fn finish_transactions(&self) {
        let ledger = self.transactions.lock();
        for topic in self.topics.all() {
            for (index, partition) in (0..).zip(topic.partitions()) {
                for producer_id in partition.open_producers() {
                    if let Some((producer, committed)) = ledger.unheard(producer_id, &topic.name, index) {
                        partition.end_transaction(self.stopwatch.wall_ms(), producer, committed);
                    }
                }
            }
        }
    }

    /// A broker of its own for a test, with these topics.
    #[cfg(test)]
    pub(crate) fn with_topics(topics: &[(&str, i32)]) -> Self {
        let Ok(state) = Self::open(StateSettings::for_tests(), None) else { unreachable!("nothing is read") };
        for (name, partitions) in topics {
            let created = state.create_topic(name, *partitions, Settings::default());
            assert!(created.is_ok(), "{created:?}");
        }
        state
    }

    pub(crate) fn new_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins a life of a transactional producer, and aborts what its last one left open.
    pub(crate) fn begin_producer(
        &self,
        id: &str,
        timeout_ms: i32,
        claimed: Option<ProducerIdentity>,
    ) -> Result<ProducerIdentity, ResponseError> {
        let mut ledger = self.transactions.lock();
        let (producer, ended) = ledger.init(id, timeout_ms, claimed, || self.new_producer_id())?;
        self.tell(ended.iter());
        Ok(producer)
    }

    /// Ends a transaction everywhere, and says who its producer is from now on.
    pub(crate) fn end_transaction(
        &self,
        id: &str,
        producer: ProducerIdentity,
        end: End,
    ) -> Result<ProducerIdentity, ResponseError> {
        let mut ledger = self.transactions.lock();
        let (producer, ended) = ledger.end(id, producer, end, || self.new_producer_id())?;
        self.tell(ended.iter());
        Ok(producer)
    }

    /// Deletes what is no longer retained, and aborts transactions that have been open for too long.
    pub(crate) fn tidy_up(&self) {
        self.topics.expire(self.stopwatch.wall_ms());
        self.groups.expire_offsets(&self.offsets);
        let mut ledger = self.transactions.lock();
        let ended = ledger.expire(self.stopwatch.elapsed_ms(), || self.new_producer_id());
        self.tell(ended.iter());
    }

    /// Called under the lock of the transactions, so that nobody sees a part of it.
    fn tell<'a>(&self, ended: impl Iterator<Item = &'a Ended>) {
        for ended in ended {
            for (topic, index) in &ended.partitions {
                // A topic may have been deleted meanwhile.
                if let Some(partition) = self.topics.partition(topic, *index) {
                    partition.end_transaction(self.stopwatch.wall_ms(), ended.producer, ended.committed);
                }
            }
            for group in &ended.groups {
                let producer_id = ended.producer.id;
                self.groups
                    .with(group, |group, _| group.offsets.end_transaction(producer_id, ended.committed));
            }
        }
    }

    /// A topic, created if it is not there and may be.
    pub(crate) fn topic_or_new(&self, name: &str, may_create: bool) -> Result<Arc<Topic>, ResponseError> {
        if let Some(topic) = self.topics.by_name(name) {
            return Ok(topic);
        }
        check_name(name).map_err(|(error, _)| error)?;
        if !may_create || !self.creates_topics {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        match self.topics.create(name, self.default_partitions, Settings::default()) {
            Ok(topic) => Ok(topic),
            // Somebody else was faster.
            Err((ResponseError::TopicAlreadyExists, _)) => {
                self.topics.by_name(name).ok_or(ResponseError::UnknownTopicOrPartition)
            }
            Err((error, _)) => Err(error),
        }
    }

    /// Deletes a topic, and what groups have committed for it.
    pub(crate) fn delete_topic(&self, topic: &Topic) -> Result<(), ResponseError> {
        self.topics.delete(topic)?;
        self.groups.forget_topic(&topic.name);
        Ok(())
    }

    /// Creates a topic with settings.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: Settings,
    ) -> Result<Arc<Topic>, Denied> {
        self.topics.create(name, partitions, settings)
    }
}

/// A cluster's id as Kafka writes it: 16 bytes in 22 of the 64 characters that need no escape in a URL.
fn cluster_id_of(id: uuid::Uuid) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // The last character has four bits of padding.
    let bits = |at: u32| if at < 21 { id.as_u128() >> (122 - 6 * at) } else { id.as_u128() << 4 };
    (0..22).map(|at| char::from(CHARACTERS[(bits(at) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_written_as_kafka_writes_it() {
        // What Kafka's own `Uuid` makes of these bytes.
        let id = uuid::Uuid::from_u128(0x6b61_666b_612d_626f_6f74_2d74_6573_7473);
        assert_eq!(cluster_id_of(id), "a2Fma2EtYm9vdC10ZXN0cw");
    }
}
