//! One connection, whose requests are answered one after the other, as Kafka does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::BrokerId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::{self, Caller};
use crate::control::connections::Line;
use crate::control::guide::{self, Verdict};
use crate::control::link::Pace;
use crate::security::{Reply, Session};
use crate::state::State;
use crate::wire::Malformed;
use crate::wire::frame::{self, FrameBudget, FrameLimits};

/// A client that does not take its answer within this time is given up.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Connection {
    stream: TcpStream,
    caller: Caller,
    peer: SocketAddr,
    state: Arc<State>,
    limits: FrameLimits,
    budget: FrameBudget,
}

impl Connection {
    pub(super) fn new(
        node: BrokerId,
        stream: TcpStream,
        peer: SocketAddr,
        state: Arc<State>,
        limits: FrameLimits,
        budget: FrameBudget,
    ) -> Self {
        let caller = Caller { node, host: format!("/{}", peer.ip()) };
        Self { stream, caller, peer, state, limits, budget }
    }

    pub(super) async fn run(self) {
        let Self { mut stream, caller, peer, state, limits, budget } = self;
        let line = state.controls.connections.open(caller.node);
        let served = async {
            stream.set_nodelay(true)?;
            answer_requests(&mut stream, &caller, &state, &line, &limits, &budget).await
        };
        let ended = tokio::select! {
            biased;
            () = line.cut() => Err(io::Error::other("a test has cut it")),
            ended = served => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "the embedded broker closed a connection");
        }
    }
}

/// Answers the requests of one connection, until it ends or has to be ended.
pub(crate) async fn answer_requests<S>(
    stream: &mut S,
    caller: &Caller,
    state: &State,
    line: &Line<'_>,
    limits: &FrameLimits,
    budget: &FrameBudget,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bad = |Malformed(what)| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut session = Session::new(Arc::clone(&state.users), state.session_lifetime);
    let mut client_id: Option<String> = None;
    loop {
        let limits = FrameLimits { max_bytes: session.max_bytes(limits.max_bytes), ..limits.clone() };
        let Some(frame) = frame::read(stream, &limits, budget).await? else {
            return Ok(());
        };
        let mut request = match session.receive(frame.bytes.clone()).map_err(bad)? {
            Reply::Pass(request) => request,
            Reply::Answer(answer) => {
                drop(frame);
                write(stream, Some(answer), None).await?;
                continue;
            }
            Reply::Last(answer) => {
                drop(frame);
                write(stream, Some(answer), None).await?;
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the authentication failed"));
            }
        };
        if client_id.as_ref() != Some(&request.client_id) {
            line.is_of(&request.client_id);
            client_id = Some(request.client_id.clone());
        }
        if state.controls.are_idle() {
            let answer = api::answer(state, caller, &request).await.map_err(bad)?;
            drop(frame);
            write(stream, answer, None).await?;
            continue;
        }
        let size = frame.bytes.len();
        let verdict = guide::answer(state, caller, &mut request, size).await.map_err(bad)?;
        drop(frame);
        match verdict {
            Verdict::Answer(answer, pace) => write(stream, answer, pace).await?,
            Verdict::Close => return Err(io::Error::other("a test has cut it at a request")),
        }
    }
}

async fn write<S>(stream: &mut S, answer: Option<BytesMut>, pace: Option<Pace>) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let Some(answer) = answer else { return Ok(()) };
    let Some(pace) = pace else {
        return timeout(ANSWER_DEADLINE, stream.write_all(&answer))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))?;
    };
    for part in answer.chunks(pace.bytes_at_once()) {
        timeout(ANSWER_DEADLINE, stream.write_all(part))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))??;
        pace.take(part.len()).await;
    }
    Ok(())
}
