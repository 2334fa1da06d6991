//! How a command that goes on and on is told to end: by Ctrl-C, by SIGTERM, or by a test.

use std::process;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::watch;

/// What a shell says of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Tells a command that follows something (`consume`, `produce`, `dev`) to finish what is in hand and end.
///
/// ```
/// use kafka_boot_cli::Interrupt;
///
/// let interrupt = Interrupt::new();
/// let other = interrupt.clone();
/// other.interrupt();
/// assert!(interrupt.is_interrupted());
/// ```
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: watch::Sender<bool>,
    of_process: bool,
    armed: OnceLock<()>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::new()
    }
}

impl Interrupt {
    /// One that only [`Self::interrupt`] sets off.
    pub fn new() -> Self {
        Self::with(false)
    }

    /// One that Ctrl-C and SIGTERM set off as well, as soon as a command listens; the second one ends the process.
    pub fn of_process() -> Self {
        Self::with(true)
    }

    fn with(of_process: bool) -> Self {
        Self(Arc::new(Shared { told: watch::Sender::new(false), of_process, armed: OnceLock::new() }))
    }

    /// Tells the command to end.
    pub fn interrupt(&self) {
        self.0.told.send_replace(true);
    }

    /// Whether the command was told to end.
    pub fn is_interrupted(&self) -> bool {
        *self.0.told.borrow()
    }

    /// Returns when the command is told to end.
    pub(crate) async fn interrupted(&self) {
        // The sender lives as long as `self`.
        drop(self.0.told.subscribe().wait_for(|told| *told).await);
    }

    /// From here on signals are told, and no longer end the process at once. Other commands leave them as they are.
    pub(crate) fn listen(&self) {
        if !self.0.of_process || self.0.armed.set(()).is_err() {
            return;
        }
        let interrupt = self.clone();
        let watching = thread::Builder::new().name("signals".to_owned()).spawn(move || interrupt.watch());
        // Without the thread a signal ends the process, as it does other commands.
        drop(watching);
    }

    fn watch(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            if signal().await {
                self.interrupt();
                signal().await;
                process::exit(INTERRUPTED.into());
            }
        });
    }
}

/// Waits for a signal; `false` where none can be had.
async fn signal() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
        tokio::select! {
            told = tokio::signal::ctrl_c() => told.is_ok(),
            told = terminate.recv() => told.is_some(),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.is_ok()
    }
}
