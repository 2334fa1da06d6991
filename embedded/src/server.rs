//! Accepts connections, and answers their requests one after the other, as Kafka does.
//!
//! Every task belongs to the one that [`serve`] runs in, and ends with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::api::{self, Caller};
use crate::security::{Reply, Session};
use crate::state::State;
use crate::wire::Malformed;
use crate::wire::frame::{self, FrameBudget, FrameLimits};

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
    async fn run(self) {
        let Self { mut stream, peer, state, limits, budget } = self;
        let caller = Caller { host: format!("/{}", peer.ip()) };
        let served = match stream.set_nodelay(true) {
            Ok(()) => answer_requests(&mut stream, &caller, &state, &limits, &budget).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "the embedded broker closed a connection");
        }
    }
}

/// Answers the requests of one connection, until it ends or has to be ended.
pub(crate) async fn answer_requests<S>(
    stream: &mut S,
    caller: &Caller,
    state: &State,
    limits: &FrameLimits,
    budget: &FrameBudget,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bad = |Malformed(what)| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut session = Session::new(Arc::clone(&state.users), state.session_lifetime);
    loop {
        let limits = FrameLimits { max_bytes: session.max_bytes(limits.max_bytes), ..limits.clone() };
        let Some(frame) = frame::read(stream, &limits, budget).await? else {
            return Ok(());
        };
        let (answer, is_last) = match session.receive(frame.bytes.clone()).map_err(bad)? {
            Reply::Pass(request) => (api::answer(state, caller, request).await.map_err(bad)?, false),
            Reply::Answer(answer) => (Some(answer), false),
            Reply::Last(answer) => (Some(answer), true),
        };
        drop(frame);
        if let Some(answer) = answer {
            timeout(ANSWER_DEADLINE, stream.write_all(&answer))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))??;
        }
        if is_last {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the authentication failed"));
        }
    }
}
