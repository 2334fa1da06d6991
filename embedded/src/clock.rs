//! The broker's time: one reading for what is written into records, one for deadlines, and both can be stopped and
//! moved on by a test.
//!
//! What belongs to the connection rather than to the broker (how long a fetch waits, how long a client may be silent) is
//! measured in real time, or a client of a stopped clock would never be answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::sleep;

/// The time of one cluster. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) struct Stopwatch(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    started: Instant,
    /// Whether a test has ever touched it; until then it is the machine's clock, and nothing is locked.
    touched: AtomicBool,
    shift: Mutex<Shift>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shift {
    /// By how much the broker's time is ahead of the machine's, if it runs; a clock that was stopped for a while lags
    /// behind it.
    ahead_ms: i64,
    /// Both readings at the moment it was stopped, as it was moved on since.
    frozen: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    elapsed_ms: i64,
    wall_ms: i64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Arc::new(Clock {
            started: Instant::now(),
            touched: AtomicBool::new(false),
            shift: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Milliseconds since the broker started, which no adjustment of the system's clock moves.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        if !self.0.touched.load(Ordering::Acquire) {
            return u64::try_from(self.machine().elapsed_ms).unwrap_or(0);
        }
        u64::try_from(self.reading(&self.shift()).elapsed_ms).unwrap_or(0)
    }

    /// Milliseconds since 1970, as Kafka stamps records.
    pub(crate) fn wall_ms(&self) -> i64 {
        if !self.0.touched.load(Ordering::Acquire) {
            return machine_wall_ms();
        }
        self.reading(&self.shift()).wall_ms
    }

    /// Waits until so many milliseconds have elapsed, however the clock is stopped and moved meanwhile.
    pub(crate) async fn sleep_until(&self, elapsed_ms: u64) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let left_ms = elapsed_ms.saturating_sub(self.elapsed_ms());
            if left_ms == 0 {
                return;
            }
            if self.is_frozen() {
                changed.await;
                continue;
            }
            tokio::select! {
                () = sleep(Duration::from_millis(left_ms)) => {}
                () = changed => {}
            }
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.0.touched.load(Ordering::Acquire) && self.shift().frozen.is_some()
    }

    pub(crate) fn freeze(&self) {
        self.change(|reading, shift| shift.frozen = shift.frozen.or(Some(reading)));
    }

    /// Goes on from where it stands.
    pub(crate) fn resume(&self) {
        let machine = self.machine();
        self.change(|reading, shift| {
            if shift.frozen.take().is_some() {
                shift.ahead_ms = reading.elapsed_ms - machine.elapsed_ms;
            }
        });
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.change(|_, shift| match &mut shift.frozen {
            Some(frozen) => *frozen = frozen.later(by_ms),
            None => shift.ahead_ms = shift.ahead_ms.saturating_add(by_ms),
        });
    }

    fn change(&self, change: impl FnOnce(Reading, &mut Shift)) {
        let mut shift = self.shift();
        let reading = self.reading(&shift);
        change(reading, &mut shift);
        self.0.touched.store(true, Ordering::Release);
        drop(shift);
        self.0.changed.notify_waiters();
    }

    fn shift(&self) -> MutexGuard<'_, Shift> {
        self.0.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self, shift: &Shift) -> Reading {
        shift.frozen.unwrap_or_else(|| self.machine().later(shift.ahead_ms))
    }

    fn machine(&self) -> Reading {
        let elapsed_ms = i64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Reading { elapsed_ms, wall_ms: machine_wall_ms() }
    }
}

impl Reading {
    fn later(self, by_ms: i64) -> Self {
        Self {
            elapsed_ms: self.elapsed_ms.saturating_add(by_ms),
            wall_ms: self.wall_ms.saturating_add(by_ms),
        }
    }
}

fn machine_wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_shows_the_same_time_until_it_is_moved() {
        let clock = Stopwatch::start();
        clock.freeze();
        let (elapsed, wall) = (clock.elapsed_ms(), clock.wall_ms());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!((clock.elapsed_ms(), clock.wall_ms()), (elapsed, wall));
        clock.advance(Duration::from_mins(1));
        assert_eq!((clock.elapsed_ms(), clock.wall_ms()), (elapsed + 60_000, wall + 60_000));
        clock.freeze();
        assert_eq!(clock.elapsed_ms(), elapsed + 60_000, "stopping it twice is stopping it once");
    }

    #[test]
    fn a_clock_goes_on_from_where_it_stood() {
        let clock = Stopwatch::start();
        clock.freeze();
        clock.advance(Duration::from_hours(1));
        let before = clock.elapsed_ms();
        clock.resume();
        let after = clock.elapsed_ms();
        assert!((before..before + 60_000).contains(&after), "{before} {after}");
        clock.advance(Duration::from_hours(1));
        assert!(clock.elapsed_ms() >= before + 3_600_000);
        let ahead = clock.wall_ms() - machine_wall_ms();
        assert!((7_140_000..=7_200_000).contains(&ahead), "{ahead}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sleeps_is_woken_by_a_clock_that_is_moved() {
        let clock = Stopwatch::start();
        clock.freeze();
        let deadline = clock.elapsed_ms() + 5_000;
        let sleeper = clock.clone();
        let sleep = tokio::spawn(async move { sleeper.sleep_until(deadline).await });
        // Time passes for the runtime, and not for the broker.
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(!sleep.is_finished());
        clock.advance(Duration::from_secs(5));
        assert!(sleep.await.is_ok());
    }
}
