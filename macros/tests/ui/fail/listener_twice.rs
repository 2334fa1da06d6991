use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
#[kafka_listener(topic = "refunds")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
