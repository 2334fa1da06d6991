//! A service whose records say what its handler shall do: what the tests of the lifecycle start, signal and watch.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kafka_boot::HandlerError;
use kafka_boot::prelude::*;

#[kafka_listener(topic = "${test.topic}", group = "${test.group}")]
async fn obey(record: Record<String>) -> Result<()> {
    match record.value().as_str() {
        "panic" => panic!("as the record wants\nand in two lines"),
        "fail" => return Err(HandlerError::msg("as the record wants\nand in two lines")),
        "slow" => {
            info!("slow begins");
            tokio::time::sleep(Duration::from_secs(1)).await;
            info!("slow ends");
        }
        "stuck" => {
            info!("stuck");
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    info!(%record, key = ?record.key_str(), value = record.value(), "handled");
    Ok(())
}

/// Panics at first, and goes on.
#[scheduled(fixed_delay = 50)]
async fn tick() {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    assert!(count > 0, "the first run panics");
    info!(count, "tick");
}

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
