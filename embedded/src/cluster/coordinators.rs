//! Which broker coordinates which group or transactional id.
//!
//! As in Kafka an id belongs to one of fifty slots, by its hash, and a slot to a broker; a slot moves only when its
//! broker stops, and a single id when a test wants it to.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kafka_protocol::messages::BrokerId;

/// Kafka's `offsets.topic.num.partitions` and `transaction.state.log.num.partitions`.
const SLOTS: u32 = 50;

/// The coordinators of all ids of one kind.
#[derive(Debug)]
pub(crate) struct Coordinators(RwLock<Places>);

#[derive(Debug)]
struct Places {
    slots: Vec<Option<BrokerId>>,
    /// Ids that were moved by themselves.
    moved: HashMap<String, Option<BrokerId>>,
}

impl Coordinators {
    pub(crate) fn new(nodes: &[BrokerId]) -> Self {
        let slots = (0..SLOTS as usize).map(|slot| nodes.get(slot % nodes.len().max(1)).copied()).collect();
        Self(RwLock::new(Places { slots, moved: HashMap::new() }))
    }

    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_mut(&self) -> RwLockWriteGuard<'_, Places> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker that coordinates an id; `None` while no broker is live.
    pub(crate) fn of(&self, id: &str) -> Option<BrokerId> {
        let places = self.places();
        let slot = java_hash(id).cast_unsigned() & 0x7fff_ffff;
        let by_hash = || places.slots.get((slot % SLOTS) as usize).copied().flatten();
        places.moved.get(id).copied().unwrap_or_else(by_hash)
    }

    pub(crate) fn move_to(&self, id: &str, node: BrokerId) {
        self.places_mut().moved.insert(id.to_owned(), Some(node));
    }

    /// Spreads what lies on brokers that are not live over those that are.
    pub(crate) fn settle(&self, live: &[BrokerId]) {
        let places = &mut *self.places_mut();
        let all = places.slots.iter_mut().chain(places.moved.values_mut());
        for (turn, place) in all.enumerate() {
            if !place.is_some_and(|node| live.contains(&node)) {
                *place = live.get(turn % live.len().max(1)).copied();
            }
        }
    }
}

/// The hash of Java's strings, over their UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

    #[test]
    fn ids_are_hashed_as_by_java() {
        let known = [("", 0), ("a", 97), ("orders", -1_008_770_331), ("hello world", 1_794_106_052)];
        for (text, hash) in known {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }

    #[test]
    fn ids_are_spread_and_move_only_from_brokers_that_are_gone() {
        let coordinators = Coordinators::new(&NODES);
        let ids: Vec<String> = (0..100).map(|number| format!("group-{number}")).collect();
        let before: Vec<_> = ids.iter().map(|id| coordinators.of(id)).collect();
        for node in NODES {
            assert!(before.contains(&Some(node)), "{node:?} coordinates nothing");
        }
        coordinators.settle(&[NODES[0], NODES[2]]);
        for (id, before) in ids.iter().zip(&before) {
            let now = coordinators.of(id);
            assert_ne!(now, Some(NODES[1]));
            assert!(*before == Some(NODES[1]) || now == *before, "`{id}` moved for nothing");
        }
        coordinators.settle(&[]);
        assert_eq!(coordinators.of("group-1"), None);
        coordinators.settle(&NODES[1..2]);
        assert_eq!(coordinators.of("group-1"), Some(NODES[1]));
    }

    #[test]
    fn one_id_moves_by_itself() {
        let coordinators = Coordinators::new(&NODES);
        let other = coordinators.of("b");
        for node in NODES {
            coordinators.move_to("a", node);
            assert_eq!((coordinators.of("a"), coordinators.of("b")), (Some(node), other));
        }
    }
}
