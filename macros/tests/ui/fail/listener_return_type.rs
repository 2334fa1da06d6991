use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(_order: Payload<String>) -> u64 {
    5
}

fn main() {}
