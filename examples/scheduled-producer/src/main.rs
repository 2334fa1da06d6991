//! The smallest useful service: a scheduled function sends a record every second, and a listener handles it.
//!
//! Its configuration is `config/application.yml` of this repository. Without a broker it brings its own; with
//! `KAFKA_BOOTSTRAP_SERVERS=host:port` it runs on that cluster.

use std::sync::atomic::{AtomicU64, Ordering};

use kafka_boot::prelude::*;

static NUMBER: AtomicU64 = AtomicU64::new(0);

#[kafka_listener(topic = "test", commit = "sync")]
async fn consume(record: Record<String>) -> Result<()> {
    info!(%record, "consumed");
    Ok(())
}

#[scheduled(fixed_delay = 1000)]
async fn produce(kafka: Bean<KafkaTemplate>) -> Result<()> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let sent = kafka.send("test", format!("This is record {number}")).await?;
    info!(%sent, "produced");
    Ok(())
}

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
