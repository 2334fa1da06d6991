//! Which record may start next where only the order within a key counts, or none.
//!
//! Sans-IO: records go in by their hash and offset, entries come out. An entry stands for one record from when it was
//! given to the lane until it is settled; entries lie in one slab and are chained, key by key, inside it.
//!
//! # Invariants
//! 1. Of one key, at most one entry is started and not settled, and they start in the order in which they came.
//! 2. An entry that is tried again goes before all later ones of its key.
//! 3. A key costs nothing once its last entry is settled.
//! 4. A key is known by its hash: two keys of the same hash wait for each other, which costs time and never order.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// The place of an entry in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry(u32);

impl Entry {
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Whose turn it is, and who waits for whom.
#[derive(Debug)]
pub(crate) struct KeyQueues<T> {
    slab: Vec<Node<T>>,
    free: Vec<Entry>,
    /// The last entry of each key that has any.
    tails: HashMap<u64, Entry, BuildHasherDefault<IsHash>>,
    /// First entries of their keys, that are not started.
    ready: VecDeque<Entry>,
}

#[derive(Debug)]
struct Node<T> {
    /// `None` where the entry is free.
    item: Option<T>,
    /// The hash of the key; `None` where order does not matter.
    key: Option<u64>,
    next: Option<Entry>,
}

impl<T> Default for KeyQueues<T> {
    fn default() -> Self {
        Self { slab: Vec::new(), free: Vec::new(), tails: HashMap::default(), ready: VecDeque::new() }
    }
}

impl<T: Copy> KeyQueues<T> {
    /// Adds a record, behind all others of its key; without a key, it waits for nothing.
    pub(crate) fn push(&mut self, key: Option<u64>, item: T) -> Entry {
        let entry = self.place(Node { item: Some(item), key, next: None });
        match key.and_then(|key| self.tails.insert(key, entry)) {
            Some(before) => self.slab[before.index()].next = Some(entry),
            None => self.ready.push_back(entry),
        }
        entry
    }

    fn place(&mut self, node: Node<T>) -> Entry {
        if let Some(entry) = self.free.pop() {
            self.slab[entry.index()] = node;
            return entry;
        }
        // What is in flight is bounded far below 2^32 by `max-in-flight` and the window of the offset map.
        let entry = Entry(u32::try_from(self.slab.len()).unwrap_or(u32::MAX));
        self.slab.push(node);
        entry
    }

    /// Adds a record that was there before: ahead of all others of its key, but behind one that is started. Returns
    /// whether it is the first one; it then counts as started, for `again` to let it go. Looks at every entry.
    pub(crate) fn push_first(&mut self, key: Option<u64>, item: T) -> (Entry, bool) {
        let tail = key.and_then(|key| self.tails.get(&key).copied());
        let head = tail.map(|tail| self.head_of(tail));
        let entry = self.place(Node { item: Some(item), key, next: None });
        let is_first = match head {
            None => {
                self.tails.extend(key.map(|key| (key, entry)));
                true
            }
            Some(head) if self.ready.contains(&head) => {
                self.ready.retain(|ready| *ready != head);
                self.slab[entry.index()].next = Some(head);
                true
            }
            Some(head) => {
                let next = self.slab[head.index()].next.replace(entry);
                self.slab[entry.index()].next = next;
                if let (None, Some(key)) = (next, key) {
                    self.tails.insert(key, entry);
                }
                false
            }
        };
        (entry, is_first)
    }

    /// The first entry of a chain, by its last one.
    fn head_of(&self, tail: Entry) -> Entry {
        let before: HashMap<Entry, Entry> = (0..)
            .map(Entry)
            .zip(&self.slab)
            .filter(|(_, node)| node.item.is_some())
            .filter_map(|(entry, node)| node.next.map(|next| (next, entry)))
            .collect();
        let mut head = tail;
        while let Some(entry) = before.get(&head) {
            head = *entry;
        }
        head
    }

