//! The embedded broker as a process of its own, which a test can kill and freeze like a real one.
//!
//! `embedded-broker <port> [<data directory>]`; stops on `SIGTERM`.

use std::error::Error;

use kafka_boot_embedded::EmbeddedBroker;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, data_directory) = match arguments.as_slice() {
        [port] => (port, None),
        [port, data_directory] => (port, Some(data_directory)),
        _ => return Err("usage: embedded-broker <port> [<data directory>]".into()),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    // As the harness sets up real ones: a typo in a topic's name is an error, not a new topic.
    let mut builder = EmbeddedBroker::builder().port(port.parse()?).auto_create_topics(false);
    if let Some(data_directory) = data_directory {
        builder = builder.data_directory(data_directory);
    }
    let broker = builder.start().await?;
    println!("listening on {}", broker.bootstrap_servers());
    terminate.recv().await;
    broker.shutdown().await;
    Ok(())
}
