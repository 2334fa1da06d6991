use kafka_boot::prelude::*;

#[scheduled(fixed_rate = "1s")]
async fn sweep(_order: Payload<String>) {}

fn main() {}
