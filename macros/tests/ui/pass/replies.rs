//! What a listener with `#[send_to]` may return, and where the attribute may stand.
#![deny(warnings)]

use kafka_boot::prelude::*;
use kafka_boot::{OnFailure, Reply, Retryable};

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl Retryable for Refused {
    fn on_failure(&self) -> OnFailure {
        OnFailure::DeadLetter
    }
}

#[kafka_listener(topic = "orders", group = "billing")]
#[send_to("invoices")]
async fn text(order: Payload<String>) -> Result<String> {
    Ok(order.0)
}

#[send_to]
#[kafka_listener(topic = "orders", group = "billing",)]
fn json() -> Json<Vec<u32>> {
    Json(vec![1])
}

#[kafka_listener(topic = "orders", group = "billing", ordering = "key")]
#[kafka_boot::send_to("${invoices}")]
async fn several(order: Record<String>, headers: Headers) -> Result<Option<Vec<Reply>>, Refused> {
    if headers.iter().next().is_some() { Err(Refused) } else { Ok(Some(vec![Reply::new(order.into_value())])) }
}

fn main() {
    let [text, json, several] = kafka_boot::listeners![text, json, several] else { panic!() };
    assert!(text.replies && json.replies && several.replies);
    let topics: Vec<_> = text.attributes.iter().filter(|attribute| attribute.key == "send-to").collect();
    assert_eq!(topics.len(), 1);
    assert!(!json.attributes.iter().any(|attribute| attribute.key == "send-to"));
}
