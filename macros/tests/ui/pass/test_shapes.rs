//! What a test may look like. A program compiled as this one leaves tests out once they are expanded; that they run is
//! tested in the framework's `tests/test_kit.rs`.

use kafka_boot::prelude::*;

#[kafka_listener(topic = "orders", group = "billing")]
async fn on_order(order: Payload<String>) -> Result<()> {
    info!(order = %order.0);
    Ok(())
}

#[kafka_boot::test]
async fn plain(app: TestApp) {
    app.settled().await;
}

#[kafka_boot::test(listeners(on_order), timeout = "1m 30s", properties("kafka.listeners.on_order.concurrency" = 2))]
async fn fallible(mut app: kafka_boot::TestApp) -> Result<(), std::num::ParseIntError> {
    app.restart().await;
    let _: u32 = "1".parse()?;
    Ok(())
}

#[kafka_boot::test(beans(String::from("a"), "east" = 7_u64), without_discovery, show_log = false)]
#[ignore = "only its shape matters"]
#[should_panic(expected = "never")]
async fn unused(_: TestApp) {}

fn main() {}
