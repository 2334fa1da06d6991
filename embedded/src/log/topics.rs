//! The topics of the broker, by name and by id.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use super::budget::Budget;
use super::partition::Partition;
use super::settings::{Behaviour, Settings};
use crate::cluster::Cluster;
use crate::group::consumer::TopicSource;

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

    pub(crate) fn set_settings(&self, settings: Settings) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.behaviour = settings.behaviour();
        state.settings = settings;
    }

    fn expire(&self, now_ms: i64) {
        let state = self.state();
        for partition in &state.partitions {
            partition.expire(state.behaviour, now_ms);
        }
    }
}

impl Topics {
    pub(crate) fn new(budget: Arc<Budget>, cluster: Arc<Cluster>) -> Self {
        Self { catalogue: RwLock::default(), version: AtomicU64::new(0), budget, cluster }
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
        let behaviour = settings.behaviour();
        let partitions: Vec<_> = replicas.into_iter().map(|replicas| self.new_partition(replicas)).collect();
        catalogue.partitions += partitions.len();
        let topic = Arc::new(Topic {
            name: name.to_owned(),
            id: Uuid::new_v4(),
            state: RwLock::new(TopicState { partitions, settings, behaviour }),
        });
        catalogue.by_name.insert(name.to_owned(), Arc::clone(&topic));
        catalogue.by_id.insert(topic.id, Arc::clone(&topic));
        Ok(topic)
    }

    /// Takes a topic away, and wakes the fetches that wait for it.
    pub(crate) fn delete(&self, topic: &Topic) {
        let mut catalogue = self.catalogue_mut();
        if catalogue.by_id.remove(&topic.id).is_none() {
            return;
        }
        catalogue.by_name.remove(&topic.name);
        let state = topic.state();
        catalogue.partitions -= state.partitions.len();
        for partition in &state.partitions {
            partition.close();
        }
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
        catalogue.partitions += wanted - present;
        let replication = state.partitions[0].leadership().replicas().len();
        let mut assigned = replicas.unwrap_or_default().into_iter();
        for index in present..wanted {
            let replicas = assigned.next().unwrap_or_else(|| self.cluster.place(index, replication));
            state.partitions.push(self.new_partition(replicas));
        }
        Ok(())
    }

    fn new_partition(&self, replicas: Replicas) -> Arc<Partition> {
        Arc::new(Partition::new(Arc::clone(&self.budget), self.cluster.new_leadership(replicas)))
    }

    /// Whether nothing more can be stored.
    pub(crate) fn are_full(&self) -> bool {
        self.budget.is_full()
    }

    /// Deletes what no topic retains any more.
    pub(crate) fn expire(&self, now_ms: i64) {
        for topic in self.all() {
            topic.expire(now_ms);
        }
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

fn check_name(name: &str) -> Result<(), Denied> {
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
        Topics::new(Arc::new(Budget::new(1_000)), Arc::new(Cluster::of(3)))
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
        topics.delete(&topic);
        topics.delete(&topic);
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
