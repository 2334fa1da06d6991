//! What happens to listeners, as a stream of typed events.
//!
//! # Invariants
//! 1. Whoever tells of an event never waits, neither for a receiver nor for memory without bounds: each receiver has a
//!    box of its own, and where it is full the oldest event gives way.
//! 2. A receiver learns how many events it missed, before the event that follows the gap.
//! 3. While nobody listens, an event costs one look at a counter, and is not made.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use kafka_boot_client::TopicPartition;

use super::consumer_state::StuckRecord;
use super::container::ListenerState;

/// How many events a receiver may be behind before it misses some.
const EVENTS_MAX: usize = 1024;

/// Something that happened to a listener.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListenerEvent {
    /// The listener's id.
    pub listener: Arc<str>,
    /// When it happened, by the clock of this machine.
    pub at: SystemTime,
    /// What happened.
    pub kind: ListenerEventKind,
}

/// What happened to a listener. `consumer` is the number of the listener's consumer, from 0.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ListenerEventKind {
    /// The listener as a whole does something else now.
    StateChanged {
        /// What it did.
        from: ListenerState,
        /// What it does.
        to: ListenerState,
    },
    /// The group gave partitions to a consumer.
    Assigned {
        /// The consumer.
        consumer: u16,
        /// What it was given, beside what it has.
        partitions: Vec<TopicPartition>,
    },
    /// A consumer gave partitions up: their records in hand are done, and what is done was committed.
    Revoked {
        /// The consumer.
        consumer: u16,
        /// What it gave up.
        partitions: Vec<TopicPartition>,
    },
    /// A consumer's membership was over before it could give its partitions up. Others may be handling their records
    /// already, and nothing of them was committed.
    Lost {
        /// The consumer.
        consumer: u16,
        /// What it had.
        partitions: Vec<TopicPartition>,
    },
    /// No more records are taken from these partitions, because somebody asked for that.
    Paused {
        /// The consumer.
        consumer: u16,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Records are taken from these partitions again.
    Resumed {
        /// The consumer.
        consumer: u16,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// A partition goes on at another offset, because somebody asked for that.
    Sought {
        /// The consumer.
        consumer: u16,
        /// The partition.
        partition: TopicPartition,
        /// The offset that is read next.
        offset: i64,
    },
    /// A consumer has been given no record, and has had none in hand, for `idle-event-interval` or a multiple of it.
    Idle {
        /// The consumer.
        consumer: u16,
        /// For how long.
        idle_for: Duration,
    },
    /// A consumer that was told to be idle was given a record.
    NoLongerIdle {
        /// The consumer.
        consumer: u16,
        /// For how long it was idle.
        idle_for: Duration,
    },
    /// A record has held its partition up for longer than `stuck-after`.
    Stuck {
        /// The consumer.
        consumer: u16,
        /// The record.
        record: StuckRecord,
    },
    /// A record that was stuck is done. Not told if its partition is given up first, which is an event of its own.
    NoLongerStuck {
        /// The consumer.
        consumer: u16,
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
    },
    /// No broker can be reached.
    Disconnected {
        /// The consumer.
        consumer: u16,
    },
    /// A broker answers again.
    Reconnected {
        /// The consumer.
        consumer: u16,
    },
    /// Too many calls of the handler failed: no record is given to it for a while.
    CircuitOpened {
        /// Why the last call failed.
        reason: String,
        /// When the handler is probed.
        probed_in: Duration,
    },
    /// The handler is probed.
    CircuitHalfOpened,
    /// The handler works again.
    CircuitClosed,
    /// A consumer failed.
    ConsumerFailed {
        /// The consumer.
        consumer: u16,
        /// Why.
        reason: String,
        /// When it is started again; `None` if it has failed too often.
        retry_in: Option<Duration>,
    },
    /// The listener has failed and is not started again by itself.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A receiver was too slow: so many events of it gave way to later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissedEvents {
    /// How many.
    pub count: u64,
}

impl fmt::Display for MissedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events were missed: they came faster than they were received", self.count)
    }
}

