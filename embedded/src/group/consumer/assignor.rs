//! The assignors of the broker: `uniform` and `range`, after the rules of Kafka's.
//!
//! 1. A partition is given to one member at most, and only to one that wants its topic.
//! 2. `uniform` gives every member of a group with one subscription the same number, give or take one, and takes no
//!    partition from a member without making the group more even.
//! 3. `range` gives each member a range of every topic, so that topics of as many partitions are assigned alike.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::Refused;
use super::member::Partitions;

/// How partitions are spread over the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Assignor {
    #[default]
    Uniform,
    Range,
}

/// A member as an assignor sees it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a str,
    pub(super) instance: Option<&'a str>,
    /// The topics that it wants and that there are.
    pub(super) topics: Vec<Uuid>,
    /// What it was to have until now.
    pub(super) previous: Option<&'a Partitions>,
}

impl Assignor {
    const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of a name.
    pub(crate) fn named(name: &str) -> Result<Self, Refused> {
        let found = Self::ALL.into_iter().find(|assignor| assignor.name() == name);
        found.ok_or_else(|| {
            let message =
                format!("there is no assignor `{name}` at the broker; it has `uniform` and `range`");
            (ResponseError::UnsupportedAssignor, message)
        })
    }

    /// Says what each candidate is to have, in their order. `counts` has the number of partitions of each topic.
    pub(super) fn assign(self, candidates: &[Candidate<'_>], counts: &HashMap<Uuid, i32>) -> Vec<Partitions> {
        match self {
            Self::Uniform => Uniform::new(candidates, counts).assign(),
            Self::Range => range(candidates, counts),
        }
    }
}

/// The candidates, by index, that want each topic.
fn subscribers(candidates: &[Candidate<'_>], order: &[usize]) -> BTreeMap<Uuid, Vec<usize>> {
    let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for &index in order {
        for topic in candidates.get(index).map(|candidate| &candidate.topics).into_iter().flatten() {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    subscribers
}

fn range(candidates: &[Candidate<'_>], counts: &HashMap<Uuid, i32>) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    // Static members first, whose places thereby do not depend on ids that change.
    order.sort_by_key(|&index| {
        let candidate = &candidates[index];
        (candidate.instance.is_none(), candidate.instance, candidate.id)
    });
    let mut assigned = vec![Partitions::new(); candidates.len()];
    for (topic, members) in subscribers(candidates, &order) {
        let count = usize::try_from(counts.get(&topic).copied().unwrap_or(0)).unwrap_or(0);
        let (quota, extra) = (count / members.len(), count % members.len());
        let mut partitions = 0_i32..;
        for (place, &member) in members.iter().enumerate() {
            let share = quota + usize::from(place < extra);
            assigned[member].extend(partitions.by_ref().take(share).map(|index| (topic, index)));
        }
    }
    assigned
}

/// Fills up what is unassigned, and then evens out.
struct Uniform {
    assigned: Vec<Partitions>,
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    /// Of each topic, who owns each partition.
    owners: BTreeMap<Uuid, Vec<Option<usize>>>,
}

impl Uniform {
    fn new(candidates: &[Candidate<'_>], counts: &HashMap<Uuid, i32>) -> Self {
        let order: Vec<usize> = (0..candidates.len()).collect();
        let subscribers = subscribers(candidates, &order);
        let slots = |topic: &Uuid| {
            let count = usize::try_from(counts.get(topic).copied().unwrap_or(0)).unwrap_or(0);
            (*topic, vec![None; count])
        };
        let mut uniform = Self {
            assigned: vec![Partitions::new(); candidates.len()],
            owners: subscribers.keys().map(slots).collect(),
            subscribers,
        };
        for (index, candidate) in candidates.iter().enumerate() {
            uniform.keep(index, candidate);
        }
        uniform
    }

    /// Lets a candidate have what it had, of what it wants and nobody else has.
    fn keep(&mut self, index: usize, candidate: &Candidate<'_>) {
        for &(topic, partition) in candidate.previous.into_iter().flatten() {
            let wanted = candidate.topics.contains(&topic);
            let slots = self.owners.get_mut(&topic).filter(|_| wanted);
            let place = usize::try_from(partition).ok();
            let slot = slots.zip(place).and_then(|(slots, place)| slots.get_mut(place));
            if let Some(slot @ None) = slot {
                *slot = Some(index);
                self.assigned[index].insert((topic, partition));
            }
        }
    }

    fn assign(mut self) -> Vec<Partitions> {
        let mut topics: Vec<Uuid> = self.subscribers.keys().copied().collect();
        // Those with many partitions for few members first; who may choose is served last.
        topics.sort_by_key(|topic| {
            let members = self.subscribers.get(topic).map_or(1, Vec::len).max(1);
            let partitions = self.owners.get(topic).map_or(0, Vec::len);
            (std::cmp::Reverse(partitions * 1_000 / members), members, *topic)
        });
        for topic in &topics {
            self.fill(*topic);
        }
        // Every move lowers the sum of the squares of the loads, so this comes to an end.
        loop {
            let moved = topics.iter().filter(|topic| self.even_out(**topic)).count();
            if moved == 0 {
                return self.assigned;
            }
        }
    }

    fn fill(&mut self, topic: Uuid) {
        let (Some(slots), Some(members)) = (self.owners.get_mut(&topic), self.subscribers.get(&topic)) else {
            return;
        };
        for (partition, slot) in (0..).zip(slots) {
            let least = members.iter().copied().min_by_key(|&member| self.assigned[member].len());
            if let (None, Some(member)) = (*slot, least) {
                *slot = Some(member);
                self.assigned[member].insert((topic, partition));
            }
        }
    }

    /// Moves partitions of a topic from those of its subscribers with most to those with least.
    fn even_out(&mut self, topic: Uuid) -> bool {
        let (Some(slots), Some(members)) = (self.owners.get_mut(&topic), self.subscribers.get(&topic)) else {
            return false;
        };
        let mut owned: HashMap<usize, Vec<i32>> = HashMap::new();
        for (partition, owner) in (0..).zip(slots.iter()) {
            owned.entry(owner.unwrap_or(usize::MAX)).or_default().push(partition);
        }
        // The last ones move first, as with Kafka: whoever has partitions keeps the first of them.
        let mut moved = false;
        loop {
            let load = |member: &usize| self.assigned[*member].len();
            let gives = |member: &usize| owned.get(member).is_some_and(|partitions| !partitions.is_empty());
            let least = members.iter().copied().min_by_key(load);
            let most = members.iter().copied().filter(gives).max_by_key(load);
            let (Some(least), Some(most)) = (least, most) else { return moved };
            if load(&most) <= load(&least) + 1 {
                return moved;
            }
            let Some(partition) = owned.get_mut(&most).and_then(Vec::pop) else { return moved };
            owned.entry(least).or_default().push(partition);
            self.assigned[most].remove(&(topic, partition));
            self.assigned[least].insert((topic, partition));
            if let Some(slot) = usize::try_from(partition).ok().and_then(|place| slots.get_mut(place)) {
                *slot = Some(least);
            }
            moved = true;
        }
    }
}

#[cfg(test)]
#[path = "assignor_tests.rs"]
mod tests;
