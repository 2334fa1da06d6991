//! Random members that join, leave, fall silent and answer late, on topics that grow: what holds all the time, and in the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{Catalogue, beat, join_as};
use super::*;

const SESSION_MS: u64 = 50;
const TOPICS: [&str; 3] = ["one", "two", "three"];

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Join {
        member: usize,
        topics: usize,
        instance: bool,
        range: bool,
    },
    Beat {
        member: usize,
        loses_answer: bool,
    },
    /// A client gives up what it has been told to.
    Revoke {
        member: usize,
    },
    Leave {
        member: usize,
        for_a_while: bool,
    },
    Grow {
        topic: usize,
    },
    Wait {
        ms: u64,
    },
}

/// A client as it sees itself.
#[derive(Debug, Default, Clone)]
struct Client {
    epoch: i32,
    instance: Option<String>,
    owned: Partitions,
    /// What it has been told, and not yet done.
    told: Option<Partitions>,
    heard_at_ms: u64,
    topics: usize,
    /// Whether an answer was lost, so that it has to say everything and be told everything.
    asks_all: bool,
}

struct World {
    group: ConsumerGroup,
    topics: Catalogue,
    counts: [i32; 3],
    clients: BTreeMap<String, Client>,
    incarnations: u64,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        Self {
            group: ConsumerGroup::default(),
            topics: Catalogue::with(&[("one", 3), ("two", 2), ("three", 1)]),
            counts: [3, 2, 1],
            clients: BTreeMap::new(),
            incarnations: 0,
            now_ms: 0,
        }
    }

    fn id_at(&self, member: usize) -> Option<String> {
        self.clients.keys().nth(member % self.clients.len().max(1)).cloned()
    }

    fn act(&mut self, event: &Event) {
        match *event {
            Event::Join { member, topics, instance, range } => self.join(member, topics, instance, range),
            Event::Beat { member, loses_answer } => {
                if let Some(id) = self.id_at(member) {
                    self.beat(&id, loses_answer);
                }
            }
            Event::Revoke { member } => {
                if let Some(client) = self.id_at(member).and_then(|id| self.clients.get_mut(&id)) {
                    client.obey();
                }
            }
            Event::Leave { member, for_a_while } => self.leave(member, for_a_while),
            Event::Grow { topic } => {
                self.counts[topic] += 1;
                self.topics.set(TOPICS[topic], self.counts[topic]);
            }
            Event::Wait { ms } => self.wait(ms),
        }
    }

    fn join(&mut self, member: usize, topics: usize, instance: bool, range: bool) {
        self.incarnations += 1;
        let id = format!("m{}", self.incarnations);
        let instance = instance.then(|| format!("i{}", member % 2));
        let request = Heartbeat {
            instance: instance.clone(),
            assignor: range.then_some(Assignor::Range),
            ..join_as(&id, &TOPICS[..=topics])
        };
        let answer = self.group.heartbeat(self.now_ms, request, &self.topics, SESSION_MS);
        match answer {
            Ok(place) => {
                let mut client = Client {
                    epoch: place.epoch,
                    instance,
                    heard_at_ms: self.now_ms,
                    topics,
                    ..Client::default()
                };
                client.told = place.assignment;
                self.clients.insert(id, client);
            }
            Err((error, _)) => assert_eq!(error, ResponseError::UnreleasedInstanceId),
        }
    }

    fn beat(&mut self, id: &str, loses_answer: bool) {
        let Some(client) = self.clients.get_mut(id) else { return };
        // A client says what it owns when it has done what it was told, and nothing while it is about to.
        let mut request = beat(id, client.epoch);
        if client.asks_all {
            client.told = None;
            request = Heartbeat { epoch: client.epoch, ..join_as(id, &TOPICS[..=client.topics]) };
        }
        request.owned = client.told.is_none().then(|| client.owned.clone());
        match self.group.heartbeat(self.now_ms, request, &self.topics, SESSION_MS) {
            Ok(_) if loses_answer => client.asks_all = true,
            Ok(place) => {
                client.epoch = place.epoch;
                client.heard_at_ms = self.now_ms;
                client.asks_all = false;
                client.told = place.assignment.or(client.told.take());
            }
            Err((ResponseError::FencedMemberEpoch, _)) => {
                // It gives up everything, and joins anew under its id.
                client.owned.clear();
                client.told = None;
                let request = Heartbeat { topics: None, instance: None, ..join_as(id, &[]) };
                let place = self.group.heartbeat(self.now_ms, request, &self.topics, SESSION_MS);
                if let Ok(place) = place {
                    client.epoch = place.epoch;
                    client.heard_at_ms = self.now_ms;
                    client.told = place.assignment;
                    client.asks_all = false;
                }
            }
            Err((ResponseError::UnknownMemberId, _)) => {
                self.clients.remove(id);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: usize, for_a_while: bool) {
        let Some(id) = self.id_at(member) else { return };
        let Some(client) = self.clients.remove(&id) else { return };
        let epoch = if for_a_while && client.instance.is_some() { LEAVING_FOR_A_WHILE } else { -1 };
        // Its session may have ended, or its place be another one's.
        let _ = self.group.leave(&id, client.instance.as_deref(), epoch);
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.group.tick(self.now_ms);
        // A client that has not heard anything for a session gives up what it had.
        let now_ms = self.now_ms;
        self.clients.retain(|_, client| now_ms < client.heard_at_ms + SESSION_MS);
    }

    /// No partition is owned by two clients, or a member's own while another one holds it.
    fn check(&self) {
        let mut owners: BTreeMap<_, &String> = BTreeMap::new();
        for (id, client) in &self.clients {
            for partition in &client.owned {
                if let Some(other) = owners.insert(*partition, id) {
                    panic!("{partition:?} is owned by `{other}` and `{id}`");
                }
            }
        }
        let mut holders: BTreeMap<_, &String> = BTreeMap::new();
        for (id, member) in self.group.members() {
            for partition in member.holds() {
                if let Some(other) = holders.insert(*partition, id) {
                    panic!("{partition:?} is held by `{other}` and `{id}`");
                }
            }
            assert!(member.epoch <= self.group.epoch());
        }
    }

    /// Nothing happens any more but heartbeats.
    fn settle(&mut self) {
        for _ in 0..100 {
            for id in self.clients.keys().cloned().collect::<Vec<_>>() {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.obey();
                }
                self.beat(&id, false);
                self.check();
            }
            self.wait(1);
        }
    }
}

