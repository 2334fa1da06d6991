//! Futures at work: a slab of them, polled by the lane that owns them, each only when it was woken.
//!
//! # Invariants
//! 1. A place, its memory and its waker are used again: in a steady state nothing is allocated a record.
//! 2. A future is polled once when it starts and then only after it was woken; a late wake-up of a place's former
//!    future costs one poll of the present one.
//! 3. A panic is the outcome of its own future, and of no other.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What a panic left.
pub(super) type Panic = Box<dyn Any + Send>;

/// The futures of one lane, each with the tag that it was started under.
pub(super) struct Running<F, T> {
    places: Vec<Place<F, T>>,
    free: Vec<usize>,
    woken: Arc<Woken>,
    /// Taken out of `woken`, and not polled yet.
    to_poll: Vec<usize>,
}

struct Place<F, T> {
    future: Pin<Box<Option<F>>>,
    tag: Option<T>,
    signal: Arc<Signal>,
    waker: Waker,
}

/// What became of a future that was started.
pub(super) enum Started<T> {
    /// It has finished, or panicked.
    Finished(Result<T, Panic>),
    /// It is kept in this place.
    At(usize),
}

/// The places whose futures want to be polled.
#[derive(Default)]
struct Woken {
    places: Mutex<Vec<usize>>,
    lane: AtomicWaker,
}

/// One place's waker.
struct Signal {
    place: usize,
    is_queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_first = {
            let mut places = self.woken.lock();
            places.push(self.place);
            places.len() == 1
        };
        // Whoever came first has woken the lane, which takes the whole list at once.
        if is_first {
            self.woken.lane.wake();
        }
    }
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future, T: Copy> Running<F, T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), woken: Arc::default(), to_poll: Vec::new() }
    }

    /// How many futures are at work.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Starts a future: polls it, and keeps it unless it is finished at once.
    pub(super) fn start(&mut self, tag: T, future: F) -> Started<F::Output> {
        let place = self.free.pop().unwrap_or_else(|| self.add_place());
        let at = &mut self.places[place];
        at.future.as_mut().set(Some(future));
        at.tag = Some(tag);
        self.poll(place).map_or(Started::At(place), |(_, outcome)| Started::Finished(outcome))
    }

    /// Ends the future in a place where it waits. Ending it may panic, which says nothing more.
    pub(super) fn end(&mut self, place: usize) {
        let Some(at) = self.places.get_mut(place) else { return };
        if at.tag.take().is_some() {
            drop(catch_unwind(AssertUnwindSafe(|| at.future.as_mut().set(None))));
            self.free.push(place);
        }
    }

    /// Polls at most `max` of the futures that were woken, and tells which of them finished.
    pub(super) fn poll_woken(
        &mut self,
        max: usize,
        mut finished: impl FnMut(T, Result<F::Output, Panic>),
    ) -> usize {
        if self.to_poll.is_empty() {
            std::mem::swap(&mut self.to_poll, &mut *self.woken.lock());
            // They are taken from the end: who was woken first goes first.
            self.to_poll.reverse();
        }
        let first = self.to_poll.len().saturating_sub(max);
        let mut count = 0;
        while self.to_poll.len() > first {
            let Some(place) = self.to_poll.pop() else { break };
            count += 1;
            if let Some((tag, outcome)) = self.poll(place) {
                finished(tag, outcome);
            }
        }
        count
    }

    /// Whether a future was woken and not polled since.
    pub(super) fn is_any_woken(&self) -> bool {
        !self.to_poll.is_empty() || !self.woken.lock().is_empty()
    }

    /// Waits until a future wants to be polled.
    pub(super) fn until_woken(&self) -> impl Future<Output = ()> + Send + use<F, T> {
        let (woken, is_any_left) = (Arc::clone(&self.woken), !self.to_poll.is_empty());
        poll_fn(move |context| {
            woken.lane.register(context.waker());
            if is_any_left || !woken.lock().is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn add_place(&mut self) -> usize {
        let place = self.places.len();
        let signal =
            Arc::new(Signal { place, is_queued: AtomicBool::new(false), woken: Arc::clone(&self.woken) });
        let waker = Waker::from(Arc::clone(&signal));
        self.places.push(Place { future: Box::pin(None), tag: None, signal, waker });
        place
    }

    fn poll(&mut self, place: usize) -> Option<(T, Result<F::Output, Panic>)> {
        let at = self.places.get_mut(place)?;
        // Before the poll: a wake-up during it counts for the next one.
        at.signal.is_queued.store(false, Ordering::Release);
        let mut context = Context::from_waker(&at.waker);
        let future = at.future.as_mut().as_pin_mut()?;
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(&mut context))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        at.future.as_mut().set(None);
        self.free.push(place);
        Some((at.tag.take()?, outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn drain<F: Future<Output = u32>>(running: &mut Running<F, u32>) -> Vec<(u32, Option<u32>)> {
        let mut finished = Vec::new();
        running.poll_woken(usize::MAX, |tag, outcome| finished.push((tag, outcome.ok())));
        finished.sort_unstable();
        finished
    }

    #[tokio::test]
    async fn what_is_woken_is_polled_and_its_place_used_again() {
        let mut running = Running::new();
        let mut senders = Vec::new();
        for round in 0..3 {
            for tag in 0..4 {
                let (sender, receiver) = oneshot::channel();
                senders.push(sender);
                let started = running.start(tag, async move { receiver.await.unwrap_or(99) });
                assert!(matches!(started, Started::At(_)));
            }
            assert_eq!(running.len(), 4);
            for (value, sender) in (10..).zip(senders.drain(..).rev()) {
                sender.send(value).unwrap();
                running.until_woken().await;
            }
            let expected = [(0, Some(13)), (1, Some(12)), (2, Some(11)), (3, Some(10))];
            assert_eq!(drain(&mut running), expected, "{round}");
            assert_eq!((running.len(), running.places.len()), (0, 4));
            assert!(!running.is_any_woken());
        }
    }

    #[tokio::test]
    async fn no_more_than_asked_for_is_polled_at_a_time_and_a_panic_is_an_outcome() {
        let mut running = Running::new();
        let mut senders = Vec::new();
        for tag in 0..5 {
            let (sender, receiver) = oneshot::channel::<u32>();
            senders.push(sender);
            let future = async move {
                let value = receiver.await.unwrap_or_default();
                assert!(value != 3, "panics on purpose");
                value
            };
            assert!(matches!(running.start(tag, future), Started::At(_)));
        }
        for (value, sender) in (0..).zip(senders) {
            sender.send(value).unwrap();
        }
        let mut finished = Vec::new();
        for left in [3, 1, 0] {
            running.poll_woken(2, |tag, outcome| finished.push((tag, outcome.ok())));
            assert_eq!(running.len(), left);
            assert_eq!(running.is_any_woken(), left > 0);
        }
        finished.sort_unstable();
        assert_eq!(finished, [(0, Some(0)), (1, Some(1)), (2, Some(2)), (3, None), (4, Some(4))]);
    }

    #[tokio::test]
    async fn a_future_that_is_ended_frees_its_place_whatever_it_does_then() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let mut running = Running::new();
        let (sender, receiver) = oneshot::channel::<u32>();
        let hanging = async move {
            let _loud = Loud;
            receiver.await.unwrap_or_default()
        };
        let Started::At(place) = running.start(1, hanging) else { panic!("it waits") };
        running.end(place);
        running.end(place);
        assert_eq!(running.len(), 0);
        assert!(sender.send(1).is_err(), "nobody waits any more");
        assert_eq!(drain(&mut running), []);
    }
}
