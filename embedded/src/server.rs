//! Accepts connections, and answers their requests one after the other, as Kafka does.
//!
//! Every task belongs to the one that [`serve`] runs in, and ends with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::api::{self, Caller};
use crate::state::State;
use crate::wire::frame::{self, FrameBudget, FrameLimits};
use crate::wire::{Malformed, Request};

/// How often is looked for records that are no longer retained, and transactions that have been open for too long.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A client that does not take its answer within this time is given up.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// After a failure to accept, which is usually a lack of files, to let some be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// As many of the longest requests may be in memory at once.
const LONGEST_REQUESTS_AT_ONCE: usize = 4;

/// What clients may cost.
#[derive(Debug, Clone)]
pub(crate) struct ServerLimits {
    pub(crate) max_connections: usize,
    pub(crate) frame: FrameLimits,
}

/// Serves until told to stop, and then closes every connection.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    limits: ServerLimits,
    mut stop: oneshot::Receiver<()>,
) {
    let budget = FrameBudget::new(limits.frame.max_bytes.saturating_mul(LONGEST_REQUESTS_AT_ONCE));
    let mut connections = JoinSet::new();
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clock_state = Arc::clone(&state);
    let clock = clock_state.groups.run_clock();
    tokio::pin!(clock);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = &mut clock => {}
            _ = housekeeping.tick() => state.tidy_up(),
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the embedded broker ended in a panic");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < limits.max_connections => {
                    let connection = Connection {
                        stream,
                        peer,
                        state: Arc::clone(&state),
                        limits: limits.frame.clone(),
                        budget: budget.clone(),
                    };
                    connections.spawn(connection.run());
                }
                Ok((_, peer)) => tracing::warn!(%peer, "too many connections to the embedded broker"),
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<State>,
    limits: FrameLimits,
    budget: FrameBudget,
}

impl Connection {
    async fn run(mut self) {
        let peer = self.peer;
        if let Err(error) = self.answer_requests().await {
            tracing::debug!(%peer, %error, "the embedded broker closed a connection");
        }
    }

    async fn answer_requests(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let caller = Caller { host: format!("/{}", self.peer.ip()) };
        while let Some(frame) = frame::read(&mut self.stream, &self.limits, &self.budget).await? {
            let bad = |Malformed(what)| io::Error::new(io::ErrorKind::InvalidData, what);
            let request = Request::parse(frame.bytes.clone()).map_err(bad)?;
            let answer = api::answer(&self.state, &caller, request).await.map_err(bad)?;
            drop(frame);
            if let Some(answer) = answer {
                timeout(ANSWER_DEADLINE, self.stream.write_all(&answer))
                    .await
                    .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))??;
            }
        }
        Ok(())
    }
}
