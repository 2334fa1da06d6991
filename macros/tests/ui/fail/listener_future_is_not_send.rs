use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(order: Payload<String>) {
    let shared = std::rc::Rc::new(order);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
