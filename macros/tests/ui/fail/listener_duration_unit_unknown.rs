use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", drain_timeout = "30sec")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
