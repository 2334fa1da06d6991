//! One connection, whose requests are answered one after the other, as Kafka does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::BrokerId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::{self, Caller};
use crate::control::guide::{self, Verdict};
use crate::control::link::Pace;
use crate::state::State;
use crate::wire::frame::{self, FrameBudget, FrameLimits};
use crate::wire::{Malformed, Request};

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

    pub(super) async fn run(mut self) {
        let peer = self.peer;
        let state = Arc::clone(&self.state);
        let line = state.controls.connections.open(self.caller.node);
        let ended = tokio::select! {
            biased;
            () = line.cut() => Err(io::Error::other("a test has cut it")),
            ended = self.answer_requests(&line) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "the embedded broker closed a connection");
        }
    }

    async fn answer_requests(&mut self, line: &crate::control::connections::Line<'_>) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let bad = |Malformed(what)| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut client_id: Option<String> = None;
        while let Some(frame) = frame::read(&mut self.stream, &self.limits, &self.budget).await? {
            let mut request = Request::parse(frame.bytes.clone()).map_err(bad)?;
            if client_id.as_ref() != Some(&request.client_id) {
                line.is_of(&request.client_id);
                client_id = Some(request.client_id.clone());
            }
            if self.state.controls.are_idle() {
                let answer = api::answer(&self.state, &self.caller, &request).await.map_err(bad)?;
                drop(frame);
                self.write(answer, None).await?;
                continue;
            }
            let size = frame.bytes.len();
            let verdict = guide::answer(&self.state, &self.caller, &mut request, size).await.map_err(bad)?;
            drop(frame);
            match verdict {
                Verdict::Answer(answer, pace) => self.write(answer, pace).await?,
                Verdict::Close => return Err(io::Error::other("a test has cut it at a request")),
            }
        }
        Ok(())
    }

    async fn write(&mut self, answer: Option<BytesMut>, pace: Option<Pace>) -> io::Result<()> {
        let Some(answer) = answer else { return Ok(()) };
        let Some(pace) = pace else {
            return timeout(ANSWER_DEADLINE, self.stream.write_all(&answer))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))?;
        };
        for part in answer.chunks(pace.bytes_at_once()) {
            timeout(ANSWER_DEADLINE, self.stream.write_all(part))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken"))??;
            pace.take(part.len()).await;
        }
        Ok(())
    }
}
