//! What the attributes emit is found without being named.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders")]
async fn r#loop(order: Payload<String>) {
    drop(order);
}

fn main() {
    use kafka_boot::__private::{RegisteredListener, inventory};
    let found: Vec<_> = inventory::iter::<RegisteredListener>.into_iter().map(|found| found.0).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "loop");
    assert!(found[0].function.ends_with("::loop"));
    assert!(found[0].at.file.ends_with("discovered.rs"));
    assert_eq!(found[0].at.line, 6);
}
