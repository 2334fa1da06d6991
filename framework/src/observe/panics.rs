//! Panics of handlers and jobs, told once: by whoever catches them, with the record or the job.
//!
//! Rust's own report of a panic goes beside the log, in several lines (with `RUST_BACKTRACE`, in a hundred), without the record,
//! and with the text as it is: whoever writes a record that a handler panics at could write lines of the log.
//!
//! # Invariants
//! 1. A panic that the framework catches is reported by its catcher, with its place; any other as if this were not here.
//! 2. Nothing is logged while a thread panics: the panic may have come out of the log.
//! 3. A panic while another one unwinds, which ends the process, is reported with the first one.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::pin::pin;
use std::sync::Once;

use tracing::debug;

thread_local! {
    /// How deep the thread is in code whose panics are caught.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The last panic there, until its catcher asks for it.
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

struct Panic {
    place: String,
    text: String,
    backtrace: Backtrace,
}

/// Lets the catchers report panics from now on. Where panics end the process, nobody catches any.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    if cfg!(panic = "abort") {
        return;
    }
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 || !keep(info) {
                before(info);
            }
        }));
    });
}

/// Keeps a panic for its catcher; `false` if another one is not caught yet.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let text = crate::error::panic_text(info.payload());
    if let Some(first) = LAST.take() {
        // There is nobody to tell if that cannot be written.
        let _ = writeln!(std::io::stderr(), "panicked at {}: {:?}; and then:", first.place, first.text);
        return false;
    }
    LAST.set(Some(Panic { place, text, backtrace: Backtrace::capture() }));
    true
}

/// Where the panic came from that was just caught on this thread, if that is known.
pub(crate) fn take_place() -> Option<String> {
    let Panic { place, backtrace, .. } = LAST.take()?;
    if backtrace.status() == BacktraceStatus::Captured {
        debug!(%place, %backtrace, "backtrace of a panic");
    }
    Some(place)
}

/// Runs a future whose panics are caught, inside of it.
pub(crate) async fn caught<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _within = Within::new();
        future.as_mut().poll(context)
    })
    .await
}

/// Runs a function whose panics are caught, inside of it.
pub(crate) fn caught_blocking<T>(run: impl FnOnce() -> T) -> T {
    let _within = Within::new();
    run()
}

/// Being in such code.
struct Within;

impl Within {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            // What the code caught itself.
            drop(LAST.take());
        }
    }
}
