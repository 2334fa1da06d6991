//! How far the handlers of a listener have come: the clock runs from the first record to the last.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_boot::App;
use tokio::sync::Notify;

use super::framework::stop;
use super::raw_consume::check_committed;
use crate::Result;
use crate::measure::{Measurement, Stopwatch, report};
use crate::task::Task;

/// Counts records; one of each kind of handler, in a static.
pub(super) struct Progress {
    done: AtomicU64,
    wanted: AtomicU64,
    started: OnceLock<Stopwatch>,
    measured: OnceLock<Measurement>,
    finished: Notify,
}

impl Progress {
    pub(super) const fn new() -> Self {
        Self {
            done: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            started: OnceLock::new(),
            measured: OnceLock::new(),
            finished: Notify::const_new(),
        }
    }

    pub(super) fn expect(&self, records: u64) {
        self.wanted.store(records, Ordering::Relaxed);
    }

    /// A record has come.
    pub(super) fn begin(&self) {
        self.started.get_or_init(Stopwatch::start);
    }

    /// A record that has come is handled.
    pub(super) fn end(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done == self.wanted.load(Ordering::Relaxed) {
            self.measured.get_or_init(|| self.started.get_or_init(Stopwatch::start).stop(done));
            self.finished.notify_one();
        }
    }

    /// Waits for the last record.
    pub(super) async fn until_finished(&self) {
        self.finished.notified().await;
    }

    pub(super) fn report(&self) -> Result<()> {
        report(self.measured.get().cloned().ok_or("nothing was measured")?)
    }

    /// Runs an application whose listener counts here, until it has handled and committed every record of the task.
    pub(super) fn run(&self, task: &Task, app: App) -> Result<()> {
        self.expect(task.records);
        super::runtime()?.block_on(async {
            let running = app.start().await?;
            self.until_finished().await;
            stop(running).await
        })?;
        // A loop that does not commit would be faster.
        check_committed(task)?;
        self.report()
    }
}
