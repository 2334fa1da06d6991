use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", ack_mode = "record")]
async fn on_order(_order: Payload<String>, _ack: Ack) {}

fn main() {}
