use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group_id = "billing")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
