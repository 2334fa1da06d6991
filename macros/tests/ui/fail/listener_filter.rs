use kafka_boot::RecordView;
use kafka_boot::prelude::*;

fn is_wanted(record: &RecordView<'_>) -> bool {
    record.key().is_some()
}

fn is_long(text: &str) -> bool {
    text.len() > 80
}

#[kafka_listener(topic = "orders", filter = "is_wanted")]
async fn as_text(_order: Payload<String>) {}

#[kafka_listener(topic = "orders", filter = |record| record.key().is_some())]
async fn as_closure(_order: Payload<String>) {}

#[kafka_listener(topic = "orders", filter = is_long)]
async fn of_a_batch(_orders: Batch<String>) {}

#[kafka_listener(topic = "orders", filter = is_long)]
async fn of_something_else(_order: Payload<String>) {}

fn main() {}
