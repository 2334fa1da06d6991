//! Who leads a partition, since when, and who may.
//!
//! 1. Every change of the leader, to none included, begins a new epoch; an epoch has one leader.
//! 2. So does every start on a data directory, since who was cut off by it may have seen records that a crash of the system
//!    took away. Epochs never go back.
//! 3. The history says at which offset each epoch began, in the order of both.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;

/// The epoch that stands for none, in requests.
const NO_EPOCH: i32 = -1;

/// Epochs remembered of each partition; beyond it, the oldest are forgotten.
const REMEMBERED_EPOCHS: usize = 1_000;

/// The leader of a partition, and those who may become it.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    replicas: Vec<BrokerId>,
    leader: Option<BrokerId>,
    epoch: i32,
    /// Each epoch, and the offset that it began at.
    history: Vec<(i32, i64)>,
}

/// Where an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochEnd {
    pub(crate) epoch: i32,
    pub(crate) offset: i64,
}

impl Leadership {
    /// The first of the replicas that is live leads.
    pub(crate) fn new(replicas: Vec<BrokerId>, is_live: impl Fn(BrokerId) -> bool) -> Self {
        let leader = replicas.iter().copied().find(|replica| is_live(*replica));
        Self { replicas, leader, epoch: 0, history: vec![(0, 0)] }
    }

    /// Goes on where a broker before has ended: in an epoch that is at least this one, and later than those that
    /// batches were written in.
    pub(crate) fn resumed(self, epoch: i32, history: Vec<(i32, i64)>, end_offset: i64) -> Self {
        let last = history.last().map_or(-1, |(epoch, _)| *epoch);
        let mut resumed = Self { history, ..self };
        resumed.begin(epoch.max(last.saturating_add(1)), end_offset);
        resumed
    }

    pub(crate) fn replicas(&self) -> &[BrokerId] {
        &self.replicas
    }

    pub(crate) fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Whether a request of a client may be answered here.
    pub(crate) fn check(&self, node: BrokerId, claimed_epoch: i32) -> Result<(), ResponseError> {
        if claimed_epoch != NO_EPOCH {
            if claimed_epoch < self.epoch {
                return Err(ResponseError::FencedLeaderEpoch);
            }
            if claimed_epoch > self.epoch {
                return Err(ResponseError::UnknownLeaderEpoch);
            }
        }
        if self.leader == Some(node) { Ok(()) } else { Err(ResponseError::NotLeaderOrFollower) }
    }

    /// Elects another leader if the one there is is not live, and says whether the leader changed.
    pub(crate) fn elect(&mut self, end_offset: i64, is_live: impl Fn(BrokerId) -> bool) -> bool {
        if self.leader.is_some_and(&is_live) {
            return false;
        }
        let elected = self.replicas.iter().copied().find(|replica| is_live(*replica));
        let changes = elected != self.leader;
        if changes {
            self.become_led_by(elected, end_offset);
        }
        changes
    }

    /// Begins the next epoch.
    pub(crate) fn become_led_by(&mut self, leader: Option<BrokerId>, end_offset: i64) {
        self.leader = leader;
        self.begin(self.epoch.saturating_add(1), end_offset);
    }

    fn begin(&mut self, epoch: i32, end_offset: i64) {
        self.epoch = epoch;
        // An epoch in which nothing was written is none that a record has.
        self.history.retain(|(_, start)| *start < end_offset);
        self.history.push((self.epoch, end_offset));
        let forgotten = self.history.len().saturating_sub(REMEMBERED_EPOCHS);
        self.history.drain(..forgotten);
    }

    /// The epoch in which the record of an offset was written, or the next one will be.
    pub(crate) fn epoch_at(&self, offset: i64) -> i32 {
        let after = self.history.partition_point(|(_, start)| *start <= offset);
        self.history[..after].last().or(self.history.first()).map_or(self.epoch, |(epoch, _)| *epoch)
    }

