use kafka_boot::prelude::*;

#[scheduled(fixed_rate = "1s", zone = "Europe/Berlin")]
async fn sweep() {}

fn main() {}
