//! The topics of the broker, by name and by id.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use super::budget::{Budget, Room};
use super::compactor::Compactor;
use super::disk::Disk;
use super::partition::Partition;
use super::settings::{Behaviour, Settings};
use crate::cluster::Cluster;
use crate::error::StartError;
use crate::group::consumer::TopicSource;
use crate::storage::{Record, Storage};

/// Partitions of all topics together. Each takes a few hundred bytes when empty.
const MAX_PARTITIONS: usize = 20_000;

/// Kafka's limit, which comes from file names.
const MAX_NAME_BYTES: usize = 249;

/// A topic and its partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    state: RwLock<TopicState>,
}

#[derive(Debug)]
struct TopicState {
    partitions: Vec<Arc<Partition>>,
    /// On which brokers they are to be, which is written down, though a start with fewer brokers has them on others.
    placement: Vec<Replicas>,
    settings: Settings,
    behaviour: Behaviour,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics {
    catalogue: RwLock<Catalogue>,
    /// Changes with every topic that is created, deleted or grown.
    version: AtomicU64,
    budget: Arc<Budget>,
    cluster: Arc<Cluster>,
    storage: Storage,
    compactor: Compactor,
}

/// On which brokers a partition is, the first of them preferred as its leader.
pub(crate) type Replicas = Vec<BrokerId>;

#[derive(Debug, Default)]
struct Catalogue {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
    partitions: usize,
}

/// Why a topic is not changed: Kafka's error, and a sentence.
pub(crate) type Denied = (ResponseError, String);

impl Topic {
    fn new(
        id: Uuid,
        name: String,
        partitions: Vec<Arc<Partition>>,
        placement: Vec<Replicas>,
        settings: Settings,
    ) -> Self {
        let behaviour = settings.behaviour();
        Self { name, id, state: RwLock::new(TopicState { partitions, placement, settings, behaviour }) }
    }

