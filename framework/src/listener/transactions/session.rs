//! One lane's transactional producer: taken over, begun with, committed, aborted, and made anew after it failed for good.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kafka_boot_client::{
    ClientError, ErrorCode, ErrorKind, GroupMetadata, PartitionOffset, Producer, TopicPartition,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::LaneTransactions;
use crate::beans::KafkaTemplate;
use crate::error::HandlerError;
use crate::listener::lanes::{Lane, LaneShared};
use crate::listener::requests::Request;
use crate::policy::Backoff;
use crate::record::Chunk;

/// How long one step of a transaction waits before it is tried again.
const STEP: Duration = Duration::from_secs(5);
/// The pause before a step is tried again that could not wait by itself.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// How long a lane that was told to stop goes on with a step.
const LAST_STEP: Duration = Duration::from_mins(1);
/// The waits after transactions that were not committed, through no fault of their records.
const INITIAL_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After how many such failures in a row the consumer is started again.
const FAILURES_MAX: u32 = 12;

/// How the end of a transaction went.
pub(super) enum Ended {
    Committed,
    /// Nothing of it is to be seen: it may be made again.
    Undone(Undone),
    /// The lane ends.
    Over,
}

/// Why a transaction was not committed.
pub(super) enum Undone {
    /// A record that was sent in it could not be written, or its handler took longer than it may be open.
    Records(HandlerError),
    /// The group, the cluster, or another producer of this name.
    Others,
}

/// A lane with its producer.
pub(super) struct Session<'l> {
    pub(super) lane: &'l mut Lane,
    pub(super) shared: Arc<LaneShared>,
    /// `None` before the first, and after one that failed for good.
    template: Option<Arc<KafkaTemplate>>,
    /// How many transactions in a row were not committed, through no fault of their records.
    failures: u32,
    backoff: Backoff,
    /// When the open transaction began.
    began: Instant,
}

impl<'l> Session<'l> {
    pub(super) fn new(lane: &'l mut Lane) -> Self {
        let shared = lane.shared();
        let backoff = Backoff::new(INITIAL_WAIT, 2.0, LONGEST_WAIT, 0.2);
        Self { lane, shared, template: None, failures: 0, backoff, began: Instant::now() }
    }

    /// Has a producer that has taken its name over; `false` if the lane ends instead.
    ///
    /// That ends at once what the partition's last owner has left open, which else holds the group's offset back, and all
    /// who read committed records, for as long as a transaction may take.
    pub(super) async fn take_over(&mut self) -> bool {
        while self.template.is_none() {
            if self.lane.is_stopping() {
                return false;
            }
            // Who is not the owner any more must not fence the one who is.
            let taken = match self.membership().await {
                Some(_) => self.producer().await,
                None => Ok(None),
            };
            match taken {
                Ok(template) if template.is_some() => {
                    self.template = template;
                    return true;
                }
                Ok(_) => {}
                Err(error) if error.is_retriable() => self.complain("take over the transactions", &error),
                Err(error) => {
                    let message = "its transactional producer cannot be used";
                    self.lane.fail(HandlerError::msg(format!("{message}: {error}")));
                    return false;
                }
            }
            if !self.pause().await {
                return false;
            }
        }
        true
    }

    /// Begins a transaction; `None` if the lane ends instead.
    pub(super) async fn begin(&mut self) -> Option<Arc<KafkaTemplate>> {
        loop {
            if !self.take_over().await {
                return None;
            }
            let template = Arc::clone(self.template.as_ref()?);
            match template.producer().begin_transaction() {
                Ok(()) => {
                    self.began = Instant::now();
                    return Some(template);
                }
                Err(error) => {
                    self.complain("begin a transaction", &error);
                    self.template = None;
                    if !self.pause().await {
                        return None;
                    }
                }
            }
        }
    }

    /// Commits the open transaction with the offset behind the record at `last`.
    pub(super) async fn commit(&mut self, template: &KafkaTemplate, chunk: &Chunk, last: usize) -> Ended {
        let was_open_for = self.began.elapsed();
        let mut ended = self.try_to_commit(template.producer(), chunk, last).await;
        let limit = self.transactions().spec.timeout;
        if was_open_for > limit && matches!(ended, Ended::Undone(Undone::Others)) {
            // It would be so again each time.
            let message = format!(
                "its transaction was open for {was_open_for:.1?}, and the broker aborts it after {limit:?}: raise `transaction.timeout.ms` of the producer's `properties`"
            );
            ended = Ended::Undone(Undone::Records(HandlerError::msg(message)));
        }
        let metrics = &self.shared.metrics;
        metrics.commits.increment(1);
        if !matches!(ended, Ended::Committed) {
            metrics.commit_failures.increment(1);
        }
        match ended {
            Ended::Committed => self.failures = 0,
            Ended::Undone(Undone::Others) if !self.pause().await => return Ended::Over,
            Ended::Undone(_) | Ended::Over => {}
        }
        ended
    }

    async fn try_to_commit(&mut self, producer: &Producer, chunk: &Chunk, last: usize) -> Ended {
        // So that what cannot be written is told by its own error. What takes longer is waited for by the commit.
        let _ = producer.flush(STEP).await;
        let Some(member) = self.membership().await else {
            debug!(listener = %self.shared.listener, partition = %self.lane.partition(), "a transaction is aborted: the partition is not this consumer's any more");
            self.abort(producer).await;
            return Ended::Undone(Undone::Others);
        };
        let partition = TopicPartition::new(&*chunk.topic, chunk.partition);
        let offsets = [PartitionOffset::new(partition, chunk.records[last].offset() + 1)];
        if let Err(error) = self.tried(|| producer.send_offsets(&offsets, &member, STEP)).await {
            // Its end was never asked for, so it is not committed.
            self.abort(producer).await;
            return Ended::Undone(self.undone(error));
        }
        let error = match self.tried(|| producer.commit_transaction(STEP)).await {
            Ok(()) => return Ended::Committed,
            Err(error) => error,
        };
        // An abort that the cluster has confirmed is proof that it was not committed.
        if error.requires_abort() && self.abort(producer).await {
            return Ended::Undone(self.undone(error));
        }
        self.template = None;
        if !self.lane.is_stopping() {
            let message = format!(
                "nobody knows whether its transaction up to offset {} was committed ({error}): the consumer goes on from what is",
                offsets[0].offset - 1
            );
            self.lane.fail(HandlerError::msg(message));
        }
        Ended::Over
    }

