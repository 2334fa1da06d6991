use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to("invoices")]
async fn number(order: Payload<String>) -> Result<usize> {
    Ok(order.0.len())
}

fn main() {}
