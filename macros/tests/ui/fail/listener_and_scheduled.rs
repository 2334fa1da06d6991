use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
#[scheduled(fixed_rate = 5)]
async fn on_order() {}

fn main() {}