    /// Aborts the open transaction; `false` if nobody has confirmed that. The next producer of its name does it then.
    pub(super) async fn abort(&mut self, producer: &Producer) -> bool {
        match self.tried(|| producer.abort_transaction(STEP)).await {
            Ok(()) => true,
            Err(error) => {
                debug!(listener = %self.shared.listener, partition = %self.lane.partition(), %error, "a transaction is left to be aborted by the next producer of its name");
                self.template = None;
                false
            }
        }
    }

    /// Waits before the next transaction, longer each time; `false` if the lane ends instead.
    pub(super) async fn pause(&mut self) -> bool {
        self.failures += 1;
        if self.failures > FAILURES_MAX {
            let message = format!("{FAILURES_MAX} transactions in a row could not be committed");
            self.lane.fail(HandlerError::msg(message));
            return false;
        }
        let delay = self.backoff.delay(self.failures);
        self.lane.wait_for_retry(delay).await
    }

    fn undone(&self, error: ClientError) -> Undone {
        self.complain("commit a transaction", &error);
        if error.requires_abort() && !is_of_the_cluster(&error) {
            Undone::Records(error.into())
        } else {
            Undone::Others
        }
    }

    fn complain(&self, what: &str, error: &ClientError) {
        warn!(listener = %self.shared.listener, partition = %self.lane.partition(), %error, "could not {what}: it is tried again");
    }

    /// Who the consumer is in its group, as long as the lane's partition is the consumer's.
    async fn membership(&self) -> Option<GroupMetadata> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Membership { slot: self.lane.slot(), reply };
        self.transactions().requests.put(request).await.ok()?;
        self.shared.settlements.wake();
        answer.await.ok()?.ok()
    }

    fn transactions(&self) -> &LaneTransactions {
        match &self.shared.transactions {
            Some(transactions) => transactions,
            None => unreachable!("only a lane with transactions has a session"),
        }
    }

    /// A producer that has fenced the one before; `None` if the lane is told to stop meanwhile.
    async fn producer(&self) -> Result<Option<Arc<KafkaTemplate>>, ClientError> {
        let template = self.transactions().template(self.lane.partition())?;
        let initialised = self.tried(|| template.producer().init_transactions(STEP));
        tokio::select! {
            initialised = initialised => initialised.map(|()| Some(Arc::new(template))),
            () = self.lane.told_to_stop_for(Duration::ZERO) => Ok(None),
        }
    }

    /// Tries a step again for as long as that can help and the lane goes on, or not for long after.
    async fn tried<Fut>(&self, step: impl Fn() -> Fut) -> Result<(), ClientError>
    where
        Fut: Future<Output = Result<(), ClientError>>,
    {
        let mut stopping_since = None;
        loop {
            let error = match step().await {
                Err(error) if error.is_retriable() => error,
                outcome => return outcome,
            };
            if self.lane.is_stopping()
                && stopping_since.get_or_insert_with(Instant::now).elapsed() >= LAST_STEP
            {
                return Err(error);
            }
            debug!(listener = %self.shared.listener, partition = %self.lane.partition(), %error, "a step of a transaction is tried again");
            tokio::time::sleep(STEP_PAUSE).await;
        }
    }
}

/// Whether a transaction was refused for what became of the membership, of the access to the group, or of the brokers: its
/// records have no part in that.
fn is_of_the_cluster(error: &ClientError) -> bool {
    let by_kind = matches!(
        error.kind(),
        ErrorKind::AllBrokersDown
            | ErrorKind::Transport
            | ErrorKind::Timeout
            | ErrorKind::RebalanceInProgress
            | ErrorKind::IllegalGeneration
            | ErrorKind::UnknownMember
            | ErrorKind::Fenced
    );
    let by_code = matches!(
        error.code(),
        Some(
            ErrorCode::GROUP_AUTHORIZATION_FAILED
                | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::NOT_COORDINATOR
        )
    );
    by_kind || by_code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_fails_for_its_records_or_for_what_became_of_group_and_brokers() {
        let of_the_cluster = [
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::FENCED_INSTANCE_ID,
            ErrorCode::STALE_MEMBER_EPOCH,
            ErrorCode::FENCED_MEMBER_EPOCH,
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::GROUP_AUTHORIZATION_FAILED,
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ErrorCode::PRODUCER_FENCED,
            ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::TIMED_OUT,
            ErrorCode::MESSAGE_TIMED_OUT,
            ErrorCode::TRANSPORT,
            ErrorCode::ALL_BROKERS_DOWN,
        ];
        for code in of_the_cluster {
            assert!(is_of_the_cluster(&ClientError::from_code("commit", code)), "{code}");
        }
        let of_records = [
            ErrorCode::MESSAGE_TOO_LARGE,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_PARTITION,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            ErrorCode::CORRUPT_MESSAGE,
        ];
        for code in of_records {
            assert!(!is_of_the_cluster(&ClientError::from_code("commit", code)), "{code}");
        }
    }
}
