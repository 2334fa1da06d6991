use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", commit = "auto", ack_mode = "record")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
