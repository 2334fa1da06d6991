//! Sending commits, and what follows their answers.

use kafka_boot_client::{ClientError, ErrorCode, ErrorKind, PartitionOffset, PartitionResults};
use tracing::{error, info, warn};

use super::{PollExit, Poller};
use crate::config::model::CommitMode;
use crate::listener::committer::Answer;
use crate::listener::group_consumer::GroupConsumer;
use crate::listener::tracker::{Offer, Slot};

impl<C: GroupConsumer> Poller<C> {
    /// Sends what the committer wants sent.
    pub(super) fn send_commit(&mut self) {
        let now = self.now();
        let Some(offers) = self.committer.next(now, &self.tracker) else { return };
        let list: Vec<PartitionOffset> = offers.iter().filter_map(|offer| self.to_commit(offer)).collect();
        // A timer commits only what is ahead of the last commit, and a position may have been moved back.
        let is_waited_for =
            offers.iter().any(|offer| self.pinning.contains(&offer.slot) || self.is_confirming(offer.slot));
        if self.shared.options.plan.commit == CommitMode::Auto {
            // librdkafka's timer commits what is stored; what cannot be stored is no longer assigned.
            let stored = self.consumer.store_offsets(&list);
            if !is_waited_for || stored.is_err() {
                self.shared.metrics.commits.increment(1);
                self.commit_answered(&stored);
                return;
            }
        }
        let list = if self.commits_in_transactions() {
            // All else was committed before it was settled. Once more, it could overtake what was committed since.
            self.to_pin(&offers)
        } else {
            list
        };
        if list.is_empty() {
            return self.commit_answered(&Ok(Vec::new()));
        }
        self.shared.metrics.commits.increment(1);
        match self.consumer.commit(&list) {
            Ok(id) => self.commit_id = Some(id),
            Err(error) => self.commit_answered(&Err(error)),
        }
    }

    /// Whether lanes commit, each in its own transactions, and not the consumer.
    pub(super) fn commits_in_transactions(&self) -> bool {
        self.shared.options.plan.commit == CommitMode::Transaction
    }

    /// Where partitions start that are not read before that is committed.
    fn to_pin(&self, offers: &[Offer]) -> Vec<PartitionOffset> {
        let pinning = offers.iter().filter(|offer| self.pinning.contains(&offer.slot));
        pinning.filter_map(|offer| self.to_commit(offer)).collect()
    }

    /// An offer with what is done beyond it.
    fn to_commit(&self, offer: &Offer) -> Option<PartitionOffset> {
        let mut commit = PartitionOffset::new(self.partitions.get(&offer.slot)?.clone(), offer.offset);
        if !self.has_maps() || self.map_bytes_max == 0 {
            return Some(commit);
        }
        let map = self.tracker.settled_beyond(offer.slot).filter(|map| map.base() == offer.offset);
        let (text, is_whole) = map.map(|map| map.encode(self.map_bytes_max)).unwrap_or_default();
        if !is_whole && !text.is_empty() {
            // Admission keeps this from happening, except right after a take-over with another limit.
            warn!(listener = %self.shared.listener, partition = %commit.partition, bytes_max = self.map_bytes_max, "the offset map is too long: the records furthest ahead are left out, and would be handled again after a restart");
        }
        self.shared.metrics.map_bytes(&commit.partition, text.len());
        commit.metadata = Some(text).filter(|text| !text.is_empty());
        Some(commit)
    }

    /// A broker that keeps less metadata than is configured refuses the whole commit: go on without it.
    fn give_up_maps(&mut self, refusal: &ClientError) {
        if self.map_bytes_max > 0 && refusal.code() == Some(ErrorCode::OFFSET_METADATA_TOO_LARGE) {
            error!(listener = %self.shared.listener, bytes_max = self.map_bytes_max, "the broker refuses the offset map: set `offset-metadata-max-bytes` to its `offset.metadata.max.bytes`; until then, records finished out of order are handled again after a restart");
            self.map_bytes_max = 0;
        }
    }

