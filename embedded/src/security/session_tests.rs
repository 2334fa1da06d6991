//! The authentication of a connection, request by request.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::ops::RangeInclusive;

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request as Asked};

use super::*;

const VERSIONS: RangeInclusive<i16> = 0..=2;

fn session(lifetime: Option<Duration>) -> Session {
    let mut users = Users::default();
    users.add("alice".to_owned(), "secret".to_owned());
    users.add("bob".to_owned(), "hidden".to_owned());
    Session::new(Arc::new(users), lifetime)
}

fn frame<T: Asked + Encodable + HeaderVersion>(version: i16, request: &T) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(T::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7);
    let mut bytes = BytesMut::new();
    header.encode(&mut bytes, T::header_version(version)).unwrap();
    request.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

fn answered<T: Decodable + HeaderVersion>(frame: BytesMut, version: i16) -> T {
    let mut bytes = frame.freeze().slice(4..);
    let header =
        kafka_protocol::messages::ResponseHeader::decode(&mut bytes, T::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 7);
    T::decode(&mut bytes, version).unwrap()
}

fn handshake(session: &mut Session, version: i16, mechanism: &'static str) -> Result<Reply, Malformed> {
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    session.receive(frame(version, &request))
}

fn authenticate(session: &mut Session, version: i16, token: &'static str) -> Reply {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(token.as_bytes()));
    session.receive(frame(version, &request)).unwrap()
}

/// The answer, and whether it is the last.
fn sasl_answer(reply: Reply, version: i16) -> (SaslAuthenticateResponse, bool) {
    match reply {
        Reply::Answer(bytes) => (answered(bytes, version), false),
        Reply::Last(bytes) => (answered(bytes, version), true),
        Reply::Pass(request) => panic!("{request:?} is passed on"),
    }
}

fn is_passed(session: &mut Session) -> bool {
    matches!(session.receive(frame(9, &MetadataRequest::default())), Ok(Reply::Pass(_)))
}

fn log_in(session: &mut Session, version: i16) -> SaslAuthenticateResponse {
    assert!(matches!(handshake(session, 1, "PLAIN"), Ok(Reply::Answer(_))));
    let (answer, is_last) = sasl_answer(authenticate(session, version, "\0alice\0secret"), version);
    assert_eq!((answer.error_code, is_last), (0, false));
    answer
}

#[test]
fn a_stranger_may_only_ask_for_versions_and_authenticate() {
    let mut session = session(None);
    assert!(!is_passed(&mut session));
    let versions = frame(0, &ApiVersionsRequest::default());
    assert!(matches!(session.receive(versions.clone()), Ok(Reply::Pass(_))));
    let early = SaslAuthenticateRequest::default();
    assert!(session.receive(frame(1, &early)).is_err(), "there was no handshake");
    handshake(&mut session, 1, "PLAIN").unwrap();
    assert!(!is_passed(&mut session));
    assert!(session.receive(versions).is_err(), "the exchange has begun");
    assert_eq!(session.max_bytes(usize::MAX), MAX_BYTES_OF_STRANGERS);
}

#[test]
fn with_the_password_everything_is_open_until_the_end() {
    for version in VERSIONS {
        let mut session = session(None);
        assert_eq!(log_in(&mut session, version).session_lifetime_ms, 0);
        assert!(is_passed(&mut session));
        // Without an end there is nothing to renew, and the broker refuses it.
        assert!(matches!(handshake(&mut session, 1, "PLAIN"), Ok(Reply::Pass(_))));
        assert_eq!(session.max_bytes(usize::MAX), usize::MAX);
    }
}

#[test]
fn a_broker_without_users_lets_everybody_in() {
    let mut session = Session::new(Arc::default(), None);
    assert!(is_passed(&mut session));
    assert!(matches!(handshake(&mut session, 1, "PLAIN"), Ok(Reply::Pass(_))));
}

#[test]
fn an_unknown_mechanism_is_answered_with_those_there_are() {
    for version in 0..=1 {
        let Ok(Reply::Last(bytes)) = handshake(&mut session(None), version, "GSSAPI") else {
            panic!("not the last answer");
        };
        let response: SaslHandshakeResponse = answered(bytes, version);
        assert_eq!(response.error_code, ResponseError::UnsupportedSaslMechanism.code());
        let names: Vec<&str> = response.mechanisms.iter().map(|name| &**name).collect();
        assert_eq!(names, ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    }
}

#[test]
fn a_wrong_password_is_the_end_and_says_so_as_kafka_does() {
    let scram = "n,,n=nobody,r=abc";
    let cases = [
        ("PLAIN", "\0alice\0wrong", "Authentication failed: Invalid username or password"),
        (
            "SCRAM-SHA-256",
            scram,
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256",
        ),
        (
            "SCRAM-SHA-512",
            scram,
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512",
        ),
    ];
    for (mechanism, token, expected) in cases {
        let mut session = session(None);
        handshake(&mut session, 1, mechanism).unwrap();
        let (answer, is_last) = sasl_answer(authenticate(&mut session, 2, token), 2);
        assert_eq!((answer.error_code, is_last), (ResponseError::SaslAuthenticationFailed.code(), true));
        assert_eq!(answer.error_message.as_deref(), Some(expected));
        assert!(!is_passed(&mut session));
    }
}

#[test]
fn after_the_oldest_handshake_tokens_come_as_they_are() {
    let mut session = session(None);
    handshake(&mut session, 0, "PLAIN").unwrap();
    let Ok(Reply::Answer(answer)) = session.receive(Bytes::from_static(b"\0alice\0secret")) else {
        panic!("no answer");
    };
    assert_eq!(answer[..], [0, 0, 0, 0]);
    assert!(is_passed(&mut session));
    let mut wrong = self::session(None);
    handshake(&mut wrong, 0, "PLAIN").unwrap();
    assert!(wrong.receive(Bytes::from_static(b"\0alice\0wrong")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_has_to_be_renewed_by_the_same_user_in_the_same_way() {
    let lifetime = Duration::from_mins(1);
    let mut session = session(Some(lifetime));
    for version in [1, 2] {
        assert_eq!(log_in(&mut session, version).session_lifetime_ms, 60_000);
        assert!(is_passed(&mut session));
        tokio::time::advance(lifetime).await;
        assert!(!is_passed(&mut session), "it is over, and can be renewed");
    }
    assert!(handshake(&mut session, 1, "SCRAM-SHA-256").is_err());
    handshake(&mut session, 1, "PLAIN").unwrap();
    let (answer, is_last) = sasl_answer(authenticate(&mut session, 2, "\0bob\0hidden"), 2);
    assert_eq!((answer.error_code, is_last), (ResponseError::SaslAuthenticationFailed.code(), true));
    assert!(answer.error_message.unwrap().starts_with("Cannot change principals during re-authentication"));
    assert!(!is_passed(&mut session));
}