impl std::error::Error for MissedEvents {}

/// The events of listeners from now on, in the order in which each listener told them.
///
/// It is a [`Stream`], and has [`next`](Self::next) of its own. A receiver that is more than 1024 events behind misses
/// the oldest ones, and is told how many. It ends when the application has stopped.
///
/// ```no_run
/// use kafka_boot::prelude::*;
/// use kafka_boot::{ListenerEventKind, ListenerRegistry};
///
/// async fn watch(listeners: &ListenerRegistry) {
///     let mut events = listeners.events();
///     while let Some(event) = events.next().await {
///         match event {
///             Ok(event) => match event.kind {
///                 ListenerEventKind::Assigned { partitions, .. } => info!(listener = %event.listener, ?partitions),
///                 ListenerEventKind::Failed { reason } => error!(listener = %event.listener, reason),
///                 _ => {}
///             },
///             Err(missed) => warn!(%missed),
///         }
///     }
/// }
/// ```
pub struct ListenerEvents {
    mailbox: Arc<Mailbox>,
    bus: std::sync::Weak<Bus>,
}

impl ListenerEvents {
    /// Waits for the next event; `None` once the application has stopped and everything was received.
    pub async fn next(&mut self) -> Option<Result<ListenerEvent, MissedEvents>> {
        poll_fn(|context| self.mailbox.poll(context)).await
    }
}

impl Stream for ListenerEvents {
    type Item = Result<ListenerEvent, MissedEvents>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.mailbox.poll(context)
    }
}

impl Drop for ListenerEvents {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.lock().retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            bus.receivers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for ListenerEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerEvents").field("listener", &self.mailbox.listener).finish_non_exhaustive()
    }
}

/// One receiver's box.
struct Mailbox {
    /// The listener whose events it wants; all, if none.
    listener: Option<Arc<str>>,
    content: Mutex<Content>,
    receiver: AtomicWaker,
}