    pub(super) fn commit_answered(&mut self, result: &Result<PartitionResults, ClientError>) {
        let first_refusal = result
            .as_ref()
            .map_or_else(Some, |results| results.iter().find_map(|(_, outcome)| outcome.as_ref().err()));
        if let Some(refusal) = first_refusal.cloned() {
            self.give_up_maps(&refusal);
            self.refuse_shared_group(&refusal);
        }
        let partitions = &self.partitions;
        let answer = |slot: Slot| {
            let Some(partition) = partitions.get(&slot) else { return Answer::Stale };
            match result {
                Err(error) => classify(error),
                Ok(results) => results
                    .iter()
                    .find(|(offset, _)| offset.partition == *partition)
                    .map_or(Answer::Confirmed, |(_, outcome)| {
                        outcome.as_ref().map_or_else(classify, |()| Answer::Confirmed)
                    }),
            }
        };
        let now = self.started.elapsed();
        let report = self.committer.answered(now, &mut self.tracker, answer);
        for offer in &report.confirmed {
            self.lanes.committed(*offer);
            self.pinned(offer.slot);
            if self.by_hand.is_some()
                && let Some(partition) = self.partitions.get(&offer.slot)
            {
                self.shared.positions.moved(partition, offer.offset);
            }
        }
        if report.stale > 0 {
            let offsets = report.stale;
            info!(listener = %self.shared.listener, group = %self.shared.group, offsets, "a commit was refused: this consumer is no member of the group any more");
        }
        if report.failed > 0 {
            self.shared.metrics.commit_failures.increment(1);
            let first = result.as_ref().err().map(ToString::to_string).or_else(|| {
                let results = result.as_ref().ok()?;
                results.iter().find_map(|(offset, outcome)| {
                    outcome.as_ref().err().map(|error| format!("{}: {error}", offset.partition))
                })
            });
            let error = first.unwrap_or_default();
            let retried = report.retried;
            self.shared.commit_failed(&error, retried);
        }
        if let Err(error) = result
            && error.kind() == &ErrorKind::Fenced
        {
            self.fail(PollExit::Client(error.clone()));
        }
    }
}

fn classify(error: &ClientError) -> Answer {
    match error.kind() {
        ErrorKind::NoOffset => Answer::Confirmed,
        // A client that has failed for good commits nothing any more.
        ErrorKind::UnknownMember | ErrorKind::Fenced | ErrorKind::Invalid | ErrorKind::Fatal => Answer::Stale,
        // Among these an illegal generation: with a cooperative protocol it may change while a commit is under way, and the
        // partition is still this member's. A membership that is over is told by the client, which ends the slot and with
        // it the retries. And an offset map that is too long: sent again, the commit comes without it.
        _ => Answer::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_member_that_another_one_has_replaced_is_not_started_again() {
        for (code, is_final) in [
            (ErrorCode::FENCED_INSTANCE_ID, true),
            (ErrorCode::FENCED_MEMBER_EPOCH, false),
            (ErrorCode::MAX_POLL_EXCEEDED, false),
            (ErrorCode::GROUP_AUTHORIZATION_FAILED, false),
        ] {
            let exit = PollExit::Client(ClientError::from_code("consume", code));
            assert_eq!(exit.is_final(), is_final, "{code}");
        }
    }

    /// Only what says that the membership is over, or that there was nothing to do, ends a commit.
    #[test]
    fn a_commit_that_is_not_there_is_sent_again_however_final_its_refusal_sounds() {
        let table = [
            (ErrorCode::NO_OFFSET, Answer::Confirmed),
            (ErrorCode::UNKNOWN_MEMBER_ID, Answer::Stale),
            (ErrorCode::FENCED_INSTANCE_ID, Answer::Stale),
            (ErrorCode::STATE, Answer::Stale),
            (ErrorCode::FATAL, Answer::Stale),
            (ErrorCode::ILLEGAL_GENERATION, Answer::Failed),
            (ErrorCode::STALE_MEMBER_EPOCH, Answer::Failed),
            (ErrorCode::REBALANCE_IN_PROGRESS, Answer::Failed),
            (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, Answer::Failed),
            (ErrorCode::NOT_COORDINATOR, Answer::Failed),
            (ErrorCode::TIMED_OUT, Answer::Failed),
            (ErrorCode::TRANSPORT, Answer::Failed),
            (ErrorCode::OFFSET_METADATA_TOO_LARGE, Answer::Failed),
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Answer::Failed),
            (ErrorCode::TOPIC_AUTHORIZATION_FAILED, Answer::Failed),
            (ErrorCode::GROUP_AUTHORIZATION_FAILED, Answer::Failed),
            (ErrorCode::UNKNOWN, Answer::Failed),
        ];
        for (code, answer) in table {
            assert_eq!(classify(&ClientError::from_code("commit offsets", code)), answer, "{code}");
        }
    }
}
