//! How long a lane keeps its worker while its handlers never wait: timers, probes, jobs and other lanes are driven by the same
//! one.

use std::time::Duration;

use tokio::time::Instant;

const TURN: Duration = Duration::from_micros(TURN_MICROS as u64);
const TURN_MICROS: u32 = 1_000;

/// The least and the most records that are handled without a look at the clock.
const AT_A_TIME_MIN: usize = 16;
const AT_A_TIME_MAX: usize = 1024;

/// A lane's turn at its worker.
#[derive(Debug)]
pub(super) struct Turn {
    began: Instant,
    at_a_time: usize,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), at_a_time: AT_A_TIME_MIN }
    }

    /// The lane has waited, and others had theirs.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// How many records to handle before the clock is looked at: about a turn's worth.
    pub(super) fn at_a_time(&self) -> usize {
        self.at_a_time
    }

    /// How long a record takes.
    pub(super) fn takes(&mut self, each: Duration) {
        // Whole microseconds will do, and so will a second for all that is longer.
        let micros = if each < Duration::from_secs(1) { each.subsec_micros() } else { 1_000_000 };
        let worth = TURN_MICROS.checked_div(micros).unwrap_or(u32::MAX);
        self.at_a_time = (worth as usize).clamp(AT_A_TIME_MIN, AT_A_TIME_MAX);
    }

    /// Lets others have theirs, if this one is over, and says whether it was.
    pub(super) async fn give_way(&mut self) -> bool {
        if self.began.elapsed() < TURN {
            return false;
        }
        tokio::task::yield_now().await;
        self.begin();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_handlers_are_watched_more_closely() {
        let mut turn = Turn::new();
        let mut at_a_time = |each| {
            turn.takes(each);
            turn.at_a_time()
        };
        assert_eq!(at_a_time(Duration::from_nanos(50)), 1024);
        assert_eq!(at_a_time(Duration::from_micros(20)), 50);
        assert_eq!(at_a_time(Duration::from_millis(5)), 16);
        assert_eq!(at_a_time(Duration::MAX), 16);
    }
}
