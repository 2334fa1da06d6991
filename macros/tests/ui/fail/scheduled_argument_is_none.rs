use kafka_boot::prelude::*;

#[scheduled(fixed_rate = "1s")]
async fn sweep(_count: u64) {}

fn main() {}
