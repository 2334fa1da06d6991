//! The handle of a running broker.

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::builder::EmbeddedBrokerBuilder;
use crate::server::{self, ServerLimits};
use crate::state::State;

/// A running broker. It stops when it is dropped, or, so that one can wait for it, by [`shutdown`](Self::shutdown).
pub struct EmbeddedBroker {
    bootstrap_servers: String,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// A broker to be configured and started.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = EmbeddedBroker::builder().port(0).partitions(3).start().await?;
    /// assert!(broker.bootstrap_servers().starts_with("127.0.0.1:"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> EmbeddedBrokerBuilder {
        EmbeddedBrokerBuilder::default()
    }

    pub(crate) fn run(listener: TcpListener, state: Arc<State>, limits: ServerLimits) -> Self {
        let bootstrap_servers = format!("{}:{}", state.host, state.port);
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::serve(listener, state, limits, stopped));
        Self { bootstrap_servers, stop: Some(stop), server }
    }

    /// What clients set as `bootstrap.servers`: host and port.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Stops the broker. When this returns, the port is free, all connections are closed, and no task is left.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // The other end is gone only if the server has ended already.
            let _ = stop.send(());
        }
        // It can only have been cancelled with its runtime.
        let _ = (&mut self.server).await;
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // The server owns its connections; they end with it.
        self.server.abort();
    }
}

impl fmt::Debug for EmbeddedBroker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedBroker")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .finish_non_exhaustive()
    }
}
