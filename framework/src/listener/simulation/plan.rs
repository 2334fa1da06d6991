//! What a seed decides: the listener's settings, what its records are like, and which faults may happen.
//!
//! Each kind of fault is left out of about half of the seeds (swarm testing): what one fault hides, another seed shows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use crate::config::TimeSpan;
use crate::config::model::{
    AckMode, AutoOffsetReset, CommitMode, ConsumerProperties, ErrorProperties, Exhausted, ListenerSettings,
    Ordering, SupervisionProperties,
};

pub(super) const TOPIC: &str = "t";
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
pub(super) const REBALANCE_TIMEOUT: Duration = Duration::from_secs(20);
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const AUTO_COMMIT_INTERVAL: Duration = Duration::from_millis(700);

/// One simulation.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Which kinds of faults may happen.
    pub(super) faults: Faults,
    /// Whether partitions move one by one, or all at once.
    pub(super) is_cooperative: bool,
    pub(super) is_batch: bool,
    pub(super) seats: usize,
    pub(super) partitions: i32,
    /// Records of all partitions: before the start, and while faults happen.
    pub(super) records_before: u64,
    pub(super) records_meanwhile: u64,
    pub(super) keys: u64,
    /// How long faults happen.
    pub(super) duration: Duration,
    pub(super) settings: ListenerSettings,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each fault is there or not, whatever the others are")]
pub(super) struct Faults {
    pub(super) crash: bool,
    pub(super) stop: bool,
    /// The group shares its partitions out anew, for no reason that a member knows.
    pub(super) rebalance: bool,
    /// The group throws a member out.
    pub(super) expire: bool,
    /// A member cannot be reached from the group for a while.
    pub(super) cut: bool,
    /// Nobody answers for a while.
    pub(super) outage: bool,
    /// Commits fail, or their answers do not come.
    pub(super) commit: bool,
    /// Looking committed offsets up fails.
    pub(super) look_up: bool,
    pub(super) pause: bool,
    pub(super) seek: bool,
    /// The poll thread stands still for a while.
    pub(super) stall: bool,
    pub(super) slow: bool,
    pub(super) fail: bool,
    pub(super) panic: bool,
    /// The topic of dead letters takes none.
    pub(super) letter: bool,
    pub(super) nack: bool,
    pub(super) late_ack: bool,
    pub(super) dropped_ack: bool,
    /// Offsets are missing.
    pub(super) gaps: bool,
}

impl Faults {
    pub(super) const NONE: Self = Self {
        crash: false,
        stop: false,
        rebalance: false,
        expire: false,
        cut: false,
        outage: false,
        commit: false,
        look_up: false,
        pause: false,
        seek: false,
        stall: false,
        slow: false,
        fail: false,
        panic: false,
        letter: false,
        nack: false,
        late_ack: false,
        dropped_ack: false,
        gaps: false,
    };

