//! Waiting on conditions: the only way a test in this crate lets time pass.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long a waiter rests between two looks at its condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// Something that is either reached, with a value, or not yet, with an explanation.
///
/// Implemented for `bool`, `Option<T>` and `Result<T, E>`, whose error is shown if the wait fails.
pub trait Condition {
    /// What a reached condition yields.
    type Value;

    /// The value, or why there is none yet.
    fn check(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();

    fn check(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("it was still false".to_owned()) }
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.ok_or_else(|| "there was still no value".to_owned())
    }
}

impl<T, E: Display> Condition for Result<T, E> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks at `condition` every 10 ms until it is reached, and yields its value.
///
/// # Panics
///
/// When `deadline` has passed; the text names `what`, the time, the number of looks and the last explanation.
///
/// ```
/// use kafka_boot_tests::wait::eventually;
/// use std::time::Duration;
///
/// let mut looks = 0;
/// let seen = eventually(Duration::from_secs(5), "three looks", || {
///     looks += 1;
///     (looks == 3).then_some(looks)
/// });
/// assert_eq!(seen, 3);
/// ```
#[track_caller]
pub fn eventually<C: Condition>(deadline: Duration, what: &str, condition: impl FnMut() -> C) -> C::Value {
    match poll(deadline, what, condition) {
        Ok(value) => value,
        Err(failure) => panic!("{failure}"),
    }
}

/// As [`eventually`], but the failure is an error with the same text instead of a panic.
pub fn poll<C: Condition>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> C,
) -> crate::Result<C::Value> {
    let mut wait = Wait::new(deadline, what);
    loop {
        match condition().check() {
            Ok(value) => return Ok(value),
            Err(reason) => wait.not_yet(reason)?,
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The asynchronous twin of [`eventually`]; needs a Tokio runtime with time enabled.
///
/// # Panics
///
/// As [`eventually`] does.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use kafka_boot_tests::wait::eventually_async;
/// use std::time::Duration;
///
/// eventually_async(Duration::from_secs(5), "the truth", async || true).await;
/// # });
/// ```
pub async fn eventually_async<C: Condition, F: Future<Output = C>>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> C::Value {
    let mut wait = Wait::new(deadline, what);
    loop {
        match condition().await.check() {
            Ok(value) => return value,
            Err(reason) => {
                if let Err(failure) = wait.not_yet(reason) {
                    panic!("{failure}");
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The bookkeeping of one wait.
struct Wait<'a> {
    started: Instant,
    deadline: Duration,
    what: &'a str,
    looks: u64,
}

impl<'a> Wait<'a> {
    fn new(deadline: Duration, what: &'a str) -> Self {
        Self { started: Instant::now(), deadline, what, looks: 0 }
    }

    fn not_yet(&mut self, reason: impl Display) -> crate::Result<()> {
        self.looks += 1;
        let elapsed = self.started.elapsed();
        if elapsed < self.deadline {
            return Ok(());
        }
        Err(crate::Error::new(
            crate::ErrorKind::Timeout,
            format!(
                "waited {:.1} s of {:.1} s for {} and looked {} times; at the last look: {reason}",
                elapsed.as_secs_f64(),
                self.deadline.as_secs_f64(),
                self.what,
                self.looks,
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_wait_says_what_for_how_long_and_what_was_seen_last() {
        let failure = poll(Duration::from_millis(30), "the lag to reach 0", || Err::<(), _>("lag is 7"))
            .unwrap_err()
            .to_string();
        assert!(failure.contains("for the lag to reach 0"), "{failure}");
        assert!(failure.ends_with("at the last look: lag is 7"), "{failure}");
    }

    #[test]
    fn a_condition_is_looked_at_once_even_when_the_deadline_is_zero() {
        assert_eq!(poll(Duration::ZERO, "a value", || Some(1)).unwrap(), 1);
    }
}
