use kafka_boot::prelude::*;

#[kafka_listener(topics = [])]
async fn on_order(_order: Payload<String>) {}

fn main() {}
