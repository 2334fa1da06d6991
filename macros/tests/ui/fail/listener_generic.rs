use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order<T>(_order: Payload<T>) {}

fn main() {}
