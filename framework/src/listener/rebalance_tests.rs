//! The machine against tables and against a model that plays the client and the lanes.

use proptest::prelude::*;

use super::*;

const TIMEOUTS: RebalanceTimeouts =
    RebalanceTimeouts { drain: Duration::from_secs(10), commit: Duration::from_secs(5) };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Machine {
    machine: Rebalance<u8>,
    actions: Vec<Action<u8>>,
}

impl Machine {
    fn new() -> Self {
        Self { machine: Rebalance::new(TIMEOUTS), actions: Vec::new() }
    }

    fn with_assigned(partitions: &[u8]) -> Self {
        let mut this = Self::new();
        this.machine.assigned(partitions.to_vec(), at(0), &mut this.actions);
        this.actions.clear();
        this
    }

    fn take(&mut self) -> Vec<Action<u8>> {
        std::mem::take(&mut self.actions)
    }
}

#[test]
fn an_assignment_starts_lanes_before_the_client_is_answered() {
    let mut this = Machine::new();
    this.machine.assigned(vec![0, 1], at(0), &mut this.actions);
    assert_eq!(
        this.take(),
        [
            Action::Start { slot: Slot(1), partition: 0 },
            Action::Start { slot: Slot(2), partition: 1 },
            Action::AnswerAssign { partitions: vec![0, 1] },
        ]
    );
}

#[test]
fn an_empty_assignment_is_answered_too() {
    let mut this = Machine::new();
    this.machine.assigned(vec![], at(0), &mut this.actions);
    assert_eq!(this.take(), [Action::AnswerAssign { partitions: vec![] }]);
}

#[test]
fn a_revocation_drains_then_commits_then_forgets_then_answers() {
    let mut this = Machine::with_assigned(&[0, 1]);
    this.machine.revoked(vec![0, 1], at(1), &mut this.actions);
    assert_eq!(this.take(), [Action::Stop { slots: vec![Slot(1), Slot(2)] }]);
    assert_eq!(this.machine.slot(&0), None, "no record goes to a lane that is being stopped");
    this.machine.lane_ended(Slot(1), at(2), &mut this.actions);
    assert_eq!(this.take(), []);
    this.machine.lane_ended(Slot(2), at(2), &mut this.actions);
    assert_eq!(this.take(), [Action::Commit { slots: vec![Slot(1), Slot(2)] }]);
    this.machine.committed(at(3), &mut this.actions);
    assert_eq!(
        this.take(),
        [Action::Forget { slots: vec![Slot(1), Slot(2)] }, Action::AnswerRevoke { partitions: vec![0, 1] }]
    );
}

#[test]
fn a_lane_that_does_not_end_is_abandoned_at_the_drain_timeout() {
    let mut this = Machine::with_assigned(&[0, 1]);
    this.machine.revoked(vec![0, 1], at(1), &mut this.actions);
    this.machine.lane_ended(Slot(1), at(2), &mut this.actions);
    this.take();
    this.machine.tick(at(10), &mut this.actions);
    assert_eq!(this.take(), []);
    this.machine.tick(at(11), &mut this.actions);
    assert_eq!(
        this.take(),
        [Action::Abandon { slots: vec![Slot(2)] }, Action::Commit { slots: vec![Slot(1), Slot(2)] }]
    );
}

#[test]
fn a_drain_does_not_wait_for_a_lane_that_ended_by_itself() {
    let mut this = Machine::with_assigned(&[0, 1]);
    this.machine.lane_ended(Slot(1), at(1), &mut this.actions);
    assert_eq!(this.take(), []);
    this.machine.drain(at(1), &mut this.actions);
    this.take();
    this.machine.lane_ended(Slot(2), at(1), &mut this.actions);
    assert_eq!(this.take(), [Action::Commit { slots: vec![Slot(1), Slot(2)] }]);
}

#[test]
fn a_commit_that_is_not_answered_does_not_hold_the_group_up_for_ever() {
    let mut this = Machine::with_assigned(&[0]);
    this.machine.revoked(vec![0], at(1), &mut this.actions);
    this.machine.lane_ended(Slot(1), at(2), &mut this.actions);
    this.take();
    this.machine.tick(at(7), &mut this.actions);
    assert_eq!(
        this.take(),
        [Action::Forget { slots: vec![Slot(1)] }, Action::AnswerRevoke { partitions: vec![0] }]
    );
}

#[test]
fn a_loss_commits_nothing() {
    let mut this = Machine::with_assigned(&[0]);
    this.machine.lost(vec![0], at(1), &mut this.actions);
    assert_eq!(
        this.take(),
        [
            Action::Abandon { slots: vec![Slot(1)] },
            Action::Forget { slots: vec![Slot(1)] },
            Action::AnswerRevoke { partitions: vec![0] }
        ]
    );
}

#[test]
fn an_assignment_that_comes_while_draining_waits() {
    let mut this = Machine::with_assigned(&[0]);
    this.machine.revoked(vec![0], at(1), &mut this.actions);
    this.take();
    this.machine.assigned(vec![0, 1], at(1), &mut this.actions);
    assert_eq!(this.take(), []);
    this.machine.lane_ended(Slot(1), at(1), &mut this.actions);
    this.machine.committed(at(1), &mut this.actions);
    let actions = this.take();
    let answer = actions.iter().position(|action| matches!(action, Action::AnswerRevoke { .. }));
    let start =
        actions.iter().position(|action| matches!(action, Action::Start { slot: Slot(2), partition: 0 }));
    assert!(answer < start, "{actions:?}");
}