    fn some(dice: &mut Dice) -> Self {
        Self {
            crash: dice.chance(50),
            stop: dice.chance(50),
            rebalance: dice.chance(50),
            expire: dice.chance(35),
            cut: dice.chance(40),
            outage: dice.chance(30),
            commit: dice.chance(50),
            look_up: dice.chance(30),
            pause: dice.chance(40),
            seek: dice.chance(15),
            stall: dice.chance(40),
            slow: dice.chance(60),
            fail: dice.chance(50),
            panic: dice.chance(35),
            letter: dice.chance(40),
            nack: dice.chance(50),
            late_ack: dice.chance(50),
            dropped_ack: dice.chance(20),
            gaps: dice.chance(50),
        }
    }
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let faults = Faults::some(&mut dice);
        let ordering = dice.pick(&[Ordering::Partition, Ordering::Partition, Ordering::Key, Ordering::None]);
        let is_batch = ordering == Ordering::Partition && dice.chance(35);
        let commit = dice.pick(&[
            CommitMode::Sync,
            CommitMode::Sync,
            CommitMode::Async,
            CommitMode::Manual,
            CommitMode::Auto,
        ]);
        let seats = dice.index(3) + 1 + usize::from(dice.chance(20));
        Self {
            seed,
            faults,
            is_cooperative: dice.chance(50),
            is_batch,
            seats,
            partitions: i32::try_from(dice.between(1, 6)).unwrap_or(1),
            records_before: dice.between(5, 80),
            records_meanwhile: dice.between(5, 80),
            keys: dice.between(1, 8),
            duration: Duration::from_secs(dice.between(5, 25)),
            settings: settings(&mut dice, commit, ordering),
        }
    }

    pub(super) fn is_manual(&self) -> bool {
        self.settings.consumer.ack_mode.is_manual()
    }

    pub(super) fn starts_at_latest(&self) -> bool {
        self.settings.consumer.auto_offset_reset == AutoOffsetReset::Latest
    }

    pub(super) fn is_auto(&self) -> bool {
        self.settings.consumer.commit == CommitMode::Auto
    }

    /// Whether each record waits for its own commit before the next one of its lane.
    pub(super) fn waits_for_commit(&self) -> bool {
        let consumer = &self.settings.consumer;
        consumer.ack_mode == AckMode::Record && consumer.commit == CommitMode::Sync
    }

    /// Whether all that is done is committed by and by, even if nothing follows it.
    pub(super) fn commits_all(&self) -> bool {
        let consumer = &self.settings.consumer;
        consumer.commit != CommitMode::Async && consumer.ack_mode != AckMode::Count
    }
}

fn settings(dice: &mut Dice, commit: CommitMode, ordering: Ordering) -> ListenerSettings {
    let manual = [AckMode::Manual, AckMode::ManualImmediate];
    let any = [
        AckMode::Record,
        AckMode::Batch,
        AckMode::Batch,
        AckMode::Time,
        AckMode::Count,
        AckMode::CountTime,
        AckMode::Manual,
        AckMode::ManualImmediate,
    ];
    let ack_mode = match commit {
        // Transactions are not simulated.
        CommitMode::Auto | CommitMode::Transaction => AckMode::Batch,
        CommitMode::Manual => dice.pick(&manual),
        CommitMode::Sync | CommitMode::Async => dice.pick(&any),
    };
    let consumer = ConsumerProperties {
        group_id: Some("g".to_owned()),
        auto_offset_reset: if dice.chance(15) { AutoOffsetReset::Latest } else { AutoOffsetReset::Earliest },
        commit,
        ack_mode,
        ack_count: u32::try_from(dice.between(1, 20)).unwrap_or(1),
        ack_time: TimeSpan::from_millis(dice.between(100, 3000)),
        commit_timeout: COMMIT_TIMEOUT.into(),
        max_poll_records: u32::try_from(dice.between(1, 12)).unwrap_or(1),
        poll_timeout: TimeSpan::from_secs(1),
        max_in_flight: u32::try_from(dice.between(1, 32)).unwrap_or(1),
        drain_timeout: DRAIN_TIMEOUT.into(),
        ..ConsumerProperties::default()
    };
    let mut error = ErrorProperties::default();
    throw_errors(dice, &mut error);
    ListenerSettings {
        id: "simulated".to_owned(),
        cluster: None,
        topics: vec![TOPIC.to_owned()],
        topic_pattern: None,
        partitions: BTreeMap::new(),
        ordering,
        send_to: None,
        consumer,
        error,
        supervision: SupervisionProperties::default(),
    }
}

/// How failures are dealt with; what is not thrown stays as it is by default.
fn throw_errors(dice: &mut Dice, error: &mut ErrorProperties) {
    error.attempts = u32::try_from(dice.between(1, 4)).unwrap_or(1);
    error.backoff.initial = TimeSpan::from_millis(dice.between(0, 300));
    error.backoff.max = TimeSpan::from_secs(1);
    // Jitter is thrown by nobody's seed.
    error.backoff.jitter = 0.0;
    error.then = dice.pick(&[Exhausted::Skip, Exhausted::Stop, Exhausted::DeadLetter, Exhausted::DeadLetter]);
}
