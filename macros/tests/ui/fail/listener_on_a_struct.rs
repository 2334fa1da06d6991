use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
struct OnOrder;

fn main() {}
