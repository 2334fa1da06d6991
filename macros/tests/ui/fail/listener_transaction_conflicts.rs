use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction", ordering = "key")]
async fn by_key(_order: Payload<String>) -> Result<()> {
    Ok(())
}

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction", ack_mode = "count")]
async fn counted(_order: Payload<String>) -> Result<()> {
    Ok(())
}

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction")]
async fn acknowledging(_order: Payload<String>, _ack: Ack) -> Result<()> {
    Ok(())
}

#[kafka_listener(partitions("orders" = "0"), group = "billing", commit = "transaction")]
async fn by_hand(_order: Payload<String>) -> Result<()> {
    Ok(())
}

#[kafka_listener(topic = "orders", group = "billing", commit = "transaction", isolation_level = "read-uncommitted")]
async fn of_all(_order: Payload<String>) -> Result<()> {
    Ok(())
}

#[kafka_listener(topic = "orders", group = "billing", commit = "sync")]
async fn without(_order: Payload<String>, _tx: kafka_boot::Transaction) -> Result<()> {
    Ok(())
}

fn main() {}