    /// The next entry to start.
    pub(crate) fn start(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    /// Whether an entry waits to be started, and for no other.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What was added under this entry.
    pub(crate) fn item(&self, entry: Entry) -> Option<T> {
        self.slab.get(entry.index())?.item
    }

    /// A started entry is to be tried again: it is the next one of its key.
    pub(crate) fn again(&mut self, entry: Entry) {
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::RetryGoesBehind) {
            self.seeded_bug_again(entry);
            return;
        }
        self.ready.push_back(entry);
    }

    /// A started entry is settled: the next one of its key may start. Returns what was added.
    pub(crate) fn settle(&mut self, entry: Entry) -> Option<T> {
        let node = self.slab.get_mut(entry.index())?;
        let item = node.item.take()?;
        match (node.next.take(), node.key) {
            (Some(next), _) => self.ready.push_back(next),
            (None, Some(key)) => {
                self.tails.remove(&key);
            }
            (None, None) => {}
        }
        self.free.push(entry);
        Some(item)
    }

    /// How many entries there are, started or not.
    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// How many keys have entries.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> usize {
        self.tails.len()
    }

    /// M9: lets the next one of the key go first.
    #[cfg(feature = "seeded-bugs")]
    fn seeded_bug_again(&mut self, entry: Entry) {
        let (next, key) = (self.slab[entry.index()].next.take(), self.slab[entry.index()].key);
        let (Some(next), Some(key)) = (next, key) else {
            self.ready.push_back(entry);
            return;
        };
        if let Some(tail) = self.tails.insert(key, entry) {
            self.slab[tail.index()].next = Some(entry);
        }
        self.ready.push_back(next);
    }
}

/// Keys are hashes already.
#[derive(Default)]
struct IsHash(u64);

impl std::fmt::Debug for IsHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IsHash")
    }
}

