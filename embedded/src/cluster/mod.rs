//! The brokers of a cluster: several addresses in front of one state.
//!
//! There is one log of each partition and one state of each group, whichever broker is asked. What is per broker is who
//! may answer: a partition's leader, an id's coordinator. So a broker that stops takes nothing with it, and replicas are
//! never behind.

mod changes;
pub(crate) mod coordinators;
pub(crate) mod elections;
pub(crate) mod leadership;

use std::sync::atomic::{AtomicBool, Ordering};

use kafka_protocol::messages::BrokerId;
use tokio::sync::Notify;

use coordinators::Coordinators;
use leadership::Leadership;

/// The brokers, and what each coordinates.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// Replicas of a partition for which nobody says how many.
    pub(crate) default_replication: usize,
    pub(crate) groups: Coordinators,
    pub(crate) transactions: Coordinators,
    /// A coordinator has moved.
    moved: Notify,
}

/// One broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    /// Where clients are told to connect to.
    pub(crate) host: String,
    pub(crate) port: u16,
    live: AtomicBool,
}

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coordinated {
    Group,
    Transaction,
}

impl Node {
    pub(crate) fn new(id: BrokerId, host: String, port: u16) -> Self {
        Self { id, host, port, live: AtomicBool::new(true) }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }
}

impl Cluster {
    pub(crate) fn new(nodes: Vec<Node>, default_replication: usize) -> Self {
        let ids: Vec<BrokerId> = nodes.iter().map(|node| node.id).collect();
        Self {
            default_replication: default_replication.clamp(1, nodes.len().max(1)),
            nodes,
            groups: Coordinators::new(&ids),
            transactions: Coordinators::new(&ids),
            moved: Notify::new(),
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_live())
    }

