//! The log of one test: kept in memory, shown when the test fails.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of a test's log is kept; the newest lines win.
const BYTES_MAX: usize = 1024 * 1024;

/// Where the subscriber of a test writes.
#[derive(Debug, Clone, Default)]
pub(super) struct TestLog {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: usize,
}

impl TestLog {
    /// Everything that is kept, and how many lines before it are not.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = match lines.dropped {
            0 => String::new(),
            dropped => format!("({dropped} older lines are not kept)\n"),
        };
        for line in &lines.kept {
            text.push_str(&String::from_utf8_lossy(line));
        }
        text
    }
}

impl Write for TestLog {
    /// Takes one event, which is one line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.bytes += event.len();
        lines.kept.push_back(event.to_vec());
        while lines.bytes > BYTES_MAX
            && let Some(oldest) = lines.kept.pop_front()
        {
            lines.bytes -= oldest.len();
            lines.dropped += 1;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
