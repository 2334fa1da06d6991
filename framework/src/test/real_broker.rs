//! What keeps tests apart on a broker that they share.
//!
//! A test's groups are its own, by a suffix; they start at the end that each topic has when the test begins, and are
//! deleted when it is over. Topics have the names that handlers give them, so two tests at once would read each
//! other's records: one test at a time uses a cluster, across all processes of this machine.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::error::{StartError, StartErrorKind};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// How often a lock that somebody else has is asked for.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// The right to use a cluster; it ends with the drop, and with the process.
#[derive(Debug)]
pub(super) struct Turn {
    _file: File,
}

/// The suffix of one test's groups, different for each.
pub(super) fn group_suffix() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("-test-{:x}-{}-{number}", now.as_millis(), process::id())
}

/// Waits until no other test uses this cluster. That may take as long as those tests do, so it has its own limit.
pub(super) fn take_turn(servers: &str, limit: Duration) -> Result<Turn, StartError> {
    let mut hasher = DefaultHasher::new();
    servers.hash(&mut hasher);
    let path = std::env::temp_dir().join(format!("kafka-boot-test-{:x}.lock", hasher.finish()));
    let failed = |text: &str| {
        let path = path.display();
        StartError::new(StartErrorKind::Other, format!("the lock of tests on `{servers}`, `{path}`, {text}"))
    };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| failed("cannot be opened").with_source(error))?;
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Turn { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(ASK_INTERVAL);
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(failed(&format!("was not free within {limit:?}: another test holds it")));
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(failed("cannot be locked").with_source(error));
            }
        }
    }
}
