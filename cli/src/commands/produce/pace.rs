//! A rate limit: each record has its moment, counted from the first.

use std::time::Duration;

use tokio::time::{self, Instant};

/// What is nearer than this is not waited for: timers are no finer.
const GRAIN: Duration = Duration::from_millis(2);

pub(super) struct Pace {
    began: Option<Instant>,
    interval: Duration,
    sent: u32,
}

impl Pace {
    /// So many a second.
    pub(super) fn new(rate: u32) -> Self {
        Self { began: None, interval: Duration::from_secs(1) / rate, sent: 0 }
    }

    /// Returns at the moment of the next record.
    pub(super) async fn wait(&mut self) {
        let began = *self.began.get_or_insert_with(Instant::now);
        let moment = began + self.interval * self.sent;
        let now = Instant::now();
        if moment > now + GRAIN {
            time::sleep_until(moment).await;
        } else if now > moment + Duration::from_secs(1) {
            // Who was held up does not make up for it in one go.
            self.began = Some(now);
            self.sent = 0;
        }
        self.sent += 1;
        if self.sent == u32::MAX {
            self.began = None;
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn records_keep_their_distance_on_average() {
        let mut pace = Pace::new(1000);
        let began = Instant::now();
        for _ in 0..101 {
            pace.wait().await;
        }
        assert!(began.elapsed() >= Duration::from_millis(98), "{:?}", began.elapsed());
    }
}
