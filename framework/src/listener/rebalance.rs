//! What happens to an assignment: gained, given up after draining, or lost.
//!
//! Sans-IO: events go in, actions come out, time is a number that the caller passes. The caller carries the actions
//! out in their order and reports back what happened.
//!
//! # Protocol
//! - *Assigned*: every partition gets a new slot and a lane, then the client is answered.
//! - *Revoked*: lanes stop taking records and finish the one in hand; when all have ended, or the drain timeout is
//!   over, what is settled is committed; when that is answered, or the commit timeout is over, the client is answered.
//! - *Lost*: another member may already own the partitions: nothing is committed, results that come later are dropped.
//! - *Draining for a stop* is a revocation of everything that the group did not ask for.
//!
//! # Invariants
//! 1. A partition has at most one slot, and a slot belongs to one partition for ever.
//! 2. A slot is forgotten before the client is told that its partition is given up.
//! 3. One revocation is under way at a time; events that come meanwhile wait, except a loss, which overtakes.
//! 4. Each event of the client is answered exactly once, until the drain of a stop is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::tracker::Slot;

/// What the caller must do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<P> {
    /// Start a lane for a partition that was gained.
    Start { slot: Slot, partition: P },
    /// Tell these lanes to end after the record in hand.
    Stop { slots: Vec<Slot> },
    /// End these lanes now; what they report later is of no use.
    Abandon { slots: Vec<Slot> },
    /// Commit what is settled in these slots, then report `committed`.
    Commit { slots: Vec<Slot> },
    /// Forget these slots in the tracker.
    Forget { slots: Vec<Slot> },
    /// Tell the client that the partitions are taken over.
    AnswerAssign { partitions: Vec<P> },
    /// Tell the client that the partitions are given up.
    AnswerRevoke { partitions: Vec<P> },
    /// All is drained and committed: the consumer may be closed.
    Drained,
}

/// Limits of a revocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RebalanceTimeouts {
    /// How long lanes may take to end.
    pub(crate) drain: Duration,
    /// How long the last commit may take.
    pub(crate) commit: Duration,
}

/// The assignment of one consumer.
#[derive(Debug)]
pub(crate) struct Rebalance<P> {
    timeouts: RebalanceTimeouts,
    assigned: BTreeMap<P, Slot>,
    next_slot: u32,
    under_way: Option<Revocation<P>>,
    waiting: VecDeque<Request<P>>,
    /// Lanes of assigned slots that ended by themselves, because their record failed: a drain need not wait for them.
    ended: BTreeSet<Slot>,
    /// The drain of a stop is over: the client is about to be closed, and nothing is answered any more.
    closed: bool,
}

#[derive(Debug, Clone)]
enum Request<P> {
    Assign(Vec<P>),
    Revoke(Vec<P>),
    Drain,
}

#[derive(Debug)]
struct Revocation<P> {
    /// `None` for a drain that the group did not ask for: there is nobody to answer.
    answer: Option<Vec<P>>,
    slots: Vec<Slot>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Draining { running: BTreeSet<Slot>, deadline: Duration },
    Committing { deadline: Duration },
}

impl<P: Clone + Ord> Rebalance<P> {
    pub(crate) fn new(timeouts: RebalanceTimeouts) -> Self {
        Self {
            timeouts,
            assigned: BTreeMap::new(),
            next_slot: 0,
            under_way: None,
            waiting: VecDeque::new(),
            ended: BTreeSet::new(),
            closed: false,
        }
    }

    /// The group gave these partitions.
    pub(crate) fn assigned(&mut self, partitions: Vec<P>, now: Duration, actions: &mut Vec<Action<P>>) {
        self.request(Request::Assign(partitions), now, actions);
    }

    /// The group takes these partitions back, and waits for the answer.
    pub(crate) fn revoked(&mut self, partitions: Vec<P>, now: Duration, actions: &mut Vec<Action<P>>) {
        self.request(Request::Revoke(partitions), now, actions);
    }

    /// The membership is gone, and these partitions with it.
    pub(crate) fn lost(&mut self, partitions: Vec<P>, now: Duration, actions: &mut Vec<Action<P>>) {
        let mut slots = self.take(&partitions);
        let overtaken = self.under_way.take();
        slots.extend(overtaken.iter().flat_map(|revocation| &revocation.slots));
        abandon(slots, actions);
        let was_drain = overtaken.as_ref().is_some_and(|revocation| revocation.answer.is_none());
        if let Some(answer) = overtaken.and_then(|revocation| revocation.answer) {
            actions.push(Action::AnswerRevoke { partitions: answer });
        }
        actions.push(Action::AnswerRevoke { partitions });
        if was_drain {
            self.close(actions);
        }
        self.proceed(now, actions);
    }

    /// The application stops: give up everything in order.
    pub(crate) fn drain(&mut self, now: Duration, actions: &mut Vec<Action<P>>) {
        self.request(Request::Drain, now, actions);
    }

    /// A partition's position was moved: it keeps its owner, and what was in flight becomes of no use.
    pub(crate) fn restart(&mut self, partition: &P, actions: &mut Vec<Action<P>>) {
        let Some(old) = self.assigned.remove(partition) else { return };
        abandon(vec![old], actions);
        self.start(partition.clone(), actions);
    }

