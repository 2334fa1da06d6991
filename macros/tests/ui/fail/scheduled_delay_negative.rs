use kafka_boot::prelude::*;

#[scheduled(fixed_delay = -1000)]
async fn sweep() {}

fn main() {}
