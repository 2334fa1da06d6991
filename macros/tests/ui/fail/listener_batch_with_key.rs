use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_orders(_orders: Batch<String>, _key: Key<String>) {}

fn main() {}
