use kafka_boot::prelude::*;

struct Order;

#[kafka_listener(topic = "orders")]
async fn on_order(_order: Payload<Order>) {}

fn main() {}
