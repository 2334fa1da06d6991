//! Ends a poll in progress from another thread.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka_sys as rdsys;

/// Ends a poll of its consumer: the one in progress, or else the next one. Does nothing once the consumer is closed,
/// and does not keep it alive.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Mutex<Target>>);

#[derive(Debug)]
struct Target(Option<NonNull<rdsys::rd_kafka_queue_t>>);

// SAFETY: queues may be yielded from any thread.
unsafe impl Send for Target {}

impl Waker {
    pub(super) fn new(queue: NonNull<rdsys::rd_kafka_queue_t>) -> Self {
        Self(Arc::new(Mutex::new(Target(Some(queue)))))
    }

    /// Makes the poll return at once.
    pub fn wake(&self) {
        let target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = target.0 {
            // SAFETY: the consumer disconnects its wakers, under this lock, before it lets go of the queue.
            unsafe { rdsys::rd_kafka_queue_yield(queue.as_ptr()) };
        }
    }

    pub(super) fn disconnect(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
    }
}
