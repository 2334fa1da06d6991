//! One key of many fails for a while, and the others are measured.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kafka_boot::listeners;
use kafka_boot::prelude::*;
use tokio::sync::Notify;

use super::framework::{app, stop};
use super::progress::Progress;
use super::raw_consume::check_committed;
use crate::task::Task;
use crate::{Result, settings};

/// The key whose records fail, and for how long.
const KEY: &str = "key-0";
const FAILING: Duration = Duration::from_secs(10);
/// What a record takes, as in the `keys` suite.
const WORK: Duration = Duration::from_millis(5);

static OTHERS: Progress = Progress::new();
static FIRST: OnceLock<Instant> = OnceLock::new();
/// The records of the key that are left.
static LEFT: AtomicU64 = AtomicU64::new(0);
static HEALED: Notify = Notify::const_new();

#[kafka_listener(
    id = "consume",
    topic = "bench",
    ordering = "key",
    retry(attempts = 1000, backoff = "100ms..1s x2"),
    on_failure = "stop"
)]
async fn with_a_poisoned_key(record: Record<()>) -> Result<(), kafka_boot::HandlerError> {
    let first = *FIRST.get_or_init(Instant::now);
    let is_poisoned = record.key_str() == Some(KEY);
    if is_poisoned {
        if first.elapsed() < FAILING {
            return Err("the key is poisoned".into());
        }
        tokio::time::sleep(WORK).await;
        if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            HEALED.notify_one();
        }
        return Ok(());
    }
    OTHERS.begin();
    tokio::time::sleep(WORK).await;
    OTHERS.end();
    Ok(())
}

/// The clock runs from the first record of another key to the last one of them; then the key heals, and nothing is lost.
pub(super) fn framework(task: &Task, keys: u64) -> Result<()> {
    let poisoned = task.records / keys;
    LEFT.store(poisoned, Ordering::Relaxed);
    OTHERS.expect(task.records - poisoned);
    super::runtime()?.block_on(async {
        let app = app(settings::load_options(task)).listeners(listeners![with_a_poisoned_key]);
        let running = app.start().await?;
        OTHERS.until_finished().await;
        HEALED.notified().await;
        stop(running).await
    })?;
    check_committed(task)?;
    OTHERS.report()
}
