//! SIGTERM and SIGINT: the first asks for a clean shutdown, a second one exits at once.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

/// Listens for signals from before the application starts until after it has stopped.
#[derive(Debug)]
pub(super) struct Signals {
    first: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Signals {
    pub(super) fn listen() -> Self {
        let (tell, first) = watch::channel(false);
        let task = tokio::spawn(async move {
            let signal = termination().await;
            info!(signal, "shutting down; a second signal exits at once");
            tell.send_replace(true);
            let signal = termination().await;
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

/// Waits for a signal that asks the process to end.
async fn termination() -> &'static str {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
        }
    }
    // An error means that the signal cannot be listened to; then nothing but a failure ends the application.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    "SIGINT"
}
