//! How far a connection has come with its authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::scram::{self, Challenged};
use super::{Denied, Mechanism, Users, plain};
use crate::api;
use crate::wire::{Malformed, Request};

/// What a connection may send before it is authenticated, in bytes: Kafka's limit.
const MAX_BYTES_OF_STRANGERS: usize = 512 * 1024;

/// The authentication of one connection.
pub(crate) struct Session {
    users: Arc<Users>,
    /// How long an authentication holds, if not for as long as the connection.
    lifetime: Option<Duration>,
    stage: Stage,
    /// Who has been authenticated before, and how: another one is not taken.
    before: Option<Authenticated>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Authenticated {
    name: String,
    mechanism: Mechanism,
}

enum Stage {
    /// Nobody has to be anybody, or is by now.
    Open {
        until: Option<Instant>,
    },
    /// A mechanism has to be agreed on.
    Handshake,
    Exchange(Exchange),
}

struct Exchange {
    mechanism: Mechanism,
    /// Whether tokens come as Kafka's requests, or, after the oldest handshake, as they are.
    in_requests: bool,
    challenged: Option<Challenged>,
}

/// What becomes of a frame.
pub(crate) enum Reply {
    /// The broker answers it.
    Pass(Request),
    Answer(BytesMut),
    /// Answered, and then the connection is closed.
    Last(BytesMut),
}

/// What an exchange comes to.
enum Step {
    Challenge(Vec<u8>),
    Done(Authenticated, Vec<u8>),
}

impl Session {
    pub(crate) fn new(users: Arc<Users>, lifetime: Option<Duration>) -> Self {
        let stage = if users.is_empty() { Stage::Open { until: None } } else { Stage::Handshake };
        Self { users, lifetime, stage, before: None }
    }

