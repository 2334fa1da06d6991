//! One broker of the cluster: a listener and its connections, which can be stopped and started again on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::BrokerId;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ServerLimits;
use super::connection::Connection;
use crate::control::ControlError;
use crate::state::State;
use crate::wire::frame::FrameBudget;

/// After a failure to accept, which is usually a lack of files, to let some be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted, as by the standard library.
const BACKLOG: u32 = 1_024;

/// What all brokers share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) state: Arc<State>,
    pub(super) limits: ServerLimits,
    pub(super) budget: FrameBudget,
}

/// A broker, up or down.
#[derive(Debug)]
pub(super) struct Node {
    id: BrokerId,
    address: Option<SocketAddr>,
    /// The one task that accepts, which owns the connections; aborted when it is dropped.
    task: JoinSet<()>,
    stop: Option<oneshot::Sender<()>>,
    /// While it is down: bound, so that nobody else takes the port, and not listened on, so that nobody gets through.
    reserved: Option<TcpSocket>,
}

impl Node {
    pub(super) fn start(id: BrokerId, listener: TcpListener, shared: &Shared) -> Self {
        let address = listener.local_addr().ok();
        let mut node = Self { id, address, task: JoinSet::new(), stop: None, reserved: None };
        node.accept_on(listener, shared);
        node
    }

    pub(super) fn id(&self) -> BrokerId {
        self.id
    }

    fn accept_on(&mut self, listener: TcpListener, shared: &Shared) {
        let (stop, stopped) = oneshot::channel();
        self.stop = Some(stop);
        self.task.spawn(accept(self.id, listener, shared.clone(), stopped));
    }

    /// Closes the listener and every connection. Nothing is answered any more when this returns.
    pub(super) async fn stop(&mut self) {
        // It is gone only if the task has ended already.
        drop(self.stop.take());
        while self.task.join_next().await.is_some() {}
    }

    /// Keeps the port for when the broker is started again.
    pub(super) fn keep_port(&mut self) {
        if self.reserved.is_some() {
            return;
        }
        self.reserved = self.address.and_then(|address| {
            bound(address)
                .inspect_err(
                    |error| tracing::warn!(%address, %error, "the port of a stopped broker is not kept"),
                )
                .ok()
        });
    }

    pub(super) fn start_again(&mut self, shared: &Shared) -> Result<(), ControlError> {
        if self.stop.is_some() {
            return Ok(());
        }
        let Some(address) = self.address else { return Err(ControlError::ended()) };
        let failed = |error| ControlError::listen(self.id.0, address, error);
        let socket = self.reserved.take().map_or_else(|| bound(address), Ok);
        let listener = socket.and_then(|socket| socket.listen(BACKLOG)).map_err(failed)?;
        self.accept_on(listener, shared);
        Ok(())
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections that were cut may linger on it. On Windows this would let others take it, and is not needed.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(id: BrokerId, listener: TcpListener, shared: Shared, mut stop: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the embedded broker ended in a panic");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < shared.limits.max_connections => {
                    let (limits, budget) = (shared.limits.frame.clone(), shared.budget.clone());
                    let state = Arc::clone(&shared.state);
                    connections.spawn(Connection::new(id, stream, peer, state, limits, budget).run());
                }
                Ok((_, peer)) => tracing::warn!(%peer, "too many connections to the embedded broker"),
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}
