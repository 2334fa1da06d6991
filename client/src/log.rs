//! librdkafka's log lines and errors, as `tracing` events that a dead broker cannot turn into a flood.
//!
//! Of each kind of line the first shows at once; after that at most one in ten seconds, which says how many were left
//! out. Debug lines are not limited: whoever turns them on wants them all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Dispatch;
use tracing::dispatcher;
use tracing::subscriber::NoSubscriber;

use crate::error::{ClientError, ErrorCode};

const INTERVAL: Duration = Duration::from_secs(10);

/// librdkafka has some fifty facilities; the bound only guards against a surprise.
const KINDS_MAX: usize = 256;

/// Syslog levels as librdkafka uses them.
const LEVEL_ERROR: i32 = 3;
const LEVEL_WARNING: i32 = 4;
const LEVEL_INFO: i32 = 6;

/// Writes the log of one client.
#[derive(Debug)]
pub(crate) struct ClientLog {
    limiter: RateLimiter,
    /// The subscriber of the thread that made the client, which may be that thread's own, as in a test. `None`: there was
    /// none yet, and a line goes to whichever there is.
    subscriber: Option<Dispatch>,
}

impl Default for ClientLog {
    fn default() -> Self {
        let subscriber =
            dispatcher::get_default(|current| (!current.is::<NoSubscriber>()).then(|| current.clone()));
        Self { limiter: RateLimiter::default(), subscriber }
    }
}

impl ClientLog {
    /// A line from librdkafka, which comes from any of its threads.
    pub(crate) fn line(&self, client: &str, level: i32, facility: &str, text: &str) {
        let suppressed = if level <= LEVEL_INFO {
            let Some(suppressed) =
                self.limiter.admit(Kind::Line(level, Cow::Borrowed(facility)), Instant::now())
            else {
                return;
            };
            suppressed
        } else {
            0
        };
        self.emit(client, level, facility, text, suppressed);
    }

    /// An error that librdkafka reports to the application.
    pub(crate) fn error(&self, client: &str, error: &ClientError) {
        let code = error.code().unwrap_or(ErrorCode::UNKNOWN);
        if let Some(suppressed) = self.limiter.admit(Kind::Error(code), Instant::now()) {
            let level = if error.is_fatal() { LEVEL_ERROR } else { LEVEL_WARNING };
            self.emit(client, level, code.name(), &error.to_string(), suppressed);
        }
    }

    fn emit(&self, client: &str, level: i32, facility: &str, text: &str, suppressed: u64) {
        match &self.subscriber {
            Some(subscriber) => dispatcher::with_default(subscriber, || {
                emit(client, level, facility, text, suppressed);
            }),
            None => emit(client, level, facility, text, suppressed),
        }
    }
}

fn emit(client: &str, level: i32, facility: &str, text: &str, suppressed: u64) {
    macro_rules! emit_at {
        ($level:ident) => {
            if suppressed == 0 {
                tracing::$level!(target: "kafka_boot::client", client, facility, "{text}");
            } else {
                tracing::$level!(target: "kafka_boot::client", client, facility, suppressed, "{text}");
            }
        };
    }
    if level <= LEVEL_ERROR {
        emit_at!(error);
    } else if level == LEVEL_WARNING {
        emit_at!(warn);
    } else if level <= LEVEL_INFO {
        emit_at!(info);
    } else {
        emit_at!(debug);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind<'a> {
    Line(i32, Cow<'a, str>),
    Error(ErrorCode),
}

impl Kind<'_> {
    fn into_owned(self) -> Kind<'static> {
        match self {
            Kind::Line(level, facility) => Kind::Line(level, Cow::Owned(facility.into_owned())),
            Kind::Error(code) => Kind::Error(code),
        }
    }
}

#[derive(Debug)]
struct Window {
    opened: Instant,
    suppressed: u64,
}

#[derive(Debug, Default)]
struct RateLimiter {
    windows: Mutex<HashMap<Kind<'static>, Window>>,
}

impl RateLimiter {
    /// `Some(n)` lets the line through, `n` lines like it having been held back before; `None` holds it back.
    fn admit(&self, kind: Kind<'_>, now: Instant) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kind.into_owned();
        if let Some(window) = windows.get_mut(&kind) {
            if now.duration_since(window.opened) < INTERVAL {
                window.suppressed += 1;
                return None;
            }
            window.opened = now;
            return Some(std::mem::take(&mut window.suppressed));
        }
        if windows.len() < KINDS_MAX {
            windows.insert(kind, Window { opened: now, suppressed: 0 });
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_are_limited_and_counted_and_others_are_not_held_back() {
        let limiter = RateLimiter::default();
        let start = Instant::now();
        let fail = || Kind::Line(3, Cow::Borrowed("FAIL"));
        assert_eq!(limiter.admit(fail(), start), Some(0));
        for millis in [1, 2_000, 9_999] {
            assert_eq!(limiter.admit(fail(), start + Duration::from_millis(millis)), None);
        }
        assert_eq!(limiter.admit(Kind::Line(4, Cow::Borrowed("FAIL")), start), Some(0));
        assert_eq!(limiter.admit(Kind::Error(ErrorCode::TRANSPORT), start), Some(0));
        assert_eq!(limiter.admit(fail(), start + INTERVAL), Some(3));
        assert_eq!(limiter.admit(fail(), start + INTERVAL * 2), Some(0));
    }
}
