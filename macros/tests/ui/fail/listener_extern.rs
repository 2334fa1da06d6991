use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
extern "C" fn on_order() {}

fn main() {}