impl Hasher for IsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Debug, Clone)]
    enum Step {
        Push { key: Option<u64> },
        Start,
        Settle { which: usize },
        Again { which: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop::option::weighted(0.9, 0u64..5).prop_map(|key| Step::Push { key }),
            4 => Just(Step::Start),
            3 => any::<usize>().prop_map(|which| Step::Settle { which }),
            1 => any::<usize>().prop_map(|which| Step::Again { which }),
        ]
    }

    /// What the queues must behave like: a list of waiting records, and those that are started.
    #[derive(Default)]
    struct Model {
        waiting: BTreeMap<i64, Option<u64>>,
        started: BTreeMap<i64, (Option<u64>, Entry)>,
        settled: BTreeSet<i64>,
        /// Ended without being settled: to be started again.
        again: BTreeSet<i64>,
        highest_entries: usize,
    }

    impl Model {
        /// Whether the record at `offset` has to wait for another.
        fn must_wait(&self, offset: i64, key: Option<u64>) -> bool {
            let is_before =
                |other: &i64, other_key: &Option<u64>| *other < offset && key.is_some() && *other_key == key;
            self.waiting.iter().any(|(other, other_key)| is_before(other, other_key))
                || self.started.iter().any(|(_, (other_key, _))| key.is_some() && *other_key == key)
        }

        fn startable(&self) -> bool {
            self.waiting.iter().any(|(offset, key)| !self.must_wait(*offset, *key))
        }

        fn pick(&self, which: usize) -> Option<(i64, Option<u64>, Entry)> {
            let count = self.started.len();
            let (offset, (key, entry)) = self.started.iter().nth(which.checked_rem(count)?)?;
            Some((*offset, *key, *entry))
        }
    }

    /// Takes what may start, and settles it at once, until nothing is left.
    fn drain(queues: &mut KeyQueues<i64>) -> Vec<i64> {
        let mut order = Vec::new();
        while let Some(entry) = queues.start() {
            order.extend(queues.settle(entry));
        }
        order
    }

    #[test]
    fn a_record_that_comes_again_goes_before_what_of_its_key_is_not_started() {
        for waiting in [0, 1, 3] {
            let mut queues = KeyQueues::default();
            queues.push(Some(8), -1);
            for offset in 0..waiting {
                queues.push(Some(7), offset);
            }
            let (entry, is_first) = queues.push_first(Some(7), 99);
            assert!(is_first);
            assert_eq!(drain(&mut queues), [-1], "it is held, and its key with it");
            queues.again(entry);
            queues.push(Some(7), 50);
            let expected: Vec<i64> = [99].into_iter().chain(0..waiting).chain([50]).collect();
            assert_eq!(drain(&mut queues), expected);
            assert_eq!((queues.keys(), queues.len()), (0, 0));
        }
    }

    #[test]
    fn a_record_that_comes_again_waits_for_one_of_its_key_that_is_started() {
        for waiting in [0, 2] {
            let mut queues = KeyQueues::default();
            let started = queues.push(Some(7), 0);
            assert_eq!(queues.start(), Some(started));
            for offset in 1..=waiting {
                queues.push(Some(7), offset);
            }
            let (_, is_first) = queues.push_first(Some(7), 99);
            assert!(!is_first);
            queues.push(Some(7), 50);
            assert!(queues.start().is_none());
            queues.settle(started);
            let expected: Vec<i64> = [99].into_iter().chain(1..=waiting).chain([50]).collect();
            assert_eq!(drain(&mut queues), expected);
            assert_eq!((queues.keys(), queues.len()), (0, 0));
        }
    }

    #[test]
    fn without_a_key_a_record_that_comes_again_waits_for_nothing() {
        let mut queues = KeyQueues::default();
        queues.push(None, 1);
        let (entry, is_first) = queues.push_first(None, 99);
        assert!(is_first);
        assert_eq!(drain(&mut queues), [1]);
        queues.again(entry);
        assert_eq!(drain(&mut queues), [99]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn keys_keep_their_order_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..120)) {
            let mut queues = KeyQueues::default();
            let mut model = Model::default();
            let mut next = 0i64;
            for step in steps {
                match step {
                    Step::Push { key } => {
                        queues.push(key, next);
                        model.waiting.insert(next, key);
                        next += 1;
                    }
                    Step::Start => {
                        let startable = model.startable();
                        prop_assert_eq!(queues.has_ready(), startable);
                        let Some(entry) = queues.start() else { continue };
                        let offset = queues.item(entry).unwrap();
                        let key = model.waiting.remove(&offset).expect("started twice");
                        prop_assert!(!model.must_wait(offset, key), "{offset} overtakes");
                        model.again.remove(&offset);
                        model.started.insert(offset, (key, entry));
                    }
                    Step::Settle { which } => {
                        let Some((offset, _, entry)) = model.pick(which) else { continue };
                        prop_assert_eq!(queues.settle(entry), Some(offset));
                        model.started.remove(&offset);
                        prop_assert!(model.settled.insert(offset));
                    }
                    Step::Again { which } => {
                        let Some((offset, key, entry)) = model.pick(which) else { continue };
                        queues.again(entry);
                        model.started.remove(&offset);
                        model.waiting.insert(offset, key);
                        model.again.insert(offset);
                    }
                }
                let alive = model.waiting.len() + model.started.len();
                model.highest_entries = model.highest_entries.max(alive);
                prop_assert_eq!(queues.len(), alive);
                prop_assert!(queues.slab.len() <= model.highest_entries, "the slab is reused");
                let keys: BTreeSet<u64> = model.waiting.values().copied()
                    .chain(model.started.values().map(|(key, _)| *key)).flatten().collect();
                prop_assert_eq!(queues.keys(), keys.len());
            }
            while let Some(entry) = queues.start().or_else(|| model.pick(0).map(|(_, _, entry)| entry)) {
                let offset = queues.settle(entry).unwrap();
                model.waiting.remove(&offset);
                model.started.remove(&offset);
                prop_assert!(model.settled.insert(offset));
            }
            prop_assert_eq!(i64::try_from(model.settled.len()).unwrap(), next);
            prop_assert_eq!((queues.len(), queues.keys()), (0, 0));
        }
    }
}
