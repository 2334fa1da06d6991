use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", commit = "snyc")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
