//! Starts and stops, alone in a process, so that what is left behind can be counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Duration;

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::ApiKey;
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

/// Starts brokers, has one stop and start again if there are several, and shuts them down; a client looks on.
async fn live_once(brokers: u16) {
    let cluster = EmbeddedBroker::builder().brokers(brokers).topic("orders", 3).start().await.unwrap();
    let addresses: Vec<String> = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
    let mut streams = Vec::new();
    for address in &addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(API_VERSIONS).await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        streams.push(stream);
    }
    if brokers > 1 {
        let control = cluster.control();
        let _rule = control.on(ApiKey::Produce).cut();
        control.stop_broker(1).await.unwrap();
        assert!(TcpStream::connect(&addresses[0]).await.is_err(), "the port of a stopped broker refuses");
        control.start_broker(1).await.unwrap();
        drop(TcpStream::connect(&addresses[0]).await.unwrap());
        control.stop_broker(2).await.unwrap();
    }
    cluster.shutdown().await;
    for stream in &mut streams {
        assert!(ended(stream).await, "the connection is closed");
    }
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err(), "the port is free");
    }
}

#[tokio::test]
async fn brokers_start_and_stop_two_hundred_times_and_leave_nothing_behind() {
    let open_files = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    live_once(1).await;
    let at_first = open_files();
    for round in 0..200 {
        live_once(if round % 2 == 0 { 1 } else { 3 }).await;
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(open_files(), at_first);

    // One that is dropped ends as well, only later.
    let dropped = EmbeddedBroker::builder().brokers(3).start().await.unwrap();
    let control = dropped.control();
    control.stop_broker(2).await.unwrap();
    drop(dropped);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(control.stop_broker(1).await.is_err());
    drop(control);
    assert_eq!(open_files(), at_first);
}
