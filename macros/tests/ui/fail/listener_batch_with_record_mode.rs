use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", ack_mode = "record")]
async fn on_orders(_orders: Batch<String>) {}

fn main() {}
