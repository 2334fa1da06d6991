//! Bytes that no client sends: each costs its connection and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Duration;

use kafka_boot_embedded::{EmbeddedBroker, StartErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// `ApiVersions` in version 0, from client `x`.
const API_VERSIONS: &[u8] = &[0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];

async fn connected(broker: &EmbeddedBroker) -> TcpStream {
    TcpStream::connect(broker.bootstrap_servers()).await.unwrap()
}

/// A frame's body, or `None` if the connection was closed instead.
async fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let read = async {
        let length = stream.read_u32().await.ok()?;
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).await.ok()?;
        Some(body)
    };
    timeout(PATIENCE, read).await.expect("neither an answer nor the end")
}

async fn assert_alive(broker: &EmbeddedBroker) {
    let mut stream = connected(broker).await;
    stream.write_all(API_VERSIONS).await.unwrap();
    let body = answer(&mut stream).await.unwrap();
    assert_eq!(body[..6], [0, 0, 0, 7, 0, 0], "the correlation id, and no error");
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

#[tokio::test]
async fn what_is_no_request_closes_its_connection() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    let cases: [(&str, Vec<u8>); 9] = [
        ("a length of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff, 0, 18]),
        ("a negative length", vec![0x80, 0, 0, 0]),
        ("an empty request", frame(&[])),
        ("half a header", frame(&[0, 18, 0])),
        ("an unknown API", frame(&[0x7f, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff])),
        ("an API that is not supported", frame(&[0, 4, 0, 0, 0, 0, 0, 7, 0xff, 0xff])),
        ("a version that is not supported", frame(&[0, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff])),
        (
            "an array of two thousand millions",
            frame(&[0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let mut stream = connected(&broker).await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(answer(&mut stream).await, None, "{what}");
        assert_alive(&broker).await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_from_the_future_is_told_what_is_supported() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    let mut stream = connected(&broker).await;
    stream.write_all(&frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0, 9, 9, 9])).await.unwrap();
    let body = answer(&mut stream).await.unwrap();
    assert_eq!(body[..6], [0, 0, 0, 7, 0, 35], "the correlation id, and UNSUPPORTED_VERSION");
    assert!(body.len() > 100, "and yet the list");
}

#[tokio::test]
async fn garbage_of_every_length_is_survived() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    // A linear congruence, so that every run is the same.
    let mut state = 42_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    for key in 0..=75 {
        for length in [0, 1, 7, 40, 300] {
            let mut body = vec![0, key, 0, next() % 10, 0, 0, 0, 7, 0xff, 0xff];
            body.extend((0..length).map(|_| next()));
            let mut stream = connected(&broker).await;
            stream.write_all(&frame(&body)).await.unwrap();
            stream.shutdown().await.unwrap();
            answer(&mut stream).await;
        }
    }
    assert_alive(&broker).await;
    broker.shutdown().await;
}

#[tokio::test]
async fn strangers_send_garbage_to_a_guarded_broker_in_vain() {
    let broker = EmbeddedBroker::builder().user("alice", "secret").start().await.unwrap();
    let handshake = |mechanism: &str, version: u8| {
        let length = u8::try_from(mechanism.len()).unwrap();
        let header = [0, 17, 0, version, 0, 0, 0, 7, 0xff, 0xff, 0, length];
        frame(&[&header, mechanism.as_bytes()].concat())
    };
    let token = |token: &[u8]| {
        let length = u8::try_from(token.len()).unwrap();
        frame(&[&[0, 36, 0, 1, 0, 0, 0, 8, 0xff, 0xff, 0, 0, 0, length], token].concat())
    };
    let tokens: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\0alice\0",
        &[0xff; 100],
        b"n,,n=alice,r=x",
        b"n,,n=alice,r=x,,,,",
        b"c=biws,r=x,p=AAAA",
    ];
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for garbage in tokens {
            let mut stream = connected(&broker).await;
            stream.write_all(&handshake(mechanism, 1)).await.unwrap();
            assert_eq!(answer(&mut stream).await.unwrap()[..6], [0, 0, 0, 7, 0, 0]);
            // The second is one too many, or the second step of an exchange that cannot be right.
            stream.write_all(&[token(garbage), token(garbage)].concat()).await.unwrap();
            let mut last = answer(&mut stream).await.unwrap();
            if last[4..6] == [0, 0] {
                last = answer(&mut stream).await.unwrap();
            }
            assert_eq!(last[..6], [0, 0, 0, 8, 0, 58], "SASL_AUTHENTICATION_FAILED for {garbage:?}");
            assert_eq!(answer(&mut stream).await, None);
        }
        let mut stream = connected(&broker).await;
        stream.write_all(&handshake(mechanism, 0)).await.unwrap();
        answer(&mut stream).await.unwrap();
        stream.write_all(&frame(&[0xff; 40])).await.unwrap();
        assert_eq!(answer(&mut stream).await, None, "a token without a request around it has no answer");
    }
    assert_alive(&broker).await;
}

#[tokio::test]
async fn idle_and_excess_connections_are_closed() {
    let broker = EmbeddedBroker::builder()
        .idle_timeout(Duration::from_millis(100))
        .max_connections(20)
        .start()
        .await
        .unwrap();
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(connected(&broker).await);
    }
    for stream in &mut streams {
        assert_eq!(answer(stream).await, None);
    }
    assert_alive(&broker).await;
}

#[tokio::test]
async fn a_dropped_broker_stops_too() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    let mut stream = connected(&broker).await;
    drop(broker);
    assert_eq!(answer(&mut stream).await, None);
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let broker = EmbeddedBroker::builder().start().await.unwrap();
    let port = broker.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    let taken = EmbeddedBroker::builder().port(port).start().await.unwrap_err();
    assert_eq!(taken.kind(), StartErrorKind::Listen);
    assert!(taken.to_string().contains(&format!("`127.0.0.1:{port}`")), "{taken}");

    let bad = [
        EmbeddedBroker::builder().partitions(0),
        EmbeddedBroker::builder().max_connections(0),
        EmbeddedBroker::builder().max_request_bytes(10),
        EmbeddedBroker::builder().topic("a/b", 1),
        EmbeddedBroker::builder().topic("twice", 1).topic("twice", 1),
    ];
    for builder in bad {
        assert_eq!(builder.start().await.unwrap_err().kind(), StartErrorKind::Setting);
    }
}
