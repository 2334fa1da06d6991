//! The attribute leaves an ordinary function behind, which a unit test calls.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
fn on_order(order: Payload<String>, repo: Bean<u32>) -> Result<()> {
    if order.0.is_empty() { Err("empty".into()) } else { drop(repo); Ok(()) }
}

#[scheduled(fixed_rate = 5)]
fn tick(repo: Bean<u32>) -> u8_result::Result {
    assert_eq!(*repo, 7);
    Ok(())
}

mod u8_result {
    pub type Result = std::result::Result<(), std::fmt::Error>;
}

#[bean]
fn seven() -> u32 {
    7
}

fn main() {
    assert!(on_order(Payload(String::new()), Bean::new(7)).is_err());
    assert!(on_order(Payload("x".to_owned()), Bean::new(7)).is_ok());
    assert!(tick(Bean::new(seven())).is_ok());
    let as_value: fn(Payload<String>, Bean<u32>) -> Result<()> = on_order;
    assert!(as_value(Payload("x".to_owned()), Bean::new(7)).is_ok());
}
