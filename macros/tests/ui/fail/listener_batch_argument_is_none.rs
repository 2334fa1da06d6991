use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_orders(_orders: Batch<String>, _urgent: bool) {}

fn main() {}
