//! Clients that have to say who they are: librdkafka with PLAIN, and each mechanism by raw frames, since librdkafka has
//! SCRAM only beside OpenSSL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[expect(dead_code, reason = "some of it is for tests without users")]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{BufMut, Bytes, BytesMut};
use hmac::digest::{Digest, KeyInit};
use hmac::{Hmac, Mac};
use kafka_boot_embedded::{EmbeddedBroker, EmbeddedBrokerBuilder, StartErrorKind};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, RequestHeader,
    ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use pbkdf2::pbkdf2_hmac;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sha2::{Sha256, Sha512};
use support::{Driver, PATIENCE, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn guarded() -> EmbeddedBrokerBuilder {
    EmbeddedBroker::builder().topic("orders", 1).user("alice", "secret").user("bob", "pencil")
}

/// A connection that speaks the protocol and nothing else.
struct Raw(TcpStream);

impl Raw {
    async fn connect(broker: &EmbeddedBroker) -> Self {
        Self(TcpStream::connect(broker.bootstrap_servers()).await.unwrap())
    }

    /// The answer, or `None` if the connection was closed instead.
    async fn ask<T>(&mut self, version: i16, request: &T) -> Option<T::Response>
    where
        T: Request + Encodable + HeaderVersion,
        T::Response: Decodable + HeaderVersion,
    {
        let header = RequestHeader::default()
            .with_request_api_key(T::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut body = BytesMut::new();
        header.encode(&mut body, T::header_version(version)).unwrap();
        request.encode(&mut body, version).unwrap();
        let mut frame = BytesMut::new();
        frame.put_u32(u32::try_from(body.len()).unwrap());
        frame.extend_from_slice(&body);
        self.0.write_all(&frame).await.unwrap();
        let mut answer = Bytes::from(timeout(PATIENCE, self.frame()).await.unwrap()?);
        ResponseHeader::decode(&mut answer, T::Response::header_version(version)).unwrap();
        Some(T::Response::decode(&mut answer, version).unwrap())
    }

    async fn frame(&mut self) -> Option<Vec<u8>> {
        let length = self.0.read_u32().await.ok()?;
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.ok()?;
        Some(body)
    }

    async fn handshake(&mut self, mechanism: &'static str) -> Option<SaslHandshakeResponse> {
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
        self.ask(1, &request).await
    }

    async fn token(&mut self, token: &str) -> Option<SaslAuthenticateResponse> {
        let bytes = Bytes::copy_from_slice(token.as_bytes());
        self.ask(2, &SaslAuthenticateRequest::default().with_auth_bytes(bytes)).await
    }

    async fn metadata(&mut self) -> Option<MetadataResponse> {
        self.ask(9, &MetadataRequest::default()).await
    }
}

/// The client's side of SCRAM, written down from RFC 5802 once more.
trait Scram {
    fn salted(password: &str, salt: &[u8], iterations: u32) -> Vec<u8>;
    fn hmac(key: &[u8], message: &str) -> Vec<u8>;
    fn hash(message: &[u8]) -> Vec<u8>;
}

macro_rules! scram {
    ($hash:ty, $length:literal) => {
        impl Scram for $hash {
            fn salted(password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
                let mut salted = vec![0; $length];
                pbkdf2_hmac::<$hash>(password.as_bytes(), salt, iterations, &mut salted);
                salted
            }
            fn hmac(key: &[u8], message: &str) -> Vec<u8> {
                let mut mac = <Hmac<$hash> as KeyInit>::new_from_slice(key).unwrap();
                mac.update(message.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            fn hash(message: &[u8]) -> Vec<u8> {
                <$hash>::digest(message).to_vec()
            }
        }
    };
}
scram!(Sha256, 32);
scram!(Sha512, 64);

/// Whether both sides have proved to know the password.
async fn exchange<H: Scram>(raw: &mut Raw, name: &str, password: &str) -> bool {
    let first = format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL");
    let challenge = raw.token(&format!("n,,{first}")).await.unwrap().auth_bytes;
    let challenge = String::from_utf8(challenge.to_vec()).unwrap();
    let fields: Vec<&str> = challenge.split(',').collect();
    let (nonce, salt, iterations) = (&fields[0][2..], &fields[1][2..], &fields[2][2..]);
    assert!(nonce.starts_with("fyko+d2lbbFgONRv9qkxdawL") && nonce.len() > 40, "{challenge}");
    assert_eq!(iterations, "4096");
    let salted = H::salted(password, &BASE64.decode(salt).unwrap(), 4_096);
    let client_key = H::hmac(&salted, "Client Key");
    let last = format!("c=biws,r={nonce}");
    let said = format!("{first},{challenge},{last}");
    let signature = H::hmac(&H::hash(&client_key), &said);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
    let answer = raw.token(&format!("{last},p={}", BASE64.encode(proof))).await.unwrap();
    if answer.error_code != 0 {
        assert_eq!(answer.error_code, 58, "SASL_AUTHENTICATION_FAILED");
        assert!(
            answer
                .error_message
                .unwrap()
                .contains("due to invalid credentials with SASL mechanism SCRAM-SHA-")
        );
        return false;
    }
    let server = H::hmac(&H::hmac(&salted, "Server Key"), &said);
    assert_eq!(answer.auth_bytes, format!("v={}", BASE64.encode(server)).as_bytes());
    true
}

#[tokio::test]
async fn each_mechanism_lets_in_who_knows_the_password_and_nobody_else() {
    let broker = guarded().start().await.unwrap();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for (name, password, expected) in
            [("alice", "secret", true), ("bob", "pencil", true), ("alice", "pencil", false)]
        {
            let mut raw = Raw::connect(&broker).await;
            assert_eq!(raw.handshake(mechanism).await.unwrap().error_code, 0);
            let let_in = if mechanism == "SCRAM-SHA-256" {
                exchange::<Sha256>(&mut raw, name, password).await
            } else {
                exchange::<Sha512>(&mut raw, name, password).await
            };
            assert_eq!(let_in, expected, "{mechanism} {name} {password}");
            assert_eq!(raw.metadata().await.is_some(), expected, "{mechanism} {name} {password}");
        }
    }
    for (token, expected) in [("\0alice\0secret", true), ("\0alice\0pencil", false)] {
        let mut raw = Raw::connect(&broker).await;
        raw.handshake("PLAIN").await.unwrap();
        let answer = raw.token(token).await.unwrap();
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (if expected { 0 } else { 58 }, 0));
        assert_eq!(raw.metadata().await.is_some(), expected);
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_stranger_is_told_the_versions_and_mechanisms_and_then_disconnected() {
    let broker = guarded().start().await.unwrap();
    let mut raw = Raw::connect(&broker).await;
    let versions: ApiVersionsResponse = raw.ask(0, &ApiVersionsRequest::default()).await.unwrap();
    assert!(versions.api_keys.iter().any(|api| api.api_key == 36), "SaslAuthenticate is advertised");
    assert!(raw.metadata().await.is_none());

    let mut raw = Raw::connect(&broker).await;
    let refused = raw.handshake("GSSAPI").await.unwrap();
    assert_eq!((refused.error_code, refused.mechanisms.len()), (33, 3), "UNSUPPORTED_SASL_MECHANISM");
    assert!(raw.handshake("PLAIN").await.is_none(), "it was the last answer");

    let mut raw = Raw::connect(&broker).await;
    raw.0.write_all(&[0, 0x10, 0, 0, 0, 3]).await.unwrap();
    assert_eq!(raw.frame().await, None, "a megabyte is more than a stranger needs");
    broker.shutdown().await;
}

#[tokio::test]
async fn without_users_there_is_nothing_to_authenticate() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    let mut raw = Raw::connect(&broker).await;
    assert_eq!(raw.handshake("PLAIN").await.unwrap().error_code, 34, "ILLEGAL_SASL_STATE");
    assert_eq!(raw.token("\0alice\0secret").await.unwrap().error_code, 34);
    assert!(raw.metadata().await.is_some());
}

#[tokio::test]
async fn users_that_make_no_sense_are_refused_by_name() {
    let bad = [
        EmbeddedBroker::builder().user("", "secret"),
        EmbeddedBroker::builder().user("alice", ""),
        EmbeddedBroker::builder().user("al\0ice", "secret"),
        guarded().user("alice", "other"),
        guarded().session_lifetime(std::time::Duration::ZERO),
    ];
    for builder in bad {
        assert!(!format!("{builder:?}").contains("secret"), "{builder:?}");
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::Setting);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

fn sasl(broker: &Running, password: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("security.protocol", "sasl_plaintext")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", "alice")
        .set("sasl.password", password)
        .set("group.id", "group");
    config
}

#[test]
fn librdkafka_produces_and_consumes_with_the_password() {
    let broker = Running::start(guarded());
    let settings = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "secret"),
    ];
    let producer = broker.producer(&settings);
    broker.block_on(async {
        let record = kafka_boot_client::ProducerRecord::new("orders").payload("paid");
        drop(producer.enqueue(record).await.unwrap());
        producer.flush(PATIENCE).await.unwrap();
    });
    let mut config = broker.consumer_config("readers");
    for (key, value) in settings {
        config.set(key, value);
    }
    let mut driver = Driver::subscribe(&config, "orders");
    driver.poll_until("the record", |driver| !driver.records.is_empty());
    assert_eq!(driver.records[0].payload(), Some(&b"paid"[..]));
}

#[test]
fn librdkafka_with_a_wrong_password_gets_nowhere_and_says_why() {
    let broker = Running::start(guarded());
    let consumer: BaseConsumer = sasl(&broker, "wrong").create().unwrap();
    let started = std::time::Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "no error about the authentication");
        if let Some(Err(error)) = consumer.poll(std::time::Duration::from_millis(50)) {
            let text = error.to_string();
            if text.contains("Authentication") {
                break;
            }
        }
    }
    drop(consumer);
    let right: BaseConsumer = sasl(&broker, "secret").create().unwrap();
    assert_eq!(right.fetch_metadata(Some("orders"), PATIENCE).unwrap().topics().len(), 1);
}