    fn state(&self) -> RwLockReadGuard<'_, TopicState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.state().partitions.get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.state().partitions.clone()
    }

    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.state().partitions.len()).unwrap_or(i32::MAX)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        self.state().behaviour
    }

    fn record_of(&self, placement: &[Replicas], settings: &Settings) -> Record {
        Record::Topic {
            id: self.id,
            name: self.name.clone(),
            replicas: placement.to_vec(),
            settings: settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    fn expire(&self, now_ms: i64) {
        let state = self.state();
        for partition in &state.partitions {
            partition.expire(state.behaviour, now_ms);
        }
    }
}

impl Topics {
    /// The topics of a data directory, or, without one, none.
    pub(crate) fn open(
        budget: Arc<Budget>,
        cluster: Arc<Cluster>,
        storage: Storage,
    ) -> Result<Self, StartError> {
        let catalogue = RwLock::default();
        let version = AtomicU64::new(0);
        let topics = Self { catalogue, version, budget, cluster, storage, compactor: Compactor::default() };
        topics.recover()?;
        Ok(topics)
    }

    fn recover(&self) -> Result<(), StartError> {
        let Some(directory) = &self.storage.0 else { return Ok(()) };
        let mut catalogue = self.catalogue_mut();
        for (id, stored) in directory.look(|image| image.topics.clone()) {
            let mut settings = Settings::default();
            for (name, value) in &stored.settings {
                settings.set(name, value).map_err(|why| {
                    let message = format!(
                        "topic `{}` of the data directory has a setting that is not known: {why}",
                        stored.name
                    );
                    StartError::storage(message, None)
                })?;
            }
            let partitions = (0..).zip(&stored.replicas).enumerate().map(|(turn, (index, replicas))| {
                let disk = Disk::new(directory, id, &stored.name, index);
                let leadership = self.cluster.new_leadership(self.cluster.place_again(turn, replicas));
                let start_offset = stored.starts.get(&index).copied().unwrap_or(0);
                let epoch = stored.epochs.get(&index).copied().unwrap_or(0);
                let budget = Arc::clone(&self.budget);
                Partition::recovered(budget, leadership, disk, start_offset, epoch).map(Arc::new)
            });
            let partitions = partitions.collect::<Result<Vec<_>, _>>()?;
            catalogue.add(Topic::new(id, stored.name, partitions, stored.replicas, settings));
        }
        Ok(())
    }

    fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who changes the catalogue does so through this.
    fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        let catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that who reads the new version reads what it stands for.
        self.version.fetch_add(1, Ordering::Relaxed);
        catalogue
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.catalogue().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.catalogue().by_id.get(&id).cloned()
    }

    /// All topics, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.catalogue().by_name.values().cloned().collect()
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.by_name(topic)?.partition(index)
    }

    /// Whether a topic of that name could be created now.
    pub(crate) fn check_new(&self, name: &str, partitions: i32) -> Result<(), Denied> {
        self.catalogue().check_new(name, partitions)
    }

    /// Creates a topic, unless there is one, with as many replicas as is usual.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        settings: Settings,
    ) -> Result<Arc<Topic>, Denied> {
        self.check_new(name, partitions)?;
        self.create_placed(name, self.placed(partitions, self.cluster.default_replication), settings)
    }

    /// So many partitions with so many replicas each, in turn on the brokers.
    pub(crate) fn placed(&self, partitions: i32, replication: usize) -> Vec<Replicas> {
        let count = usize::try_from(partitions).unwrap_or(0);
        (0..count).map(|index| self.cluster.place(index, replication)).collect()
    }

    /// Creates a topic, unless there is one, with its partitions on these brokers.
    pub(crate) fn create_placed(
        &self,
        name: &str,
        replicas: Vec<Replicas>,
        settings: Settings,
    ) -> Result<Arc<Topic>, Denied> {
        let mut catalogue = self.catalogue_mut();
        catalogue.check_new(name, i32::try_from(replicas.len()).unwrap_or(i32::MAX))?;
        let id = Uuid::new_v4();
        let placed = (0..).zip(&replicas);
        let partitions =
            placed.map(|(index, replicas)| self.new_partition(id, name, index, replicas.clone())).collect();
        let topic = Topic::new(id, name.to_owned(), partitions, replicas, settings);
        self.storage
            .write(|| vec![topic.record_of(&topic.state().placement, &topic.settings())])
            .map_err(not_written)?;
        Ok(catalogue.add(topic))
    }

    /// Changes what is set on a topic.
    pub(crate) fn set_settings(&self, topic: &Topic, settings: Settings) -> Result<(), Denied> {
        let mut state = topic.state.write().unwrap_or_else(PoisonError::into_inner);
        let record = || vec![topic.record_of(&state.placement, &settings)];
        self.storage.write(record).map_err(not_written)?;
        state.behaviour = settings.behaviour();
        state.settings = settings;
        Ok(())
    }

    /// Takes a topic away, and wakes the fetches that wait for it.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), ResponseError> {
        let mut catalogue = self.catalogue_mut();
        if !catalogue.by_id.contains_key(&topic.id) {
            return Ok(());
        }
        self.storage.write(|| vec![Record::TopicDeleted(topic.id)])?;
        catalogue.by_id.remove(&topic.id);
        catalogue.by_name.remove(&topic.name);
        let state = topic.state();
        catalogue.partitions -= state.partitions.len();
        for partition in &state.partitions {
            partition.close();
        }
        Ok(())
    }

    /// Lets a topic grow to so many partitions, on these brokers or on those whose turn it is, or only says whether it
    /// could.
    pub(crate) fn grow(
        &self,
        topic: &Topic,
        total: i32,
        replicas: Option<Vec<Replicas>>,
        validate_only: bool,
    ) -> Result<(), Denied> {
        let mut catalogue = self.catalogue_mut();
        let mut state = topic.state.write().unwrap_or_else(PoisonError::into_inner);
        let wanted = usize::try_from(total).unwrap_or(0);
        let present = state.partitions.len();
        if wanted <= present {
            let message =
                format!("`{}` has {present} partitions, and can only get more than that", topic.name);
            return Err((ResponseError::InvalidPartitions, message));
        }
        catalogue.check_room(wanted - present)?;
        if validate_only {
            return Ok(());
        }
        let replication = state.partitions[0].leadership().replicas().len();
        let mut assigned = replicas.unwrap_or_default().into_iter();
        let mut placement = state.placement.clone();
        placement.extend(
            (present..wanted)
                .map(|index| assigned.next().unwrap_or_else(|| self.cluster.place(index, replication))),
        );
        self.storage.write(|| vec![topic.record_of(&placement, &state.settings)]).map_err(not_written)?;
        catalogue.partitions += wanted - present;
        for (index, replicas) in (0..).zip(&placement).skip(present) {
            state.partitions.push(self.new_partition(topic.id, &topic.name, index, replicas.clone()));
        }
        state.placement = placement;
        Ok(())
    }

    fn new_partition(&self, id: Uuid, name: &str, index: i32, replicas: Replicas) -> Arc<Partition> {
        let budget = Arc::clone(&self.budget);
        let leadership = self.cluster.new_leadership(replicas);
        Arc::new(match &self.storage.0 {
            None => Partition::new(budget, leadership),
            Some(directory) => {
                Partition::new_on_disk(budget, leadership, Disk::new(directory, id, name, index))
            }
        })
    }

    /// What all records together may take up, and what of it is free.
    pub(crate) fn room(&self) -> Room {
        self.budget.room()
    }

    /// Whether nothing more can be stored.
    pub(crate) fn are_full(&self) -> bool {
        self.budget.is_full()
    }

    /// Deletes what no topic retains any more, and compacts for a while.
    pub(crate) fn expire(&self, now_ms: i64) {
        let topics = self.all();
        for topic in &topics {
            topic.expire(now_ms);
        }
        self.compactor.run(&topics, now_ms);
    }
}

