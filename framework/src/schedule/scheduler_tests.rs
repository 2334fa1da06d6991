//! Schedules under a paused clock: time moves only when every task waits.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant as TokioInstant;

use super::*;
use crate::config::TimeSpan;
use crate::error::HandlerError;
use crate::schedule::job_handler;

const AT: Location = Location { file: "jobs.rs", line: 1 };

fn settings(id: &str, trigger: Trigger) -> JobSettings {
    JobSettings { id: id.to_owned(), enabled: true, trigger, initial_delay: TimeSpan::default() }
}

fn delay(millis: u64) -> Trigger {
    Trigger::FixedDelay(TimeSpan::from_millis(millis))
}

fn rate(millis: u64) -> Trigger {
    Trigger::FixedRate(TimeSpan::from_millis(millis))
}

/// When each run started, in milliseconds.
type Starts = Arc<Mutex<Vec<u128>>>;

fn spec(trigger: Trigger, takes: Duration, starts: &Starts) -> JobSpec {
    let (starts, origin) = (Arc::clone(starts), TokioInstant::now());
    let job = job_handler(move || {
        starts.lock().unwrap().push(origin.elapsed().as_millis());
        async move {
            tokio::time::sleep(takes).await;
            Ok(())
        }
    });
    JobSpec { settings: settings("job", trigger), cron: None, at: AT, blocking: false, job }
}

async fn starts_within(trigger: Trigger, takes_ms: u64, until_ms: u64) -> Vec<u128> {
    let starts = Starts::default();
    let scheduler = Scheduler::new();
    scheduler.set_jobs(vec![spec(trigger, Duration::from_millis(takes_ms), &starts)]);
    scheduler.start().await;
    tokio::time::sleep(Duration::from_millis(until_ms)).await;
    scheduler.stop(Instant::now() + Duration::from_mins(1)).await;
    starts.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_counts_from_the_end_of_a_run() {
    assert_eq!(starts_within(delay(100), 30, 300).await, [0, 130, 260]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_rate_counts_from_the_start_of_a_run() {
    let starts = starts_within(rate(100), 30, 350).await;
    assert_eq!(starts.len(), 4, "{starts:?}");
    assert!(starts.windows(2).all(|pair| (100..=102).contains(&(pair[1] - pair[0]))), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_longer_than_the_rate_delays_the_next_and_never_overlaps_it() {
    let starts = starts_within(rate(100), 250, 800).await;
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 250), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_or_a_panic_is_counted_and_the_schedule_goes_on() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let job = job_handler(move || {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => Err(HandlerError::msg("first")),
                1 => panic!("second"),
                _ => Ok(()),
            }
        }
    });
    let scheduler = Scheduler::new();
    scheduler.set_jobs(vec![JobSpec {
        settings: settings("job", delay(10)),
        cron: None,
        at: AT,
        blocking: false,
        job,
    }]);
    scheduler.start().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let info = scheduler.get("job").unwrap();
    assert_eq!(info.failures, 2);
    assert!(info.runs > 4, "{info:?}");
    assert_eq!(info.last_error, None);
    scheduler.stop(Instant::now() + Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_hangs_starves_no_other_and_is_cut_off_at_the_deadline() {
    let starts = Starts::default();
    let mut hanging = spec(delay(10), Duration::from_secs(1_000_000), &Starts::default());
    hanging.settings.id = "hanging".to_owned();
    let scheduler = Scheduler::new();
    scheduler.set_jobs(vec![hanging, spec(delay(10), Duration::ZERO, &starts)]);
    scheduler.start().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(starts.lock().unwrap().len() > 10);
    let before = TokioInstant::now();
    scheduler.stop(before.into_std() + Duration::from_secs(2)).await;
    assert!(before.elapsed() <= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn no_run_starts_after_the_stop_began() {
    let starts = Starts::default();
    let scheduler = Scheduler::new();
    scheduler.set_jobs(vec![spec(delay(10), Duration::from_millis(50), &starts)]);
    scheduler.start().await;
    tokio::time::sleep(Duration::from_millis(25)).await;
    scheduler.stop(Instant::now() + Duration::from_secs(10)).await;
    assert_eq!(scheduler.get("job").unwrap().runs, 1, "the run in hand finishes");
    scheduler.trigger("job").await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(starts.lock().unwrap().len(), 1);
}