#[test]
fn only_the_revoked_partitions_stop_under_the_cooperative_protocol() {
    let mut this = Machine::with_assigned(&[0, 1, 2]);
    this.machine.revoked(vec![1], at(1), &mut this.actions);
    assert_eq!(this.take(), [Action::Stop { slots: vec![Slot(2)] }]);
    assert_eq!(this.machine.slot(&0), Some(Slot(1)));
    assert_eq!(this.machine.slot(&2), Some(Slot(3)));
}

/// One step of a random life of a consumer.
#[derive(Debug, Clone)]
enum Step {
    Assign(Vec<u8>),
    Revoke(Vec<u8>),
    Lose,
    LaneEnds(usize),
    CommitAnswered,
    TimePasses(u8),
    Drain,
    Restart(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let partitions =
        || prop::collection::btree_set(0u8..6, 0..5).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    prop_oneof![
        4 => partitions().prop_map(Step::Assign),
        4 => partitions().prop_map(Step::Revoke),
        1 => Just(Step::Lose),
        8 => (0usize..8).prop_map(Step::LaneEnds),
        6 => Just(Step::CommitAnswered),
        3 => (0u8..12).prop_map(Step::TimePasses),
        1 => Just(Step::Drain),
        1 => (0u8..6).prop_map(Step::Restart),
    ]
}

/// Plays the caller: carries actions out and checks the invariants while it does.
#[derive(Default)]
struct Caller {
    /// Slot → partition, of slots that the tracker knows.
    tracked: BTreeMap<Slot, u8>,
    /// Slots whose lanes run.
    running: BTreeSet<Slot>,
    ever: BTreeMap<Slot, u8>,
    commit_pending: bool,
    assigns: usize,
    assign_answers: usize,
    revokes: usize,
    revoke_answers: usize,
    drained: bool,
}

impl Caller {
    fn carry_out(&mut self, action: Action<u8>) -> Result<(), TestCaseError> {
        prop_assert!(!self.drained, "an action after the drain: {action:?}");
        match action {
            Action::Start { slot, partition } => {
                prop_assert!(self.ever.insert(slot, partition).is_none(), "slot {slot:?} is used twice");
                prop_assert!(
                    !self.tracked.values().any(|other| *other == partition),
                    "two slots of {partition}"
                );
                self.tracked.insert(slot, partition);
                self.running.insert(slot);
            }
            Action::Stop { slots } => prop_assert!(slots.iter().all(|slot| self.tracked.contains_key(slot))),
            Action::Abandon { slots } => {
                for slot in slots {
                    self.running.remove(&slot);
                }
            }
            Action::Commit { slots } => {
                prop_assert!(
                    slots.iter().all(|slot| self.tracked.contains_key(slot)),
                    "commit of a forgotten slot"
                );
                prop_assert!(
                    slots.iter().all(|slot| !self.running.contains(slot)),
                    "commit before the drain"
                );
                self.commit_pending = true;
            }
            Action::Forget { slots } => {
                for slot in slots {
                    prop_assert!(self.tracked.remove(&slot).is_some(), "forgotten twice");
                    self.running.remove(&slot);
                }
                self.commit_pending = false;
            }
            Action::AnswerAssign { .. } => self.assign_answers += 1,
            Action::AnswerRevoke { partitions } => {
                let held = self.tracked.values().any(|partition| partitions.contains(partition));
                prop_assert!(!held, "given up before it was forgotten");
                self.revoke_answers += 1;
            }
            Action::Drained => {
                prop_assert!(self.tracked.is_empty(), "drained with slots left");
                self.drained = true;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_life_keeps_the_invariants_and_ends_answered(steps in prop::collection::vec(step(), 1..50)) {
        let mut machine = Rebalance::<u8>::new(TIMEOUTS);
        let mut caller = Caller::default();
        let mut now = Duration::ZERO;
        let mut actions = Vec::new();
        for step in steps {
            match step {
                Step::Assign(partitions) => {
                    caller.assigns += 1;
                    machine.assigned(partitions, now, &mut actions);
                }
                Step::Revoke(partitions) => {
                    caller.revokes += 1;
                    machine.revoked(partitions, now, &mut actions);
                }
                Step::Lose => {
                    caller.revokes += 1;
                    let partitions = machine.partitions().map(|(partition, _)| *partition).collect();
                    machine.lost(partitions, now, &mut actions);
                }
                Step::LaneEnds(index) => {
                    if let Some(slot) = caller.running.iter().nth(index).copied() {
                        caller.running.remove(&slot);
                        machine.lane_ended(slot, now, &mut actions);
                    }
                }
                Step::CommitAnswered if caller.commit_pending => machine.committed(now, &mut actions),
                Step::CommitAnswered => {}
                Step::TimePasses(seconds) => {
                    now += Duration::from_secs(u64::from(seconds));
                    machine.tick(now, &mut actions);
                }
                Step::Drain => machine.drain(now, &mut actions),
                Step::Restart(partition) => machine.restart(&partition, &mut actions),
            }
            for action in actions.drain(..) {
                caller.carry_out(action)?;
            }
            if caller.drained {
                return Ok(());
            }
        }
        // Liveness: with time alone every event is answered.
        for _ in 0..200 {
            now += Duration::from_secs(20);
            machine.tick(now, &mut actions);
            for action in actions.drain(..) {
                caller.carry_out(action)?;
            }
            if caller.drained {
                return Ok(());
            }
        }
        prop_assert!(!machine.is_draining());
        prop_assert_eq!(caller.assigns, caller.assign_answers);
        prop_assert_eq!(caller.revokes, caller.revoke_answers);
    }
}
