use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(_order: Payload<String>, #[cfg(all())] _key: Key<String>) {}

fn main() {}
