//! The settings of groups: the broker's, and those that are set for one group.

use std::time::Duration;

/// What holds for all groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupSettings {
    pub(crate) heartbeat_interval_ms: u64,
    pub(crate) session_timeout_ms: u64,
    pub(crate) offsets_retention_ms: u64,
    /// Whether groups come back from a data directory without their members.
    pub(crate) forgets_members: bool,
}

/// What is set for one group of the new protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupConfig {
    pub(crate) heartbeat_interval_ms: Option<u64>,
    pub(crate) session_timeout_ms: Option<u64>,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 5_000,
            session_timeout_ms: 45_000,
            offsets_retention_ms: milliseconds(Duration::from_hours(7 * 24)),
            forgets_members: false,
        }
    }
}

impl GroupSettings {
    /// These, with what is set for one group.
    pub(crate) fn with(self, config: GroupConfig) -> Self {
        Self {
            heartbeat_interval_ms: config.heartbeat_interval_ms.unwrap_or(self.heartbeat_interval_ms),
            session_timeout_ms: config.session_timeout_ms.unwrap_or(self.session_timeout_ms),
            ..self
        }
    }

    /// Whether a member has the time to give a sign of life.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.heartbeat_interval_ms >= 1 && self.heartbeat_interval_ms < self.session_timeout_ms {
            return Ok(());
        }
        Err(format!(
            "`consumer.heartbeat.interval.ms` is {}, and has to be at least 1 and less than \
             `consumer.session.timeout.ms`, which is {}",
            self.heartbeat_interval_ms, self.session_timeout_ms
        ))
    }
}

/// A duration as a number, the longest there is where it has no other.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
