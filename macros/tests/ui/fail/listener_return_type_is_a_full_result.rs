use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
fn on_order(_order: Payload<String>) -> Result<u8, std::fmt::Error> {
    Ok(5)
}

fn main() {}
