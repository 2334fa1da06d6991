use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", commit = "manual", ack_mode = "batch")]
async fn on_order(_order: Payload<String>, _ack: Ack) {}

fn main() {}
