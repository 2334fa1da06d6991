use kafka_boot::prelude::*;

#[scheduled(cron = "0 0 25 * * *")]
async fn sweep() {}

fn main() {}
