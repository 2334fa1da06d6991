//! What the service does: it takes orders and confirms those that are within its limit.
//!
//! The handlers are in a library so that the tests in `tests/` can run them, too.

use std::sync::atomic::{AtomicU64, Ordering};

use kafka_boot::prelude::*;
use serde::{Deserialize, Serialize};

/// What comes in, as JSON in the topic `orders`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: u64,
    pub item: String,
    pub quantity: u32,
}

/// What goes out, as JSON in the topic `confirmations`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    pub order: u64,
    pub accepted: bool,
}

/// The service's own section of the configuration.
#[derive(Debug, Deserialize, ConfigProperties)]
#[config(prefix = "orders")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OrderProperties {
    /// How much of an item one order may ask for.
    pub max_quantity: u32,
}

/// An order is committed after its confirmation is written: a crash repeats it, and loses none.
#[kafka_listener(topic = "orders")]
async fn take_order(
    order: Json<Order>,
    properties: Config<OrderProperties>,
    kafka: Bean<KafkaTemplate>,
) -> Result<()> {
    let accepted = order.quantity <= properties.max_quantity;
    let confirmation = Confirmation {
        order: order.id,
        accepted,
    };
    kafka
        .send_json("confirmations", order.id.to_string(), &confirmation)
        .await?;
    info!(order = order.id, item = %order.item, accepted, "confirmed");
    Ok(())
}

/// Something to look at during development: `application-prod.yml` turns it off.
#[scheduled(fixed_delay = "2s")]
async fn place_sample_order(kafka: Bean<KafkaTemplate>) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let order = Order {
        id,
        item: "pears".to_owned(),
        quantity: 12,
    };
    let sent = kafka.send_json("orders", id.to_string(), &order).await?;
    info!(%sent, "placed");
    Ok(())
}