impl Client {
    fn obey(&mut self) {
        if let Some(told) = self.told.take() {
            self.owned = told;
        }
    }
}

fn events() -> impl Strategy<Value = Event> {
    let member = 0..6_usize;
    prop_oneof![
        3 => (member.clone(), 0..3_usize, prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(member, topics, instance, range)| Event::Join { member, topics, instance, range }),
        8 => (member.clone(), prop::bool::weighted(0.2))
            .prop_map(|(member, loses_answer)| Event::Beat { member, loses_answer }),
        6 => member.clone().prop_map(|member| Event::Revoke { member }),
        2 => (member, any::<bool>()).prop_map(|(member, for_a_while)| Event::Leave { member, for_a_while }),
        1 => (0..3_usize).prop_map(|topic| Event::Grow { topic }),
        2 => (1..30_u64).prop_map(|ms| Event::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_partition_has_two_owners_and_the_group_comes_to_rest(
        events in prop::collection::vec(events(), 1..80)
    ) {
        let mut world = World::new();
        for event in &events {
            world.act(event);
            world.check();
        }
        world.settle();
        let group = &world.group;
        if group.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(group.state(), ConsumerGroupState::Stable);
        let assigned: Partitions = group.members().flat_map(|(_, member)| member.assigned.clone()).collect();
        let wanted: Partitions = TOPICS
            .iter()
            .filter(|name| group.subscribes(name))
            .flat_map(|name| {
                let (id, count) = world.topics.find(name).unwrap_or_default();
                (0..count).map(move |index| (id, index))
            })
            .collect();
        prop_assert_eq!(assigned, wanted, "everything that is wanted is somebody's");
        for (id, member) in group.members() {
            let client = world.clients.get(id);
            prop_assert_eq!(client.map(|client| &client.owned), Some(&member.assigned));
        }
    }
}
