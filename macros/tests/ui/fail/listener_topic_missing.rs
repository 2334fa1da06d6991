use kafka_boot::prelude::*;

#[kafka_listener(group = "billing")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
