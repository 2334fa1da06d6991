//! Brokers in the foreground, for clients of any kind:
//! `cargo run -p kafka-boot-embedded --example broker [port [brokers]]`.

use std::error::Error;

use kafka_boot_embedded::EmbeddedBroker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let port = std::env::args().nth(1).map_or(Ok(9092), |port| port.parse())?;
    let brokers = std::env::args().nth(2).map_or(Ok(1), |brokers| brokers.parse())?;
    let broker = EmbeddedBroker::builder().port(port).brokers(brokers).start().await?;
    println!("bootstrap.servers={}", broker.bootstrap_servers());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
