//! Threads for plain `fn` handlers of which several run at once: started as needed, and kept for a while.
//!
//! # Invariants
//! 1. There are never more threads than `max` and those left behind; who gives work has a permit for it, so nothing queues
//!    for long.
//! 2. Work that nobody waits for any more is not begun. A thread whose work nobody waits for any more is left behind: it
//!    takes no other's place, and is one of them again when its work returns.
//! 3. `close` joins every thread that ends in time.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::error::HandlerError;
use crate::handler::HandlerResult;
use crate::observe::panics;

/// How long a thread waits for more work before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many handlers may be left behind before something is wrong with all of them.
const LEFT_BEHIND_MAX: usize = 64;

type Work = Box<dyn FnOnce(&Handle) + Send>;

/// The threads of one consumer's handlers.
pub(crate) struct HandlerThreads {
    shared: Arc<Shared>,
    name: String,
    max: AtomicUsize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    runtime: Handle,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    /// Threads whose work has not returned, and is not waited for.
    left_behind: usize,
    closing: bool,
}

/// How far a handler has come. Changed only while [`State`] is locked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Queued,
    Running,
    LeftBehind,
    Returned,
}

/// One handler, as its thread and who waits for it share it.
#[derive(Clone)]
struct Progress {
    shared: Arc<Shared>,
    phase: Arc<Mutex<Phase>>,
}

impl Progress {
    /// Goes on to a phase, and returns the one before.
    fn enter(&self, next: impl FnOnce(Phase) -> Phase) -> Phase {
        let mut state = self.shared.lock();
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *phase;
        *phase = next(before);
        match (before, *phase) {
            (Phase::Running, Phase::LeftBehind) => state.left_behind += 1,
            (Phase::LeftBehind, Phase::Returned) => state.left_behind -= 1,
            _ => {}
        }
        before
    }
}

/// Held by who waits for a handler: dropped before the handler has returned, it leaves it behind.
struct Waiting(Progress);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.enter(|phase| match phase {
            Phase::Queued | Phase::Running => Phase::LeftBehind,
            other => other,
        });
    }
}

impl std::fmt::Debug for HandlerThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandlerThreads")
            .field("name", &self.name)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

impl HandlerThreads {
    pub(crate) fn new(runtime: Handle, name: String, max: usize) -> Self {
        let shared = Shared { state: Mutex::default(), changed: Condvar::new(), runtime };
        Self { shared: Arc::new(shared), name, max: AtomicUsize::new(max) }
    }

    /// Changes how many handlers may run at once. Threads that are too many end when they have nothing to do.
    pub(crate) fn resize(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// How many handlers have not returned and are not waited for, if they are too many to go on.
    pub(crate) fn too_many_left_behind(&self) -> Option<usize> {
        Some(self.shared.lock().left_behind).filter(|count| *count >= LEFT_BEHIND_MAX)
    }

    /// Runs a handler on a thread of its own, from the moment of this call.
    pub(super) fn run<F>(&self, handler: F) -> impl Future<Output = HandlerResult> + Send + use<F>
    where
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let progress = Progress { shared: Arc::clone(&self.shared), phase: Arc::default() };
        let waiting = Waiting(progress.clone());
        self.submit(Box::new(move |runtime| {
            if progress.enter(|phase| if phase == Phase::Queued { Phase::Running } else { phase })
                != Phase::Queued
            {
                return;
            }
            let outcome = panics::caught_blocking(|| {
                catch_unwind(AssertUnwindSafe(|| runtime.block_on(handler)))
                    .unwrap_or_else(|panic| Err(HandlerError::from_panic(panic.as_ref())))
            });
            if progress.enter(|_| Phase::Returned) == Phase::LeftBehind {
                warn!("a handler that was left behind has returned");
            }
            // The lane may be gone; then the record is somebody else's by now.
            drop(sender.send(outcome));
        }));
        async move {
            let outcome =
                receiver.await.unwrap_or_else(|_| Err(HandlerError::msg("no thread ran the handler")));
            drop(waiting);
            outcome
        }
    }

