use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", concurrency = 0)]
async fn on_order(_order: Payload<String>) {}

fn main() {}
