//! Brokers that stop and start, and leaders that move.

use kafka_protocol::messages::BrokerId;

use crate::state::State;

impl State {
    /// Takes a broker out: what it led and coordinated goes to others that are live, or to none.
    pub(crate) fn broker_stopped(&self, id: BrokerId) {
        self.set_live(id, false);
    }

    /// Takes a broker in. It leads what nobody else does, and nothing moves back to it by itself.
    pub(crate) fn broker_started(&self, id: BrokerId) {
        self.set_live(id, true);
    }

    fn set_live(&self, id: BrokerId, live: bool) {
        // Before the partitions are looked at, so that one that is created meanwhile is not led by who is gone.
        self.cluster.set_live(id, live);
        for topic in self.topics.all() {
            for partition in topic.partitions() {
                partition.elect(|id| self.cluster.is_live(id));
            }
        }
    }
}
