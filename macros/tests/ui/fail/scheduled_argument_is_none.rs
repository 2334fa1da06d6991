use kafka_boot::prelude::*;

struct Counter;

#[scheduled(fixed_rate = "1s")]
async fn sweep(_counter: Counter) {}

fn main() {}
