//! A member of a group of the new protocol, and how it gets from what it has to what it is to have.

use std::collections::BTreeSet;

use bytes::Bytes;
use uuid::Uuid;

/// A partition, by the id of its topic.
pub(crate) type TopicPartition = (Uuid, i32);

/// Some partitions.
pub(crate) type Partitions = BTreeSet<TopicPartition>;

/// The epoch of a member that is about to join.
pub(crate) const JOINING: i32 = 0;

/// The epoch with which a static member leaves its place to its next incarnation. Who leaves for good says -1.
pub(crate) const LEAVING_FOR_A_WHILE: i32 = -2;

/// A member of a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: BTreeSet<String>,
    /// A regular expression of the topics that it wants beside those it names.
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<super::Assignor>,
    pub(crate) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(crate) progress: Progress,
    /// What is its own: it has been told so, or is with the next answer.
    pub(crate) assigned: Partitions,
    /// What it has been told to give up, and has not yet said that it did.
    pub(super) revoking: Partitions,
    pub(super) rebalance_timeout_ms: u64,
    pub(super) session_ends_ms: u64,
    /// What it is beside, if it speaks the classic protocol.
    pub(crate) classic: Option<ClassicSide>,
    /// Until when it has to have given up what it is to give up.
    pub(super) revocation_ends_ms: Option<u64>,
}

/// What is known of a member that speaks the classic protocol.
#[derive(Debug, Clone)]
pub(crate) struct ClassicSide {
    pub(super) session_timeout_ms: u64,
    /// By preference.
    pub(super) protocols: Vec<(String, Bytes)>,
    /// Until when it has to join again, or to ask for its assignment.
    pub(super) step_ends_ms: Option<u64>,
}

impl ClassicSide {
    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// Where a member is between two target assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Progress {
    #[default]
    Stable,
    /// It has to give something up before it gets anything.
    Unrevoked,
    /// It waits for what others have to give up.
    Unreleased,
}

/// Where a member is to get.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) epoch: i32,
    pub(super) partitions: &'a Partitions,
    /// What others hold.
    pub(super) taken: Partitions,
}

impl Member {
    pub(super) fn is_reconciled(&self, target_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == target_epoch
    }

    /// Whether it may own a partition, as far as anybody can know.
    pub(super) fn holds(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.union(&self.revoking)
    }

    /// When it is a member no longer, unless it says something before.
    pub(super) fn next_deadline(&self) -> u64 {
        let step_ends_ms = self.classic.as_ref().and_then(|side| side.step_ends_ms);
        let others = self.revocation_ends_ms.into_iter().chain(step_ends_ms);
        others.fold(self.session_ends_ms, u64::min)
    }

    /// Takes the next step towards its target, where one is possible. `taken` is what other members hold, `owned` what
    /// the member says that it owns, if it says so. Whether a step was taken is returned.
    pub(super) fn reconcile(&mut self, target: &Target<'_>, owned: Option<&Partitions>) -> bool {
        let mut epoch = self.epoch;
        if self.progress == Progress::Unrevoked {
            if still_owns(owned, &self.revoking) {
                return false;
            }
            // What it was to give up is gone, which is an epoch of its own.
            epoch += 1;
        }
        let surplus: Partitions = self.assigned.difference(target.partitions).copied().collect();
        self.assigned.retain(|partition| target.partitions.contains(partition));
        if !surplus.is_empty() && still_owns(owned, &surplus) {
            self.revoking = surplus;
            self.advance(epoch, Progress::Unrevoked);
            return true;
        }
        self.revoking.clear();
        self.assigned.extend(target.partitions.difference(&target.taken).copied());
        let complete = self.assigned.len() == target.partitions.len();
        self.advance(target.epoch, if complete { Progress::Stable } else { Progress::Unreleased });
        true
    }

    /// Goes to an epoch. The one before stays valid until the member shows that it knows of the new one.
    pub(super) fn advance(&mut self, epoch: i32, progress: Progress) {
        if self.epoch != epoch {
            self.previous_epoch = self.epoch;
        }
        self.epoch = epoch;
        self.progress = progress;
    }
}

/// Who does not say what it owns may own everything.
fn still_owns(owned: Option<&Partitions>, partitions: &Partitions) -> bool {
    owned.is_none_or(|owned| !owned.is_disjoint(partitions))
}