    /// A lane ended.
    pub(crate) fn lane_ended(&mut self, slot: Slot, now: Duration, actions: &mut Vec<Action<P>>) {
        match &mut self.under_way {
            Some(Revocation { slots, stage: Stage::Draining { running, .. }, .. })
                if running.contains(&slot) =>
            {
                running.remove(&slot);
                if running.is_empty() {
                    let slots = slots.clone();
                    self.commit(slots, now, actions);
                }
            }
            _ if self.assigned.values().any(|assigned| *assigned == slot) => {
                self.ended.insert(slot);
            }
            _ => {}
        }
    }

    /// The commit that was asked for is answered, well or not.
    pub(crate) fn committed(&mut self, now: Duration, actions: &mut Vec<Action<P>>) {
        if matches!(self.under_way, Some(Revocation { stage: Stage::Committing { .. }, .. })) {
            self.finish(now, actions);
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Duration, actions: &mut Vec<Action<P>>) {
        match &mut self.under_way {
            Some(Revocation { stage: Stage::Draining { running, deadline }, slots, .. })
                if now >= *deadline =>
            {
                let late = std::mem::take(running).into_iter().collect();
                let slots = slots.clone();
                actions.push(Action::Abandon { slots: late });
                self.commit(slots, now, actions);
            }
            Some(Revocation { stage: Stage::Committing { deadline }, .. }) if now >= *deadline => {
                self.finish(now, actions);
            }
            _ => {}
        }
    }

    /// When `tick` has something to do at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.under_way.as_ref().map(|revocation| match &revocation.stage {
            Stage::Draining { deadline, .. } | Stage::Committing { deadline } => *deadline,
        })
    }

    /// The slot to which records of this partition go; none while the partition is being given up.
    pub(crate) fn slot(&self, partition: &P) -> Option<Slot> {
        self.assigned.get(partition).copied()
    }

    /// The partitions that are assigned and not being given up.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&P, Slot)> {
        self.assigned.iter().map(|(partition, slot)| (partition, *slot))
    }

    /// Whether a revocation, or a drain, is under way.
    #[cfg(test)]
    fn is_draining(&self) -> bool {
        self.under_way.is_some()
    }

    fn request(&mut self, request: Request<P>, now: Duration, actions: &mut Vec<Action<P>>) {
        self.waiting.push_back(request);
        self.proceed(now, actions);
    }

    fn proceed(&mut self, now: Duration, actions: &mut Vec<Action<P>>) {
        while self.under_way.is_none() && !self.closed {
            match self.waiting.pop_front() {
                None => return,
                Some(Request::Assign(partitions)) => {
                    for partition in &partitions {
                        if !self.assigned.contains_key(partition) {
                            self.start(partition.clone(), actions);
                        }
                    }
                    actions.push(Action::AnswerAssign { partitions });
                }
                Some(Request::Revoke(partitions)) => {
                    let slots = self.take(&partitions);
                    self.begin(Some(partitions), slots, now, actions);
                }
                Some(Request::Drain) => {
                    let slots = std::mem::take(&mut self.assigned).into_values().collect();
                    self.begin(None, slots, now, actions);
                }
            }
        }
    }

    fn start(&mut self, partition: P, actions: &mut Vec<Action<P>>) {
        self.next_slot += 1;
        let slot = Slot(self.next_slot);
        self.assigned.insert(partition.clone(), slot);
        actions.push(Action::Start { slot, partition });
    }

    fn take(&mut self, partitions: &[P]) -> Vec<Slot> {
        partitions.iter().filter_map(|partition| self.assigned.remove(partition)).collect()
    }

    fn begin(
        &mut self,
        answer: Option<Vec<P>>,
        slots: Vec<Slot>,
        now: Duration,
        actions: &mut Vec<Action<P>>,
    ) {
        let running: BTreeSet<Slot> = slots.iter().copied().filter(|slot| !self.ended.remove(slot)).collect();
        let deadline = now + self.timeouts.drain;
        let is_empty = running.is_empty();
        let stage = Stage::Draining { running, deadline };
        self.under_way = Some(Revocation { answer, slots: slots.clone(), stage });
        if is_empty {
            self.commit(slots, now, actions);
        } else {
            actions.push(Action::Stop { slots });
        }
    }

    fn commit(&mut self, slots: Vec<Slot>, now: Duration, actions: &mut Vec<Action<P>>) {
        if let Some(revocation) = &mut self.under_way {
            revocation.stage = Stage::Committing { deadline: now + self.timeouts.commit };
        }
        actions.push(Action::Commit { slots });
    }

    fn finish(&mut self, now: Duration, actions: &mut Vec<Action<P>>) {
        if let Some(revocation) = self.under_way.take() {
            actions.push(Action::Forget { slots: revocation.slots });
            match revocation.answer {
                Some(partitions) => actions.push(Action::AnswerRevoke { partitions }),
                None => self.close(actions),
            }
        }
        self.proceed(now, actions);
    }
}

impl<P> Rebalance<P> {
    fn close(&mut self, actions: &mut Vec<Action<P>>) {
        self.closed = true;
        self.waiting.clear();
        actions.push(Action::Drained);
    }
}

fn abandon<P>(slots: Vec<Slot>, actions: &mut Vec<Action<P>>) {
    if !slots.is_empty() {
        actions.push(Action::Abandon { slots: slots.clone() });
        actions.push(Action::Forget { slots });
    }
}

#[cfg(test)]
#[path = "rebalance_tests.rs"]
mod tests;
