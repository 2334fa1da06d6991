//! What a poll thread tells of itself as events.

use kafka_boot_client::TopicPartition;

use super::Poller;
use crate::listener::events::ListenerEventKind;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::idle::Idleness;

impl<C: GroupConsumer> Poller<C> {
    pub(super) fn tell(&self, kind: impl FnOnce(u16) -> ListenerEventKind) {
        self.shared.events.send(|| kind(self.shared.index));
    }

    /// Partitions are given up, or lost.
    pub(super) fn tell_given_up(&self, partitions: Vec<TopicPartition>) {
        self.tell(|consumer| {
            if self.is_losing {
                ListenerEventKind::Lost { consumer, partitions }
            } else {
                ListenerEventKind::Revoked { consumer, partitions }
            }
        });
    }

    /// Partitions are paused, or resumed, because somebody asked for that.
    pub(super) fn tell_paused(&self, partitions: Vec<TopicPartition>, paused: bool) {
        self.tell(|consumer| {
            if paused {
                ListenerEventKind::Paused { consumer, partitions }
            } else {
                ListenerEventKind::Resumed { consumer, partitions }
            }
        });
    }

    /// Records came, or are in hand.
    pub(super) fn note_busy(&mut self) {
        if self.idle.look_interval().is_some() {
            let now = self.now();
            let idleness = self.idle.busy(now);
            self.tell_idleness(idleness);
        }
    }

    /// Nothing is in hand.
    pub(super) fn note_nothing_to_do(&mut self) {
        let now = self.now();
        let idleness = self.idle.look(now);
        self.tell_idleness(idleness);
    }

    fn tell_idleness(&self, idleness: Option<Idleness>) {
        let Some(idleness) = idleness else { return };
        self.tell(|consumer| match idleness {
            Idleness::Idle(idle_for) => ListenerEventKind::Idle { consumer, idle_for },
            Idleness::Over(idle_for) => ListenerEventKind::NoLongerIdle { consumer, idle_for },
        });
    }
}
