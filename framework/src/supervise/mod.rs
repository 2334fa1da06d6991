//! Who restarts what: a budget of restarts in a window, with a growing pause before each.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::model::SupervisionProperties;
use crate::policy::Backoff;

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Start again after this time.
    After(Duration),
    /// The budget is used up.
    GiveUp,
}

/// How many restarts are allowed in a window.
#[derive(Debug)]
pub(crate) struct RestartBudget {
    restarts_max: usize,
    window: Duration,
    backoff: Backoff,
    failures: VecDeque<Instant>,
}

impl RestartBudget {
    pub(crate) fn new(properties: &SupervisionProperties) -> Self {
        let backoff = &properties.backoff;
        Self {
            restarts_max: usize::try_from(properties.restarts).unwrap_or(usize::MAX),
            window: properties.window.get(),
            backoff: Backoff::new(
                backoff.initial.get(),
                backoff.multiplier,
                backoff.max.get(),
                backoff.jitter,
            ),
            failures: VecDeque::new(),
        }
    }

    /// Notes a failure and says what follows.
    pub(crate) fn failed(&mut self, now: Instant) -> Restart {
        self.failures.retain(|failure| now.duration_since(*failure) < self.window);
        if self.failures.len() >= self.restarts_max {
            return Restart::GiveUp;
        }
        self.failures.push_back(now);
        let failures = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        Restart::After(self.backoff.delay(failures))
    }

    /// Forgets past failures: somebody started the thing by hand.
    pub(crate) fn clear(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_within_the_window_use_the_budget_up_and_older_ones_do_not_count() {
        let mut budget =
            RestartBudget::new(&SupervisionProperties { restarts: 2, ..SupervisionProperties::default() });
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(matches!(budget.failed(at(0)), Restart::After(_)));
        assert!(matches!(budget.failed(at(1)), Restart::After(_)));
        assert_eq!(budget.failed(at(2)), Restart::GiveUp);
        assert!(matches!(budget.failed(at(400)), Restart::After(_)));
    }
}