    fn submit(&self, work: Work) {
        let mut state = self.shared.lock();
        state.work.push_back(work);
        if state.idle >= state.work.len() {
            self.shared.changed.notify_one();
            return;
        }
        state.threads.retain(|thread| !thread.is_finished());
        if state.threads.len() >= self.max.load(Ordering::Relaxed).saturating_add(state.left_behind) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new().name(self.name.clone()).spawn(move || shared.serve());
        match spawned {
            Ok(thread) => state.threads.push(thread),
            Err(error) => {
                error!(threads = state.threads.len(), %error, "could not start a thread for a handler");
                if state.threads.is_empty() {
                    // Dropping the work tells its record that it failed.
                    state.work.clear();
                }
            }
        }
    }

    /// Lets the threads end, and joins those that do by the deadline; returns how many did not.
    pub(crate) fn close(&self, deadline: Instant) -> usize {
        let threads = {
            let mut state = self.shared.lock();
            state.closing = true;
            state.work.clear();
            std::mem::take(&mut state.threads)
        };
        self.shared.changed.notify_all();
        let mut left_behind = 0;
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // Handlers' panics are caught where they run.
                drop(thread.join());
            } else {
                left_behind += 1;
            }
        }
        left_behind
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                work(&self.runtime);
                state = self.lock();
                continue;
            }
            if state.closing {
                return;
            }
            state.idle += 1;
            let (woken, timeout) =
                self.changed.wait_timeout(state, IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.work.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[tokio::test]
    async fn handlers_run_at_once_up_to_the_limit_and_threads_are_used_again() {
        let threads = HandlerThreads::new(Handle::current(), "test".to_owned(), 3);
        for _ in 0..5 {
            let barrier = Arc::new(Barrier::new(3));
            let all: Vec<_> = (0..3)
                .map(|_| {
                    let barrier = Arc::clone(&barrier);
                    threads.run(async move {
                        barrier.wait();
                        Ok(())
                    })
                })
                .collect();
            for one in all {
                one.await.unwrap();
            }
        }
        assert!(threads.shared.lock().threads.len() <= 3);
        assert_eq!(threads.close(Instant::now() + Duration::from_mins(1)), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let threads = HandlerThreads::new(Handle::current(), "test".to_owned(), 1);
        let error = threads.run(async { panic!("on purpose") }).await.unwrap_err();
        assert!(error.to_string().contains("on purpose"), "{error}");
        threads.run(async { Ok(()) }).await.unwrap();
        assert_eq!(threads.shared.lock().threads.len(), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_begun() {
        let threads = HandlerThreads::new(Handle::current(), "test".to_owned(), 1);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = threads.run(async move {
            released.recv().unwrap();
            Ok(())
        });
        let begun = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&begun);
        drop(threads.run(async move {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        }));
        release.send(()).unwrap();
        busy.await.unwrap();
        threads.run(async { Ok(()) }).await.unwrap();
        assert!(!begun.load(std::sync::atomic::Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_handler_that_is_left_behind_takes_no_place_until_it_returns() {
        let threads = HandlerThreads::new(Handle::current(), "test".to_owned(), 1);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (entered, begun) = oneshot::channel();
        let hanging = threads.run(async move {
            entered.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        });
        begun.await.unwrap();
        drop(hanging);
        assert_eq!(threads.shared.lock().left_behind, 1);
        threads.run(async { Ok(()) }).await.unwrap();
        release.send(()).unwrap();
        while threads.shared.lock().left_behind > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(threads.close(Instant::now() + Duration::from_mins(1)), 0);
    }

    #[tokio::test]
    async fn it_is_told_when_too_many_are_left_behind() {
        let threads = HandlerThreads::new(Handle::current(), "test".to_owned(), 1);
        let barrier = Arc::new(Barrier::new(LEFT_BEHIND_MAX + 1));
        for count in 0..LEFT_BEHIND_MAX {
            assert_eq!(threads.too_many_left_behind(), None, "{count}");
            let (entered, begun) = oneshot::channel();
            let barrier = Arc::clone(&barrier);
            let hanging = threads.run(async move {
                entered.send(()).unwrap();
                barrier.wait();
                Ok(())
            });
            begun.await.unwrap();
            drop(hanging);
        }
        assert_eq!(threads.too_many_left_behind(), Some(LEFT_BEHIND_MAX));
        barrier.wait();
        assert_eq!(threads.close(Instant::now() + Duration::from_mins(1)), 0);
    }
}
