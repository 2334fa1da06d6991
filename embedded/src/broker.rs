//! The handle of a running broker.

use std::fmt;
use std::sync::Arc;

use kafka_protocol::messages::BrokerId;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::builder::EmbeddedBrokerBuilder;
use crate::control::Control;
use crate::server::{self, Command, ServerLimits};
use crate::state::State;

/// Commands that wait for the server.
const MAX_COMMANDS: usize = 16;

/// A running broker, or several of one cluster. It stops when it is dropped, or, so that one can wait for it, by [`shutdown`](Self::shutdown).
pub struct EmbeddedBroker {
    bootstrap_servers: String,
    state: Arc<State>,
    commands: mpsc::Sender<Command>,
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

    pub(crate) fn run(
        listeners: Vec<(BrokerId, TcpListener)>,
        state: Arc<State>,
        limits: ServerLimits,
    ) -> Self {
        let addresses: Vec<String> =
            state.cluster.nodes().iter().map(|node| format!("{}:{}", node.host, node.port)).collect();
        let bootstrap_servers = addresses.join(",");
        let (stop, stopped) = oneshot::channel();
        let (commands, received) = mpsc::channel(MAX_COMMANDS);
        let server = tokio::spawn(server::serve(listeners, Arc::clone(&state), limits, received, stopped));
        Self { bootstrap_servers, state, commands, stop: Some(stop), server }
    }

    /// What a test can do to it. From the first call on, requests are recorded.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.state), self.commands.clone())
    }

    /// What clients set as `bootstrap.servers`: host and port of each broker, those that are stopped included.
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
