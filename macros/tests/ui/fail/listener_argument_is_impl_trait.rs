use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(_order: impl Into<String>) {}

fn main() {}
