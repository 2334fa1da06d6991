//! What a simulation's history tells of the situations that the incidents are about.

use std::collections::{HashMap, HashSet};

use kafka_boot::__simulation::{AttemptOutcome, Note, Simulated};

/// What matters of a history.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) ended: Vec<End>,
    /// Acknowledgements of an assignment that was over when they came, while the partition was assigned again.
    pub(crate) stale_acks: usize,
    /// Partitions that were to be given up while the same consumer had handlers at work and a commit under way.
    pub(crate) asked_in_flight: usize,
    /// Assignments that began or ended while the same consumer kept another partition that had records waiting.
    pub(crate) others_moved: usize,
    /// How often a partition went to another consumer.
    pub(crate) handed_over: usize,
    /// How often a partition came back to a consumer after another one had it.
    pub(crate) returned: usize,
    /// Assignments of partitions that had records waiting.
    pub(crate) assigned_with_backlog: usize,
    /// Attempts that failed or panicked.
    pub(crate) failed: usize,
    /// Commits that were refused or whose answer did not come.
    pub(crate) failed_commits: usize,
    /// Consumers that were told to stop while records came.
    pub(crate) stopped: usize,
}

/// The end of an assignment of one partition.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// How many records were produced and not attempted.
    pub(crate) backlog: i64,
    /// The consumer was not asked before.
    pub(crate) is_lost: bool,
    /// Something was done and not committed.
    pub(crate) is_uncommitted: bool,
}

impl Story {
    pub(crate) fn of(simulated: &Simulated) -> Self {
        let mut reader = Reader::default();
        for (_, note) in &simulated.notes {
            reader.read(note);
        }
        reader.story
    }
}

/// What is known while a history is read.
#[derive(Debug, Default)]
struct Reader {
    story: Story,
    partitions: HashMap<i32, Partition>,
    /// Commits without an answer, by consumer.
    committing: HashMap<u32, usize>,
}

#[derive(Debug, Default)]
struct Partition {
    end: i64,
    /// The current one.
    assignment: Option<u32>,
    owners: Vec<u32>,
    at_work: HashSet<i64>,
    attempted_to: i64,
    done_to: i64,
    committed_to: i64,
}

impl Partition {
    fn is_waiting(&self) -> bool {
        self.end > self.attempted_to
    }
}

impl Reader {
    fn read(&mut self, note: &Note) {
        match note {
            Note::Produced { partition, offset, .. } => self.partition(*partition).end = offset + 1,
            Note::Asked { consumer, what, .. } if *what != "assign" => self.asked(*consumer),
            Note::Assigned { consumer, assignment, partition } => {
                self.assigned(*consumer, *partition);
                self.partition(*partition).assignment = Some(*assignment);
            }
            Note::Acknowledged { assignment, partition, .. } => {
                let current = self.partition(*partition).assignment;
                self.story.stale_acks += usize::from(current.is_some_and(|current| current != *assignment));
            }
            Note::Revoked { consumer, partition, .. } | Note::Crashed { consumer, partition, .. } => {
                self.ended(*consumer, *partition, false);
            }
            Note::Lost { consumer, partition, .. } => self.ended(*consumer, *partition, true),
            Note::AttemptStarted { partition, offset, .. } => {
                let partition = self.partition(*partition);
                partition.at_work.insert(*offset);
                partition.attempted_to = partition.attempted_to.max(offset + 1);
            }
            Note::AttemptEnded { partition, offset, outcome, .. } => {
                self.attempted(*partition, *offset, *outcome);
            }
            Note::CommitSent { consumer, .. } => *self.committing.entry(*consumer).or_default() += 1,
            Note::CommitAccepted { partition, offset, .. } => {
                self.partition(*partition).committed_to = *offset;
            }
            Note::CommitAnswered { consumer, answer, .. } => {
                self.committing.remove(consumer);
                self.story.failed_commits += usize::from(answer != "[]");
            }
            Note::Fault { what: "stop", consumer: Some(_), .. } => self.story.stopped += 1,
            _ => {}
        }
    }

    fn partition(&mut self, number: i32) -> &mut Partition {
        self.partitions.entry(number).or_default()
    }

    fn asked(&mut self, consumer: u32) {
        let is_committing = self.committing.get(&consumer).is_some_and(|count| *count > 0);
        let is_at_work = self
            .partitions
            .values()
            .any(|partition| partition.owners.last() == Some(&consumer) && !partition.at_work.is_empty());
        self.story.asked_in_flight += usize::from(is_committing && is_at_work);
    }

    fn assigned(&mut self, consumer: u32, number: i32) {
        self.story.others_moved += usize::from(self.keeps_waiting(consumer, number));
        let partition = self.partitions.entry(number).or_default();
        let last = partition.owners.last().copied();
        self.story.handed_over += usize::from(last.is_some_and(|last| last != consumer));
        self.story.returned += usize::from(last != Some(consumer) && partition.owners.contains(&consumer));
        partition.owners.push(consumer);
        let start = partition.committed_to;
        (partition.attempted_to, partition.done_to) = (start, start);
        partition.at_work.clear();
        self.story.assigned_with_backlog += usize::from(partition.is_waiting());
    }

    fn ended(&mut self, consumer: u32, number: i32, is_lost: bool) {
        self.story.others_moved += usize::from(self.keeps_waiting(consumer, number));
        let partition = self.partitions.entry(number).or_default();
        partition.assignment = None;
        self.story.ended.push(End {
            backlog: partition.end - partition.attempted_to,
            is_lost,
            is_uncommitted: partition.done_to > partition.committed_to,
        });
    }

    fn attempted(&mut self, number: i32, offset: i64, outcome: AttemptOutcome) {
        let partition = self.partition(number);
        partition.at_work.remove(&offset);
        match outcome {
            AttemptOutcome::Done => partition.done_to = partition.done_to.max(offset + 1),
            AttemptOutcome::Error | AttemptOutcome::Panic => self.story.failed += 1,
            AttemptOutcome::Skipped | AttemptOutcome::Dropped => {}
        }
    }

    /// Whether a consumer has another partition with records that it has not begun.
    fn keeps_waiting(&self, consumer: u32, moved: i32) -> bool {
        let mut others = self.partitions.iter().filter(|(number, _)| **number != moved);
        others.any(|(_, other)| other.owners.last() == Some(&consumer) && other.is_waiting())
    }
}
