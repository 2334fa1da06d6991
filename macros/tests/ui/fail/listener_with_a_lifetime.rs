use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order<'a>(_order: Payload<&'a str>) {}

fn main() {}
