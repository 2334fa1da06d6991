use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", id = "${orders.id}")]
async fn on_order(_order: Payload<String>) {}

fn main() {}
