//! What others ask of a poll thread while it runs, each with a place for the answer.
//!
//! # Invariants
//! 1. The box is bounded: who asks waits for room.
//! 2. Every request is answered, or its place for the answer dropped, when the poll thread ends at the latest.

use std::sync::{Mutex, PoisonError};

use kafka_boot_client::{ClientError, GroupMetadata, TopicPartition};
use tokio::sync::{mpsc, oneshot};

use super::control::SeekTo;
use super::room::Room;
use super::tracker::Slot;

/// How many requests may wait for a poll thread.
const REQUESTS_MAX: usize = 16;

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What is asked of a poll thread.
#[derive(Debug)]
pub(crate) enum Request {
    /// Take no more records of a partition.
    PausePartition { partition: TopicPartition, reply: Reply<()> },
    /// Take records of a partition again that is no longer among those to pause.
    ResumePartition { partition: TopicPartition, reply: Reply<()> },
    /// Go on with a partition elsewhere; the answer is the offset.
    Seek { partition: TopicPartition, to: SeekTo, reply: Reply<i64> },
    /// Tell who this consumer is in its group, as long as the slot's lane may still make something of it.
    Membership { slot: Slot, reply: Reply<GroupMetadata> },
    /// Take in more from now on, or less.
    Resize(Room),
}

/// Why a poll thread did not do what it was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The partition is not this consumer's.
    NotAssigned,
    /// The group took the partition back meanwhile.
    TakenBack,
    /// A later request of the same kind took its place.
    Superseded,
    /// There is no such offset.
    OutOfRange { offset: i64, first: i64, end: i64 },
    /// The position was moved; its commit is not confirmed.
    NotCommitted { offset: i64 },
    /// The client could not do it.
    Client(ClientError),
}

/// A poll thread's box of requests.
#[derive(Debug)]
pub(crate) struct RequestBox {
    sender: mpsc::Sender<Request>,
    receiver: Mutex<mpsc::Receiver<Request>>,
}

impl RequestBox {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        Self { sender, receiver: Mutex::new(receiver) }
    }

    /// Asks something, as soon as there is room; an error if the poll thread has ended.
    pub(crate) async fn put(&self, request: Request) -> Result<(), Refusal> {
        self.sender.send(request).await.map_err(|_| Refusal::NotAssigned)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }

    pub(crate) fn take(&self) -> Option<Request> {
        if self.is_empty() {
            return None;
        }
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }

    /// The poll thread has ended: drops what is in the box, and takes nothing more.
    pub(crate) fn close(&self) {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.close();
        while receiver.try_recv().is_ok() {}
    }
}
