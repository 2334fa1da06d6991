//! Batch listeners, async and plain, with what may stand beside the batch.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

#[kafka_listener(topic = "orders", ack_mode = "manual")]
async fn load(batch: Batch<Json<Order>>, ack: Ack, repo: Bean<u32>) -> Result<()> {
    for record in &batch {
        info!(id = record.value().0.id, "an order");
    }
    drop(repo);
    ack.acknowledge();
    Ok(())
}

#[kafka_listener(topic = "orders")]
fn load_blocking(batch: kafka_boot::Batch) {
    drop(batch);
}

fn main() {
    use kafka_boot::__private::HandlerKind;
    let listeners = kafka_boot::listeners![load, load_blocking];
    assert_eq!(listeners[0].kind, HandlerKind::Batch);
    assert!(listeners[0].takes_ack && !listeners[0].blocking);
    assert!(!listeners[1].takes_ack && listeners[1].blocking);
}
