//! Leaving the group, without ever hanging.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka_sys as rdsys;

use super::{Consumer, ConsumerEvent, Protocol};
use crate::error::{ClientError, ErrorKind};
use crate::native::{ClientRef, millis};

/// How long a consumer that nobody waits for any more may take to leave its group.
const BACKGROUND_DEADLINE: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Consumer {
    /// Leaves the group and closes the consumer, waiting at most `deadline`.
    ///
    /// Events, the final [`ConsumerEvent::Revoke`] among them, go to `on_event`, which may still commit. A rebalance
    /// that it does not answer is answered for it, by giving the partitions up. Records not yet polled are dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] after the deadline: the rest then happens in the background. Otherwise the error that
    /// had ended the consumer before.
    pub fn close(
        mut self,
        deadline: Duration,
        mut on_event: impl FnMut(&Consumer, ConsumerEvent),
    ) -> Result<(), ClientError> {
        let started = Instant::now();
        self.start_close()?;
        let (mut records, mut events) = (Vec::new(), Vec::new());
        while !is_closed(&self.client) {
            let remaining = deadline.saturating_sub(started.elapsed());
            if remaining.is_zero() {
                let message = format!("close consumer: not done within {deadline:?}, left to the background");
                return Err(ClientError::of_kind(ErrorKind::Timeout, message));
            }
            // A fatal error does not keep the group from being left.
            let _ = self.poll(1_000, remaining.min(POLL_INTERVAL), &mut records, &mut events);
            records.clear();
            for event in events.drain(..) {
                self.hand_over(event, &mut on_event);
            }
        }
        // Answers to the last commits may have come together with the end.
        while let Some(event) = self.client.next_event(Duration::ZERO) {
            if let Some(event) = self.translate(&event) {
                on_event(&self, event);
            }
        }
        self.closed = true;
        Ok(())
    }

    fn start_close(&self) -> Result<(), ClientError> {
        // SAFETY: client and queue are live; the error, if any, is taken over. Naming the queue that is polled anyway
        // keeps rebalances coming the way they always came.
        unsafe {
            let error = rdsys::rd_kafka_consumer_close_queue(self.client.as_ptr(), self.queue.as_ptr());
            ClientError::check("close consumer", error)
        }
    }

    fn hand_over(&self, event: ConsumerEvent, on_event: &mut impl FnMut(&Consumer, ConsumerEvent)) {
        let revoked = match &event {
            ConsumerEvent::Revoke { partitions, .. } => partitions.clone(),
            _ => Vec::new(),
        };
        on_event(self, event);
        if !self.answer_pending.get() {
            return;
        }
        let answered = if self.rebalance_protocol() == Protocol::Cooperative && !revoked.is_empty() {
            self.incremental_unassign(&revoked)
        } else {
            self.unassign_all()
        };
        if let Err(error) = answered {
            self.client.context().log_error(&error);
        }
    }

    /// Lets a thread of its own finish: nobody waits, and every rebalance is answered by giving partitions up.
    fn finish_in_background(&mut self) {
        self.client.context().abandon();
        let background = Background { client: self.client.clone() };
        let answer_pending =
            self.answer_pending.get() || !mem::take(&mut *self.client.context().rebalances()).is_empty();
        let spawned = thread::Builder::new()
            .name("kafka-close".to_owned())
            .spawn(move || background.run(answer_pending));
        if let Err(error) = spawned {
            tracing::error!(target: "kafka_boot::client", %error, "no thread to close a Kafka consumer on");
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.waker.disconnect();
        if !self.closed {
            self.finish_in_background();
        }
    }
}

fn is_closed(client: &ClientRef) -> bool {
    // SAFETY: the client is live.
    unsafe { rdsys::rd_kafka_consumer_closed(client.as_ptr()) != 0 }
}

/// A consumer without an owner.
struct Background {
    client: ClientRef,
}

impl Background {
    fn run(self, answer_pending: bool) {
        let started = Instant::now();
        let client = self.client.as_ptr();
        let queue = self.client.consumer_queue();
        // SAFETY: client and queue are live, and only this thread polls them now. Closing twice is refused by librdkafka
        // and does no harm. Messages are destroyed as they come.
        unsafe {
            let error = rdsys::rd_kafka_consumer_close_queue(client, queue);
            let _ = ClientError::check("close consumer", error);
            if answer_pending {
                // While the group is being left any assignment counts as giving up, whatever the protocol.
                rdsys::rd_kafka_assign(client, std::ptr::null());
            }
            let mut message = std::ptr::null_mut();
            while !is_closed(&self.client) && started.elapsed() < BACKGROUND_DEADLINE {
                let count =
                    rdsys::rd_kafka_consume_batch_queue(queue, millis(POLL_INTERVAL), &raw mut message, 1);
                if count == 1 {
                    rdsys::rd_kafka_message_destroy(message);
                }
                while self.client.next_event(Duration::ZERO).is_some() {}
            }
        }
    }
}
