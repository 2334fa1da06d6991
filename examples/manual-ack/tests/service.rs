//! The service with its own configuration, on a broker inside each test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` on that
//! cluster.

use std::collections::BTreeSet;
use std::path::Path;

use kafka_boot::prelude::*;
// A library that nobody names is not linked, and its handlers would not be found.
use manual_ack as _;

async fn started(file: &Path) -> TestApp {
    let builder = TestApp::builder()
        .property("ledger.file", file.display())
        .property("ledger.max-batch", 7)
        .property("ledger.retry-after", "50ms");
    builder.start().await.expect("the service starts")
}

/// The payments in the file.
fn payments(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.rsplit(',').next()).map(str::to_owned).collect()
}

fn expected(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("payment {number}")).collect()
}

#[tokio::test]
async fn what_is_committed_is_on_disk() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("payments.csv");
    let app = started(&file).await;
    for number in 0..100 {
        app.send("payments", format!("payment {number}")).await;
    }
    app.settled().await;
    assert_eq!(payments(&file), expected(100));
}

#[tokio::test]
async fn what_cannot_be_written_comes_again() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("not-there-yet/payments.csv");
    let app = started(&file).await;
    let before = app.committed("collect", "payments").await;
    for number in 0..10 {
        app.send("payments", format!("payment {number}")).await;
    }
    // Nothing can be written, so nothing is committed.
    assert_eq!(app.committed("collect", "payments").await, before);
    std::fs::create_dir(folder.path().join("not-there-yet")).expect("it can be made");
    app.settled().await;
    assert_eq!(payments(&file), expected(10));
}
