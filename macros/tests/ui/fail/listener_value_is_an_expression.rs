use kafka_boot::prelude::*;

const TOPIC: &str = "orders";

#[kafka_listener(topic = TOPIC)]
async fn on_order(_order: Payload<String>) {}

fn main() {}
