use kafka_boot::prelude::*;

#[scheduled(fixed_delay = 1000, cron = "0 0 6 * * *")]
async fn sweep() {}

fn main() {}
