use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(_order: Payload<std::borrow::Cow<'_, str>>) {}

fn main() {}