    /// Where an epoch, or the last one before it, ends. `None` for one that has not begun.
    pub(crate) fn end_of(&self, epoch: i32, end_offset: i64) -> Option<EpochEnd> {
        if epoch < 0 || epoch > self.epoch {
            return None;
        }
        if epoch == self.epoch {
            return Some(EpochEnd { epoch, offset: end_offset });
        }
        let after = self.history.partition_point(|(begun, _)| *begun <= epoch);
        let known = self.history[..after].last().map_or(epoch, |(begun, _)| *begun);
        let offset = self.history.get(after).map_or(end_offset, |(_, start)| *start);
        Some(EpochEnd { epoch: known, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BrokerId = BrokerId(1);
    const B: BrokerId = BrokerId(2);

    fn led() -> Leadership {
        Leadership::new(vec![A, B], |_| true)
    }

    #[test]
    fn the_next_live_replica_leads_in_the_next_epoch() {
        let mut led = led();
        assert!(!led.elect(5, |_| true), "a live leader stays");
        assert!(led.elect(5, |node| node == B));
        assert_eq!((led.leader(), led.epoch()), (Some(B), 1));
        assert!(led.elect(7, |_| false));
        assert_eq!((led.leader(), led.epoch()), (None, 2));
        assert!(!led.elect(7, |_| false), "no leader stays no leader");
        assert!(led.elect(7, |_| true));
        assert_eq!((led.leader(), led.epoch()), (Some(A), 3));
    }

    #[test]
    fn requests_are_checked_by_epoch_first_and_then_by_leader() {
        let mut led = led();
        led.become_led_by(Some(B), 0);
        let cases = [
            (B, -1, Ok(())),
            (B, 1, Ok(())),
            (B, 0, Err(ResponseError::FencedLeaderEpoch)),
            (B, 2, Err(ResponseError::UnknownLeaderEpoch)),
            (A, 0, Err(ResponseError::FencedLeaderEpoch)),
            (A, 1, Err(ResponseError::NotLeaderOrFollower)),
            (A, -1, Err(ResponseError::NotLeaderOrFollower)),
        ];
        for (node, epoch, expected) in cases {
            assert_eq!(led.check(node, epoch), expected, "{node:?} {epoch}");
        }
    }

    #[test]
    fn after_a_restart_the_epoch_is_a_new_one_and_the_history_that_of_the_batches() {
        let written = vec![(0, 0), (3, 20)];
        for (stored, expected) in [(0, 4), (4, 4), (9, 9)] {
            let led = led().resumed(stored, written.clone(), 30);
            assert_eq!((led.leader(), led.epoch()), (Some(A), expected));
            assert_eq!([0, 19, 20, 29, 30].map(|offset| led.epoch_at(offset)), [0, 0, 3, 3, expected]);
            assert_eq!(led.end_of(1, 30), Some(EpochEnd { epoch: 0, offset: 20 }));
        }
        let fresh = led().resumed(2, Vec::new(), 0);
        assert_eq!((fresh.epoch(), fresh.epoch_at(0), fresh.end_of(0, 0).is_some()), (2, 2, true));
        let damaged = led().resumed(1, vec![(i32::MAX, 0)], 5);
        assert_eq!(damaged.epoch(), i32::MAX);
    }

    #[test]
    fn the_history_says_where_epochs_end() {
        let mut led = led();
        led.become_led_by(Some(B), 10);
        led.become_led_by(Some(A), 10);
        led.become_led_by(Some(B), 30);
        let ends =
            [(0, Some((0, 10))), (1, Some((0, 10))), (2, Some((2, 30))), (3, Some((3, 42))), (4, None)];
        for (epoch, expected) in ends {
            let expected = expected.map(|(epoch, offset)| EpochEnd { epoch, offset });
            assert_eq!(led.end_of(epoch, 42), expected, "{epoch}");
        }
        assert_eq!(led.end_of(-1, 42), None);
        let epochs = [0, 9, 10, 29, 30, 99].map(|offset| led.epoch_at(offset));
        assert_eq!(epochs, [0, 0, 2, 2, 3, 3]);
    }
}
