use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
unsafe fn on_order(_order: Payload<String>) {}

fn main() {}
