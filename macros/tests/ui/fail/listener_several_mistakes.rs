use kafka_boot::prelude::*;

#[kafka_listener(topic = "or ders", comit = "sync", concurrency = -1)]
async fn on_order(_order: &Payload<String>) {}

fn main() {}
