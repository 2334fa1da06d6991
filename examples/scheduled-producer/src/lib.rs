//! What the service does: a scheduled function sends a record every second, and a listener handles it.
//!
//! The functions are in a library so that the tests in `tests/` can run them, too.

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
