use kafka_boot::prelude::*;

struct Orders;

impl Orders {
    #[kafka_listener(topic = "orders")]
    async fn on_order(&self, _order: Payload<String>) {}
}

fn main() {}
