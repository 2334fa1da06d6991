use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing", ordering = "keys")]
async fn on_order(_order: Payload<String>) -> Result<()> {
    Ok(())
}

fn main() {}
