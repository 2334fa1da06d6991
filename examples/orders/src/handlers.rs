//! What happens to the records.

use std::sync::atomic::{AtomicU32, Ordering};

use kafka_boot::prelude::*;

use crate::event::{OrderEvent, What};
use crate::repository::OrderRepository;

/// Orders wait for one another only within one order: `ordering: key`. A plain function, because `SQLite` blocks: it runs on a
/// thread of its own. What it refuses is tried again and then becomes a dead letter, as `kafka.error` says.
#[kafka_listener(topic = "orders", ordering = "key", max_in_flight = 16)]
fn keep(event: Json<OrderEvent>, record: RecordMeta, orders: Bean<OrderRepository>) -> Result<()> {
    orders.apply(&event, &record)?;
    info!(order = %event.order, what = ?event.what, "kept");
    Ok(())
}

/// Somebody should look at these. `kafka-boot dlt list orders-dlt` shows them, `kafka-boot dlt replay` sends them again.
#[kafka_listener(topic = "orders-dlt", group = "${application.name}-dlt")]
async fn tell_of_dead_letter(letter: Record<Option<Vec<u8>>>) -> Result<()> {
    let reason = letter.header("kafka_dlt-exception-message").unwrap_or_default();
    warn!(order = letter.key_str(), reason = %kafka_boot::escaped(reason), "an event could not be applied");
    Ok(())
}

/// How the orders are.
#[scheduled(fixed_delay = "5s")]
fn report(orders: Bean<OrderRepository>) -> Result<()> {
    let count = orders.count_by_status()?;
    info!(?count, "orders");
    Ok(())
}

/// Far more than can be under way at once.
const HANDLED_KEPT: i64 = 1_000_000;

/// Keeps the database from growing with every record.
#[scheduled(cron = "0 0 4 * * *")]
fn forget_handled(orders: Bean<OrderRepository>) -> Result<()> {
    let forgotten = orders.forget_handled(HANDLED_KEPT)?;
    info!(forgotten, "records that cannot come again");
    Ok(())
}

/// Something to look at, in the profile `dev`: orders that are placed and paid, and one event that makes no sense.
#[scheduled(fixed_delay = "1s", enabled = false)]
async fn place_samples(kafka: Bean<KafkaTemplate>) -> Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let order = format!("sample-{number}");
    let placed = What::Placed { customer: "somebody".to_owned(), cents: 999 };
    let never_placed = OrderEvent { order: format!("ghost-{number}"), what: What::Paid };
    for event in [
        OrderEvent { order: order.clone(), what: placed },
        OrderEvent { order, what: What::Paid },
        never_placed,
    ] {
        kafka.send_json("orders", event.order.clone(), &event).await?;
    }
    Ok(())
}