    pub(crate) fn node(&self, id: BrokerId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(crate) fn is_live(&self, id: BrokerId) -> bool {
        self.node(id).is_some_and(Node::is_live)
    }

    /// The broker that acts as controller: the first that is live. Every broker takes the controller's requests, as
    /// Kafka's brokers do since they pass them on.
    pub(crate) fn controller(&self) -> BrokerId {
        self.live().next().map_or(BrokerId(-1), |node| node.id)
    }

    /// The replicas of a partition, so that leaders are spread in turn: partition 0 is led by the first broker.
    pub(crate) fn place(&self, partition: usize, replicas: usize) -> Vec<BrokerId> {
        let count = self.nodes.len();
        (0..replicas.min(count)).map(|replica| self.nodes[(partition + replica) % count].id).collect()
    }

    /// The replicas of a partition that was written down, on the brokers that there are now: those that are not are
    /// replaced by those whose turn it is, as far as there are others.
    pub(crate) fn place_again(&self, partition: usize, replicas: &[BrokerId]) -> Vec<BrokerId> {
        let count = replicas.len().clamp(1, self.nodes.len().max(1));
        let mut placed: Vec<BrokerId> =
            replicas.iter().copied().filter(|id| self.node(*id).is_some()).take(count).collect();
        for other in self.place(partition, self.nodes.len()) {
            if placed.len() < count && !placed.contains(&other) {
                placed.push(other);
            }
        }
        placed
    }

    pub(crate) fn new_leadership(&self, replicas: Vec<BrokerId>) -> Leadership {
        Leadership::new(replicas, |id| self.is_live(id))
    }

    /// The replicas that are up to date: those that are live, since all share one log. As in Kafka, the last to go stays.
    pub(crate) fn in_sync(&self, leadership: &Leadership) -> Vec<BrokerId> {
        let replicas = leadership.replicas();
        let live: Vec<BrokerId> = replicas.iter().copied().filter(|id| self.is_live(*id)).collect();
        if live.is_empty() { replicas.iter().copied().take(1).collect() } else { live }
    }

    pub(crate) fn offline(&self, leadership: &Leadership) -> Vec<BrokerId> {
        leadership.replicas().iter().copied().filter(|id| !self.is_live(*id)).collect()
    }

    fn coordinators(&self, what: Coordinated) -> &Coordinators {
        match what {
            Coordinated::Group => &self.groups,
            Coordinated::Transaction => &self.transactions,
        }
    }

    /// The broker that coordinates an id, if any is live.
    pub(crate) fn coordinator(&self, what: Coordinated, id: &str) -> Option<&Node> {
        let id = if self.nodes.len() == 1 { self.nodes[0].id } else { self.coordinators(what).of(id)? };
        self.node(id).filter(|node| node.is_live())
    }

    pub(crate) fn coordinates(&self, node: BrokerId, what: Coordinated, id: &str) -> bool {
        // With one broker there is nothing to look up.
        self.nodes.len() == 1 || self.coordinators(what).of(id) == Some(node)
    }

    /// Ends when a broker is no longer the coordinator of an id.
    pub(crate) async fn lost(&self, node: BrokerId, what: Coordinated, id: &str) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if !self.coordinates(node, what, id) {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn move_coordinator(&self, what: Coordinated, id: &str, to: BrokerId) {
        self.coordinators(what).move_to(id, to);
        self.moved.notify_waiters();
    }

    fn set_live(&self, id: BrokerId, live: bool) {
        if let Some(node) = self.node(id) {
            node.live.store(live, Ordering::Release);
        }
        let live: Vec<BrokerId> = self.live().map(|node| node.id).collect();
        self.groups.settle(&live);
        self.transactions.settle(&live);
        self.moved.notify_waiters();
    }
}

#[cfg(any(test, feature = "fuzz"))]
impl Cluster {
    /// Brokers that nobody listens for.
    pub(crate) fn of(count: i32) -> Self {
        let node = |id: i32| Node::new(BrokerId(id), "localhost".to_owned(), 9_091);
        Self::new((1..=count).map(node).collect(), usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_and_replicas_are_spread_in_turn() {
        let cluster = Cluster::of(3);
        let placed: Vec<Vec<i32>> =
            (0..4).map(|index| cluster.place(index, 2).into_iter().map(|id| id.0).collect()).collect();
        assert_eq!(placed, [[1, 2], [2, 3], [3, 1], [1, 2]]);
        assert_eq!(cluster.place(0, 9).len(), 3);
    }

    #[test]
    fn replicas_on_brokers_that_are_not_there_any_more_go_to_others() {
        let cluster = Cluster::of(2);
        let cases: [(&[i32], &[i32]); 6] = [
            (&[1, 2], &[1, 2]),
            (&[2], &[2]),
            (&[3], &[2]),
            (&[3, 1], &[1, 2]),
            (&[5, 4, 3], &[2, 1]),
            (&[], &[2]),
        ];
        for (written, expected) in cases {
            let written: Vec<BrokerId> = written.iter().copied().map(BrokerId).collect();
            let placed: Vec<i32> = cluster.place_again(1, &written).into_iter().map(|id| id.0).collect();
            assert_eq!(placed, expected, "{written:?}");
        }
    }

    #[test]
    fn what_is_in_sync_is_what_is_live_and_the_last_to_go() {
        let cluster = Cluster::of(2);
        let leadership = cluster.new_leadership(cluster.place(0, 2));
        cluster.set_live(BrokerId(1), false);
        assert_eq!(cluster.in_sync(&leadership), [BrokerId(2)]);
        assert_eq!(cluster.offline(&leadership), [BrokerId(1)]);
        assert_eq!(cluster.controller(), BrokerId(2));
        cluster.set_live(BrokerId(2), false);
        assert_eq!(cluster.in_sync(&leadership).len(), 1);
        assert_eq!(cluster.controller(), BrokerId(-1));
    }

    #[tokio::test]
    async fn a_coordinator_that_moves_is_lost_to_who_waits_for_it() {
        let cluster = Cluster::of(2);
        let before = cluster.coordinator(Coordinated::Group, "billing").map(|node| node.id);
        let (Some(BrokerId(before)), lost) = (before, tokio::sync::Notify::new()) else {
            panic!("no coordinator")
        };
        let other = BrokerId(3 - before);
        tokio::join!(
            async {
                cluster.lost(BrokerId(before), Coordinated::Group, "billing").await;
                lost.notify_one();
            },
            async {
                cluster.move_coordinator(Coordinated::Group, "billing", other);
                lost.notified().await;
            }
        );
        assert!(cluster.coordinates(other, Coordinated::Group, "billing"));
    }
}
