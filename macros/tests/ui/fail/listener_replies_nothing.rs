use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to("invoices")]
async fn nothing(order: Payload<String>) {
    drop(order);
}

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to("invoices")]
async fn batch(orders: Batch<String>) -> String {
    orders.len().to_string()
}

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to("in voices")]
async fn no_topic(order: Payload<String>) -> String {
    order.0
}

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to = "invoices"]
async fn no_parentheses(order: Payload<String>) -> String {
    order.0
}

#[send_to("invoices")]
async fn no_listener(order: Payload<String>) -> String {
    order.0
}

fn main() {}
