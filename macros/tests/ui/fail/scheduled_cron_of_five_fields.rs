use kafka_boot::prelude::*;

#[scheduled(cron = "*/5 * * * *")]
async fn sweep() {}

fn main() {}
