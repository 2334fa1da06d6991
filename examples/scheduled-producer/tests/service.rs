//! The service under test, with the configuration that it has in production.
//!
//! `cargo test -p scheduled-producer` runs it on a broker inside the test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` the
//! same tests run on that cluster.

use kafka_boot::prelude::*;
// A library that nobody names is not linked, and its handlers would not be found.
use scheduled_producer as _;

#[kafka_boot::test(directory = "../..")]
async fn what_the_job_sends_is_consumed(app: TestApp) {
    app.run("produce").await;
    app.run("produce").await;
    app.settled().await;

    let sent = app.values::<String>("test").await;
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|text| text.starts_with("This is record ")), "{sent:?}");
    let committed = app.committed("consume", "test").await;
    for record in app.records("test").await {
        assert!(committed[&record.partition()] > record.offset(), "{record} is not committed");
    }
}

#[kafka_boot::test(directory = "../..")]
async fn the_group_goes_on_after_a_restart(mut app: TestApp) {
    app.send("test", "before").await;
    app.settled().await;
    app.restart().await;
    app.send("test", "after").await;
    app.settled().await;
    assert_eq!(app.records("test").await.len(), 2);
}
