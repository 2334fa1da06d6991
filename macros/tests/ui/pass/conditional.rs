//! A `#[cfg]` above or below the attribute removes all that it generates.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[cfg(any())]
#[kafka_listener(topic = "orders")]
async fn above(order: Missing) {}

#[kafka_listener(topic = "orders")]
#[cfg(any())]
async fn below(order: Missing) {}

#[scheduled(fixed_rate = 1)]
#[cfg(any())]
async fn job(order: Missing) {}

#[bean]
#[cfg(any())]
fn bean(order: Missing) -> Missing {}

#[cfg_attr(all(), kafka_listener(topic = "orders"))]
async fn by_cfg_attr() {}

fn main() {
    assert_eq!(kafka_boot::listeners![by_cfg_attr].len(), 1);
}
