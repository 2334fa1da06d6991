use kafka_boot::prelude::*;

#[scheduled(fixed_delay = 0)]
async fn sweep() {}

fn main() {}