/// What groups of the new protocol assign.
impl TopicSource for Topics {
    fn version(&self) -> u64 {
        // Not while somebody changes it: what is read afterwards is of this version or a later one.
        let _unchanging = self.catalogue();
        self.version.load(Ordering::Relaxed)
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.by_name(name).map(|topic| (topic.id, topic.partition_count()))
    }

    fn names(&self) -> Vec<String> {
        self.catalogue().by_name.keys().cloned().collect()
    }
}

impl Catalogue {
    fn add(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.partitions += topic.state().partitions.len();
        self.by_name.insert(topic.name.clone(), Arc::clone(&topic));
        self.by_id.insert(topic.id, Arc::clone(&topic));
        topic
    }

    fn check_new(&self, name: &str, partitions: i32) -> Result<(), Denied> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err((ResponseError::TopicAlreadyExists, format!("topic `{name}` already exists")));
        }
        match usize::try_from(partitions) {
            Ok(count) if count > 0 => self.check_room(count),
            _ => Err((ResponseError::InvalidPartitions, "a topic has at least one partition".to_owned())),
        }
    }

    fn check_room(&self, partitions: usize) -> Result<(), Denied> {
        if self.partitions.saturating_add(partitions) <= MAX_PARTITIONS {
            return Ok(());
        }
        let message = format!("the embedded broker has at most {MAX_PARTITIONS} partitions");
        Err((ResponseError::PolicyViolation, message))
    }
}

pub(crate) fn not_written(error: ResponseError) -> Denied {
    (error, "the data directory cannot be written; the broker's log says why".to_owned())
}

pub(crate) fn check_name(name: &str) -> Result<(), Denied> {
    let valid = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if valid {
        return Ok(());
    }
    let message = "a topic's name has 1 to 249 letters, digits, dots, underscores and hyphens".to_owned();
    Err((ResponseError::InvalidTopicException, message))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn topics() -> Topics {
        let cluster = Arc::new(Cluster::of(3));
        Topics::open(Arc::new(Budget::new(1_000)), cluster, Storage::default()).unwrap()
    }

    fn create(topics: &Topics, name: &str, partitions: i32) -> Result<Arc<Topic>, ResponseError> {
        topics.create(name, partitions, Settings::default()).map_err(|denied| denied.0)
    }

    #[test]
    fn a_topic_is_found_by_name_and_id_until_it_is_deleted() {
        let topics = topics();
        let topic = create(&topics, "orders", 2).unwrap();
        assert!(topics.by_name("orders").is_some() && topics.by_id(topic.id).is_some());
        assert!(topics.partition("orders", 1).is_some());
        assert!(topics.partition("orders", 2).is_none() && topics.partition("orders", -1).is_none());
        topics.delete(&topic).unwrap();
        topics.delete(&topic).unwrap();
        assert!(topics.by_name("orders").is_none() && topics.by_id(topic.id).is_none());
        assert_eq!(topics.catalogue().partitions, 0);
    }

    #[test]
    fn what_cannot_be_created_is_refused() {
        let topics = topics();
        create(&topics, "there", 1).unwrap();
        let long = "x".repeat(250);
        let cases = [
            ("", 1, ResponseError::InvalidTopicException),
            (".", 1, ResponseError::InvalidTopicException),
            ("a/b", 1, ResponseError::InvalidTopicException),
            (&long, 1, ResponseError::InvalidTopicException),
            ("there", 1, ResponseError::TopicAlreadyExists),
            ("none", 0, ResponseError::InvalidPartitions),
            ("many", 1_000_000, ResponseError::PolicyViolation),
        ];
        for (name, partitions, expected) in cases {
            assert_eq!(create(&topics, name, partitions).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn a_topic_grows_and_never_shrinks() {
        let topics = topics();
        let topic = create(&topics, "orders", 2).unwrap();
        topics.grow(&topic, 3, None, true).unwrap();
        assert_eq!(topic.partition_count(), 2);
        topics.grow(&topic, 3, None, false).unwrap();
        assert_eq!(topic.partition_count(), 3);
        assert_eq!(topics.grow(&topic, 3, None, false).unwrap_err().0, ResponseError::InvalidPartitions);
    }
}
