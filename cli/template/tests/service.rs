//! The service with its own configuration, on a broker inside each test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` on that
//! cluster.

use kafka_boot::prelude::*;

use {{crate}}::{Confirmation, Order};

#[kafka_boot::test]
async fn an_order_within_the_limit_is_accepted(app: TestApp) {
    for (id, quantity) in [(1, 12), (2, 1_000_000)] {
        let order = Order {
            id,
            item: "pears".to_owned(),
            quantity,
        };
        app.send_json("orders", &order).await;
    }
    // Everything is handled and committed.
    app.settled().await;

    let mut confirmations: Vec<Confirmation> = app
        .values::<Json<Confirmation>>("confirmations")
        .await
        .into_iter()
        .map(|json| json.0)
        .collect();
    confirmations.sort_by_key(|confirmation| confirmation.order);
    let expected =
        [(1, true), (2, false)].map(|(order, accepted)| Confirmation { order, accepted });
    assert_eq!(confirmations, expected);
}
