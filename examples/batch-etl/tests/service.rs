//! The service with its own configuration, on a broker inside each test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` on that
//! cluster.

use batch_etl::{Measurement, Summary};
use kafka_boot::prelude::*;

// Each record is awaited here, so none may wait for others.
#[kafka_boot::test(config = "kafka: { producer: { linger: 0ms } }")]
async fn every_plausible_measurement_is_in_one_summary(app: TestApp) {
    for number in 0..300 {
        let sensor = format!("sensor-{}", number % 3);
        let celsius = if number % 10 == 0 { 999.0 } else { f64::from(number % 50) };
        let json = serde_json::to_vec(&Measurement { sensor: sensor.clone(), celsius }).expect("it is JSON");
        app.send_keyed("measurements", sensor, json).await;
    }
    app.send("measurements", "no measurement at all").await;
    app.settled().await;

    let summaries: Vec<_> =
        app.values::<Json<Summary>>("summaries").await.into_iter().map(|json| json.0).collect();
    assert_eq!(summaries.iter().map(|summary| summary.count).sum::<u32>(), 270);
    assert!(summaries.iter().all(|summary| summary.max < 50.0 && summary.min >= 0.0), "{summaries:?}");
    for record in app.records("summaries").await {
        let summary = summaries.iter().find(|summary| record.key_str() == Some(&summary.sensor));
        assert!(summary.is_some(), "{record} is keyed by its sensor");
    }
}
