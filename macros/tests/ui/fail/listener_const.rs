use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
const fn on_order(_order: Payload<u8>) {}

fn main() {}
