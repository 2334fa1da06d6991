//! SIGTERM and SIGINT: the first asks for a clean shutdown, a second one exits at once.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// Listens for signals from before the application starts until after it has stopped.
#[derive(Debug)]
pub(super) struct Signals {
    first: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Signals {
    /// Registers for the signals at once, so that none is missed from here on.
    pub(super) fn listen() -> Self {
        let (tell, first) = watch::channel(false);
        let mut terminations = Terminations::register();
        let task = tokio::spawn(async move {
            let signal = terminations.next().await;
            info!(signal, "shutting down; a second signal exits at once");
            tell.send_replace(true);
            let signal = terminations.next().await;
            error!(signal, "second signal: exiting at once");
            std::process::exit(1);
        });
        Self { first, task }
    }

    /// Waits for the first signal.
    pub(super) async fn first(&self) {
        let mut first = self.first.clone();
        // The sender lives as long as the task, which lives as long as this.
        let _ = first.wait_for(|told| *told).await;
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The signals that ask the process to end.
#[cfg(unix)]
struct Terminations {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

#[cfg(unix)]
impl Terminations {
    fn register() -> Self {
        let register = |kind: SignalKind, name: &str| {
            signal(kind).inspect_err(|error| warn!(%error, "{name} cannot be listened to")).ok()
        };
        Self {
            terminate: register(SignalKind::terminate(), "SIGTERM"),
            interrupt: register(SignalKind::interrupt(), "SIGINT"),
        }
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            () = received(self.terminate.as_mut()) => "SIGTERM",
            () = received(self.interrupt.as_mut()) => "SIGINT",
        }
    }
}

/// Waits for one signal; for ever, if it cannot be listened to.
#[cfg(unix)]
async fn received(signal: Option<&mut Signal>) {
    let is_received = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !is_received {
        std::future::pending::<()>().await;
    }
}

/// The signals that ask the process to end.
#[cfg(not(unix))]
struct Terminations;

#[cfg(not(unix))]
impl Terminations {
    fn register() -> Self {
        Self
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