#[derive(Default)]
struct Content {
    events: VecDeque<ListenerEvent>,
    missed: u64,
    is_closed: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: &ListenerEvent) {
        if self.listener.as_ref().is_some_and(|listener| *listener != event.listener) {
            return;
        }
        {
            let mut content = self.lock();
            if content.events.len() >= EVENTS_MAX {
                content.events.pop_front();
                content.missed += 1;
            }
            content.events.push_back(event.clone());
        }
        self.receiver.wake();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.receiver.wake();
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<ListenerEvent, MissedEvents>>> {
        self.receiver.register(context.waker());
        let mut inbox = self.lock();
        if inbox.missed > 0 {
            let count = std::mem::take(&mut inbox.missed);
            return Poll::Ready(Some(Err(MissedEvents { count })));
        }
        match inbox.events.pop_front() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None if inbox.is_closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[derive(Default)]
struct Bus {
    receivers: AtomicUsize,
    is_closed: AtomicBool,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mailboxes = self.lock();
        self.is_closed.store(true, Ordering::Relaxed);
        for mailbox in mailboxes.iter() {
            mailbox.close();
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where all listeners of an application tell what happens to them.
#[derive(Clone, Default)]
pub(crate) struct EventBus {
    bus: Arc<Bus>,
}

impl EventBus {
    /// The events from now on: of one listener, or of all.
    pub(crate) fn receive(&self, listener: Option<&str>) -> ListenerEvents {
        let (content, receiver) = (Mutex::default(), AtomicWaker::new());
        let mailbox = Arc::new(Mailbox { listener: listener.map(Into::into), content, receiver });
        let mut mailboxes = self.bus.lock();
        mailboxes.push(Arc::clone(&mailbox));
        self.bus.receivers.fetch_add(1, Ordering::Relaxed);
        if self.bus.is_closed.load(Ordering::Relaxed) {
            mailbox.close();
        }
        drop(mailboxes);
        ListenerEvents { mailbox, bus: Arc::downgrade(&self.bus) }
    }

    /// Nothing happens any more: receivers end when they have received what is there.
    pub(crate) fn close(&self) {
        self.bus.close();
    }

    pub(crate) fn of(&self, listener: &str) -> EventSender {
        EventSender { bus: self.clone(), listener: listener.into() }
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").field("receivers", &self.bus.receivers).finish_non_exhaustive()
    }
}

/// Where one listener tells what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    bus: EventBus,
    listener: Arc<str>,
}

impl EventSender {
    /// Tells of an event, which is made only if somebody listens.
    pub(crate) fn send(&self, kind: impl FnOnce() -> ListenerEventKind) {
        let bus = &self.bus.bus;
        if bus.receivers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let event =
            ListenerEvent { listener: Arc::clone(&self.listener), at: SystemTime::now(), kind: kind() };
        for mailbox in bus.lock().iter() {
            mailbox.put(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    fn disconnected(consumer: u16) -> ListenerEventKind {
        ListenerEventKind::Disconnected { consumer }
    }

    fn told(events: &mut ListenerEvents) -> Vec<Result<u16, u64>> {
        let mut told = Vec::new();
        while let Some(Some(event)) = ListenerEvents::next(events).now_or_never() {
            told.push(match event {
                Ok(ListenerEvent { kind: ListenerEventKind::Disconnected { consumer }, .. }) => Ok(consumer),
                Ok(other) => panic!("{other:?}"),
                Err(missed) => Err(missed.count),
            });
        }
        told
    }

    #[test]
    fn each_receiver_gets_what_it_asked_for_from_then_on() {
        let bus = EventBus::default();
        let (orders, billing) = (bus.of("orders"), bus.of("billing"));
        orders.send(|| disconnected(0));
        let (mut all, mut of_orders) = (bus.receive(None), bus.receive(Some("orders")));
        orders.send(|| disconnected(1));
        billing.send(|| disconnected(2));
        orders.send(|| disconnected(3));
        assert_eq!(told(&mut all), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(told(&mut of_orders), [Ok(1), Ok(3)]);
    }

    #[test]
    fn a_slow_receiver_is_told_how_many_it_missed_and_holds_nobody_up() {
        let bus = EventBus::default();
        let orders = bus.of("orders");
        let mut slow = bus.receive(None);
        let total = u16::try_from(EVENTS_MAX).unwrap() + 3;
        for number in 0..total {
            orders.send(|| disconnected(number));
        }
        let told = told(&mut slow);
        assert_eq!(told.len(), EVENTS_MAX + 1);
        assert_eq!(told[..2], [Err(3), Ok(3)]);
        assert_eq!(told.last(), Some(&Ok(total - 1)));
    }

    #[test]
    fn nothing_is_made_while_nobody_listens() {
        let bus = EventBus::default();
        let orders = bus.of("orders");
        drop(bus.receive(None));
        orders.send(|| unreachable!("nobody listens"));
        assert!(bus.bus.lock().is_empty());
    }

    #[tokio::test]
    async fn a_waiting_receiver_is_woken_by_an_event_and_by_the_end() {
        let bus = EventBus::default();
        let orders = bus.of("orders");
        let mut events = bus.receive(Some("orders"));
        let receiving = tokio::spawn(async move {
            let first = StreamExt::next(&mut events).await;
            (first, StreamExt::next(&mut events).await)
        });
        tokio::task::yield_now().await;
        orders.send(|| disconnected(7));
        bus.close();
        let (first, second) = receiving.await.unwrap();
        assert_eq!(first.unwrap().unwrap().kind, disconnected(7));
        assert_eq!(second, None);
        assert_eq!(bus.receive(None).next().await, None, "whoever comes too late does not wait for ever");
    }
}