    /// The longest frame that is taken now.
    pub(crate) fn max_bytes(&self, of_the_broker: usize) -> usize {
        match self.stage {
            Stage::Open { .. } => of_the_broker,
            Stage::Handshake | Stage::Exchange(_) => of_the_broker.min(MAX_BYTES_OF_STRANGERS),
        }
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// What may not be sent now, or cannot be read: the connection is to be closed.
    pub(crate) fn receive(&mut self, frame: Bytes) -> Result<Reply, Malformed> {
        if matches!(&self.stage, Stage::Exchange(exchange) if !exchange.in_requests) {
            return self.take_bare_token(&frame);
        }
        let request = Request::parse(frame)?;
        match (&self.stage, request.key) {
            (Stage::Open { until: Some(_) } | Stage::Handshake, ApiKey::SaslHandshake) => {
                self.shake_hands(&request)
            }
            (Stage::Open { until: Some(until) }, _) if Instant::now() >= *until => {
                Err(Malformed("the authentication has expired, and was not renewed".to_owned()))
            }
            (Stage::Open { .. }, _) | (Stage::Handshake, ApiKey::ApiVersions) => Ok(Reply::Pass(request)),
            (Stage::Exchange(_), ApiKey::SaslAuthenticate) => self.take_token(&request),
            (_, key) => Err(Malformed(format!("{key:?} before the connection is authenticated"))),
        }
    }

    fn shake_hands(&mut self, request: &Request) -> Result<Reply, Malformed> {
        api::check_version(request)?;
        let wanted: SaslHandshakeRequest = request.decode()?;
        let all = Mechanism::ALL.map(|mechanism| StrBytes::from_static_str(mechanism.name()));
        let response = SaslHandshakeResponse::default().with_mechanisms(all.to_vec());
        let Some(mechanism) = Mechanism::named(&wanted.mechanism) else {
            let response = response.with_error_code(ResponseError::UnsupportedSaslMechanism.code());
            return request.answer(&response).map(Reply::Last);
        };
        if let Some(before) = self.before.as_ref().filter(|before| before.mechanism != mechanism) {
            let what = format!(
                "{} was asked for to renew an authentication with {}",
                mechanism.name(),
                before.mechanism.name()
            );
            return Err(Malformed(what));
        }
        let in_requests = request.version >= 1;
        self.stage = Stage::Exchange(Exchange { mechanism, in_requests, challenged: None });
        request.answer(&response).map(Reply::Answer)
    }

    fn take_token(&mut self, request: &Request) -> Result<Reply, Malformed> {
        api::check_version(request)?;
        let asked: SaslAuthenticateRequest = request.decode()?;
        match self.step(&asked.auth_bytes) {
            Ok(token) => {
                let lifetime_ms = match self.stage {
                    Stage::Open { .. } => self.lifetime.map_or(0, |lifetime| lifetime.as_millis()),
                    _ => 0,
                };
                let mut response = SaslAuthenticateResponse::default().with_auth_bytes(token.into());
                if request.version >= 1 {
                    response.session_lifetime_ms = i64::try_from(lifetime_ms).unwrap_or(i64::MAX);
                }
                request.answer(&response).map(Reply::Answer)
            }
            Err((error, message)) => {
                let response = SaslAuthenticateResponse::default()
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message)));
                request.answer(&response).map(Reply::Last)
            }
        }
    }

    fn take_bare_token(&mut self, token: &[u8]) -> Result<Reply, Malformed> {
        let answer = self.step(token).map_err(|(_, message)| Malformed(message))?;
        let length = i32::try_from(answer.len()).map_err(|_| Malformed("a token is too long".to_owned()))?;
        let mut frame = BytesMut::with_capacity(4 + answer.len());
        frame.put_i32(length);
        frame.put_slice(&answer);
        Ok(Reply::Answer(frame))
    }

    fn step(&mut self, token: &[u8]) -> Result<Vec<u8>, (ResponseError, String)> {
        let failed = |message: String| (ResponseError::SaslAuthenticationFailed, message);
        let Stage::Exchange(exchange) = &mut self.stage else {
            let message = "SaslAuthenticate request received without a handshake".to_owned();
            return Err((ResponseError::IllegalSaslState, message));
        };
        let mechanism = exchange.mechanism;
        match exchange.step(&self.users, token) {
            Ok(Step::Challenge(answer)) => Ok(answer),
            Ok(Step::Done(who, answer)) => {
                if let Some(before) = self.before.as_ref().filter(|before| before.name != who.name) {
                    return Err(failed(format!(
                        "Cannot change principals during re-authentication from User.{}: User.{}",
                        before.name, who.name
                    )));
                }
                self.before = Some(who);
                self.stage = Stage::Open { until: self.lifetime.map(|lifetime| Instant::now() + lifetime) };
                Ok(answer)
            }
            Err(Denied::Mistake(message)) => Err(failed(message.to_owned())),
            Err(Denied::Credentials) => {
                let what = if self.before.is_some() { "re-authentication" } else { "authentication" };
                Err(failed(format!(
                    "Authentication failed during {what} due to invalid credentials with SASL mechanism {}",
                    mechanism.name()
                )))
            }
        }
    }
}

impl Exchange {
    fn step(&mut self, users: &Users, token: &[u8]) -> Result<Step, Denied> {
        let mechanism = self.mechanism;
        let done = |name| Authenticated { name, mechanism };
        match (mechanism, self.challenged.take()) {
            (Mechanism::Plain, _) => {
                plain::authenticate(users, token).map(|name| Step::Done(done(name), Vec::new()))
            }
            (Mechanism::Scram(hash), None) => {
                let nonce = Uuid::new_v4().simple().to_string();
                let (challenged, answer) = scram::challenge(users, hash, token, &nonce)?;
                self.challenged = Some(challenged);
                Ok(Step::Challenge(answer.into_bytes()))
            }
            (Mechanism::Scram(_), Some(challenged)) => {
                let (name, answer) = challenged.verify(token)?;
                Ok(Step::Done(done(name), answer.into_bytes()))
            }
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
