//! Starts and stops, alone in a process, so that what is left behind can be counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Duration;

use kafka_boot_embedded::EmbeddedBroker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// `ApiVersions` in version 0, from client `x`.
const API_VERSIONS: &[u8] = &[0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];

/// Whether the other side has closed the connection, in good order or not.
async fn ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_broker_starts_and_stops_two_hundred_times_and_leaves_nothing_behind() {
    let open_files = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    let mut at_first = None;
    for round in 0..200 {
        let broker = EmbeddedBroker::builder().topic("orders", 3).start().await.unwrap();
        let address = broker.bootstrap_servers().to_owned();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(API_VERSIONS).await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        broker.shutdown().await;
        assert!(ended(&mut stream).await, "the connection is closed");
        assert!(TcpStream::connect(address).await.is_err(), "the port is free");
        drop(stream);
        if round == 0 {
            at_first = open_files();
        }
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(open_files(), at_first);
}
