//! The service with its own configuration, on a broker inside each test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` on that
//! cluster.

use std::path::Path;

use kafka_boot::prelude::*;
use orders::event::{OrderEvent, What};
use orders::repository::OrderRepository;

async fn started(folder: &Path) -> TestApp {
    let builder = TestApp::builder()
        .property("database.file", folder.join("orders.db").display())
        .property("kafka.producer.linger", "0ms")
        .property("kafka.error.backoff.initial", "10ms");
    builder.start().await.expect("the service starts")
}

async fn send(app: &TestApp, order: &str, what: What) {
    let event = OrderEvent { order: order.to_owned(), what };
    let json = serde_json::to_vec(&event).expect("it is JSON");
    app.send_keyed("orders", order.to_owned(), json).await;
}

fn placed(cents: i64) -> What {
    What::Placed { customer: "c-1".to_owned(), cents }
}

fn status(app: &TestApp, order: &str) -> Option<String> {
    app.bean::<OrderRepository>().status(order).expect("the database answers")
}

#[tokio::test]
async fn the_events_of_each_order_are_applied_in_their_order() {
    let folder = tempfile::tempdir().expect("there is room");
    let app = started(folder.path()).await;
    for number in 0..40 {
        send(&app, &format!("order-{number}"), placed(100)).await;
    }
    for number in 0..40 {
        let what = if number % 4 == 0 { What::Cancelled } else { What::Paid };
        send(&app, &format!("order-{number}"), what).await;
    }
    app.settled().await;
    let count = app.bean::<OrderRepository>().count_by_status().expect("the database answers");
    assert_eq!(count, [("cancelled".to_owned(), 10), ("paid".to_owned(), 30)].into());
    app.run("report").await;
}

#[tokio::test]
async fn what_makes_no_sense_is_a_dead_letter_at_once_and_holds_nothing_up() {
    let folder = tempfile::tempdir().expect("there is room");
    let app = started(folder.path()).await;
    send(&app, "ghost", What::Paid).await;
    send(&app, "free", placed(-1)).await;
    app.send_keyed("orders", "broken", "{").await;
    send(&app, "good", placed(5)).await;
    app.settled().await;

    assert_eq!(status(&app, "good").as_deref(), Some("placed"));
    assert_eq!(status(&app, "ghost"), None);
    let letters = app.records("orders-dlt").await;
    let mut reasons: Vec<_> = letters
        .iter()
        .map(|letter| {
            let reason = letter.header("kafka_dlt-exception-message").expect("each says why");
            (letter.key_str().unwrap_or_default(), String::from_utf8_lossy(reason).into_owned())
        })
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(reasons[1], ("free", "the order `free` is for -1 cents".to_owned()));
    assert_eq!(reasons[2], ("ghost", "there is no order `ghost`".to_owned()));
}

#[tokio::test]
async fn what_comes_twice_is_applied_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let app = started(folder.path()).await;
    send(&app, "one", placed(7)).await;
    send(&app, "one", What::Paid).await;
    app.settled().await;
    // As after a crash before the commit: the same records once more.
    let orders = app.bean::<OrderRepository>();
    for record in app.records("orders").await {
        let event: OrderEvent =
            serde_json::from_slice(record.value().as_deref().unwrap_or_default()).expect("it is JSON");
        orders.apply(&event, &record.meta()).expect("it changes nothing");
    }
    assert_eq!(status(&app, "one").as_deref(), Some("paid"));
    assert_eq!(orders.forget_handled(1).expect("the database answers"), 1, "all but the last of a partition");
    app.run("forget_handled").await;
}

#[tokio::test]
async fn orders_are_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut app = started(folder.path()).await;
    send(&app, "kept", placed(7)).await;
    app.settled().await;
    app.restart().await;
    send(&app, "kept", What::Paid).await;
    app.settled().await;
    assert_eq!(status(&app, "kept").as_deref(), Some("paid"));
}
