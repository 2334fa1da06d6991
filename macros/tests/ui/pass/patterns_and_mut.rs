//! Arguments may be patterns, `mut` or unused, and may carry lint attributes.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn on_order(Payload(mut order): Payload<String>, mut key: Key<String>, _: Bean<u32>, _repo: Bean<u64>) {
    order.push('!');
    key.0.push('!');
}

#[kafka_listener(topic = "orders")]
async fn on_other(#[expect(unused_variables, reason = "a test of the attribute")] order: Payload<String>) {}

// Names that the generated code uses, too.
#[kafka_listener(topic = "orders")]
async fn context(context: Payload<String>, view: Key<String>, a0: Bean<u32>, x0: Bean<u64>) {
    drop((context, view, a0, x0));
}

fn main() {}
