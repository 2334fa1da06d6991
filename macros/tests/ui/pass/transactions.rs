//! Listeners that consume in transactions.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction")]
async fn one(order: Record<String>, tx: Transaction) -> Result<()> {
    tx.send("invoices", order.into_value()).await?;
    Ok(())
}

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction", ack_mode = "record")]
#[send_to("invoices")]
fn reply(order: Payload<String>) -> String {
    order.0
}

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction", ordering = "partition")]
async fn many(batch: Batch<String>, tx: Transaction) -> Result<()> {
    for record in batch {
        tx.send("invoices", record.into_value()).await?;
    }
    Ok(())
}

// What the file says of `commit` is seen at start.
#[kafka_listener(topic = "orders", group = "billing")]
async fn by_file(order: Payload<String>, tx: Transaction) -> Result<()> {
    tx.send("invoices", order.0).await?;
    Ok(())
}

fn main() {}
