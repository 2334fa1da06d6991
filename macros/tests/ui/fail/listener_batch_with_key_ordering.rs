use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing", ordering = "key")]
async fn load(_batch: Batch<String>) -> Result<()> {
    Ok(())
}

fn main() {}
