//! The thread of a producer: serves delivery reports in batches, and sees the producer off.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use rdkafka_sys as rdsys;

use super::Shared;
use super::slot::{Place, Slot};
use crate::error::{ClientError, ErrorCode};
use crate::event::{ClientEvent, EventSink, shield};
use crate::native::Event;
use crate::record::Timestamp;

/// How long the thread sleeps when nothing happens; closing wakes it.
const IDLE: Duration = Duration::from_secs(1);

/// Past `message.timeout.ms`, for librdkafka to notice that it has passed.
const MARGIN: Duration = Duration::from_secs(5);

/// How long purged records may take to report.
const PURGE_DEADLINE: Duration = Duration::from_secs(5);

/// After how many outcomes those who wait for them are woken. Woken one by one, a task that awaits its deliveries in turn would
/// overtake this thread, find the next one open, and have to be woken again.
const WAKE_EVERY: usize = 128;

pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) on_event: EventSink,
    pub(super) on_in_flight: Box<dyn FnMut(usize) + Send>,
    /// What was told last.
    pub(super) told_in_flight: usize,
    /// `message.timeout.ms`.
    pub(super) delivery_timeout: Duration,
}

impl Driver {
    /// Runs until the last handle is gone and every record has its outcome.
    pub(super) fn run(mut self) {
        while !self.shared.closing.load(Ordering::Acquire) {
            self.serve(IDLE);
        }
        self.serve_until_empty(self.delivery_timeout + MARGIN);
        if self.shared.in_flight() > 0 {
            // Without a timeout of their own the rest could keep their callers waiting for ever.
            // SAFETY: the client is live.
            unsafe {
                rdsys::rd_kafka_purge(
                    self.shared.client.as_ptr(),
                    rdsys::RD_KAFKA_PURGE_F_QUEUE | rdsys::RD_KAFKA_PURGE_F_INFLIGHT,
                );
            }
            self.serve_until_empty(PURGE_DEADLINE);
        }
    }

    fn serve_until_empty(&mut self, deadline: Duration) {
        let started = Instant::now();
        while self.shared.in_flight() > 0 && started.elapsed() < deadline {
            self.serve(IDLE.min(deadline.saturating_sub(started.elapsed())));
        }
    }

    fn serve(&mut self, timeout: Duration) {
        if let Some(event) = self.shared.client.next_event(timeout) {
            self.take(event);
        }
        let in_flight = self.shared.in_flight();
        if std::mem::replace(&mut self.told_in_flight, in_flight) != in_flight {
            shield(|| (self.on_in_flight)(in_flight));
        }
    }

    fn take(&mut self, event: Event) {
        if event.kind() == rdsys::RD_KAFKA_EVENT_DR {
            self.deliver(event);
        } else if let Some(told) = ClientEvent::of(&self.shared.client, &event) {
            shield(|| (self.on_event)(told));
        }
    }

    /// Gives every record of a batch its outcome.
    fn deliver(&self, event: Event) {
        let (mut records, mut bytes) = (0_usize, 0);
        let mut waiting = Vec::new();
        // SAFETY: the event is live; each message is live as long as the event.
        while let Some(message) = unsafe { rdsys::rd_kafka_event_message_next(event.as_ptr()).as_ref() } {
            // SAFETY: the opaque pointer of every message is the reference to its slot that was given at submission, and
            // a message is reported once.
            let slot = unsafe { Arc::from_raw(message._private.cast::<Slot>().cast_const()) };
            records += 1;
            bytes += slot.charged_bytes as usize;
            // SAFETY: the message is live; its error is read as a number because a broker may send one that the enum
            // lacks.
            let code = ErrorCode::from_number(unsafe { ptr::addr_of!(message.err).cast::<i32>().read() });
            // Before the outcome: who awaits the last one then sees an idle producer.
            self.shared.in_flight.finish_one();
            shield(|| {
                waiting.extend(slot.complete(|| {
                    if code.is_error() {
                        return Err((self.failure(message, code), possibly_written(message)));
                    }
                    Ok(place(message))
                }));
            });
            if records.is_multiple_of(WAKE_EVERY) {
                wake(&mut waiting);
            }
        }
        wake(&mut waiting);
        // librdkafka counts the records as its own until here, so nobody may be let in before.
        drop(event);
        self.shared.records.add_permits(records);
        self.shared.bytes.add_permits(bytes);
    }

    fn failure(&self, message: &rdsys::rd_kafka_message_t, code: ErrorCode) -> ClientError {
        if code == ErrorCode::FATAL
            && let Some(error) = self.shared.client.fatal_error()
        {
            return error;
        }
        // SAFETY: the message is live; the text is null or lives as long.
        let reason = unsafe { crate::error::lossy(rdsys::rd_kafka_message_produce_errstr(message)) };
        ClientError::from_reason("deliver record", code, &reason)
    }
}

fn wake(waiting: &mut Vec<Waker>) {
    for waker in waiting.drain(..) {
        shield(|| waker.wake());
    }
}

fn place(message: &rdsys::rd_kafka_message_t) -> Place {
    // SAFETY: the message is live for the call.
    let timestamp = unsafe { Timestamp::of(message) };
    Place { partition: message.partition, offset: message.offset, timestamp }
}

fn possibly_written(message: &rdsys::rd_kafka_message_t) -> bool {
    // SAFETY: the message is live for the call.
    let status = unsafe { rdsys::rd_kafka_message_status(message) };
    status != rdsys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}
