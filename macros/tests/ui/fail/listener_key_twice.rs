use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "a", group = "b")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
