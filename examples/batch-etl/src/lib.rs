//! Extract, transform, load: batches of raw measurements become one summary a sensor.
//!
//! A batch is committed after all of its summaries are confirmed. After a crash in between it comes again, and with it the
//! same summaries: each one names the records that it is made of, so that a reader can tell the second from the first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use kafka_boot::prelude::*;
use serde::{Deserialize, Serialize};

/// What a sensor sends, as JSON in the topic `measurements`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Measurement {
    pub sensor: String,
    pub celsius: f64,
}

/// What is written, as JSON in the topic `summaries`, with the sensor as the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whose measurements these were.
    pub sensor: String,
    /// How many are in it.
    pub count: u32,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// Where they stood, as `topic-partition@first..last`.
    pub source: String,
}

/// What the program's own section of the configuration says.
#[derive(Debug, Deserialize, ConfigProperties)]
#[config(prefix = "etl")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EtlProperties {
    /// Colder is taken for a broken sensor.
    pub min_celsius: f64,
    /// Hotter as well.
    pub max_celsius: f64,
}

/// One call a poll and partition: many records, one wait for the broker, one commit.
#[kafka_listener(topic = "measurements")]
async fn summarize(
    batch: Batch<Json<Measurement>>,
    properties: Config<EtlProperties>,
    kafka: Bean<KafkaTemplate>,
) -> Result<()> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
    let source = format!("{}-{}@{}..{}", first.topic(), first.partition(), first.offset(), last.offset());
    let (summaries, rejected) = transform(batch.iter().map(|record| &record.value().0), &source, &properties);
    let mut confirmations = Vec::with_capacity(summaries.len());
    for summary in &summaries {
        let record = ProducerRecord::new("summaries")
            .key(summary.sensor.clone())
            .payload(serde_json::to_vec(summary)?);
        // Waits only for room; all of them are under way together.
        confirmations.push(kafka.enqueue(record).await?);
    }
    for confirmation in confirmations {
        confirmation.await?;
    }
    info!(records = batch.len(), rejected, summaries = summaries.len(), "summarized");
    Ok(())
}

/// The summaries of a batch, ordered by sensor, and how many of its measurements are in none.
fn transform<'a>(
    measurements: impl Iterator<Item = &'a Measurement>,
    source: &str,
    properties: &EtlProperties,
) -> (Vec<Summary>, usize) {
    let plausible = properties.min_celsius..=properties.max_celsius;
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    let mut rejected = 0;
    for Measurement { sensor, celsius } in measurements {
        if !plausible.contains(celsius) {
            rejected += 1;
            continue;
        }
        let summary = summaries.entry(sensor).or_insert_with(|| Summary {
            sensor: sensor.clone(),
            count: 0,
            min: *celsius,
            max: *celsius,
            source: source.to_owned(),
        });
        summary.count += 1;
        summary.min = summary.min.min(*celsius);
        summary.max = summary.max.max(*celsius);
    }
    (summaries.into_values().collect(), rejected)
}

/// Something to look at: a measurement of each of three sensors, one of which is broken at times.
#[scheduled(fixed_rate = "100ms")]
async fn measure(kafka: Bean<KafkaTemplate>) -> Result<()> {
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    for (sensor, usual) in [("cellar", 12.0), ("kitchen", 20.0), ("roof", 8.0)] {
        let broken = sensor == "roof" && round.is_multiple_of(10);
        let celsius = if broken { 999.0 } else { usual + f64::from(round % 7) };
        let measurement = Measurement { sensor: sensor.to_owned(), celsius };
        kafka.send_json("measurements", sensor, &measurement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_becomes_a_summary_a_sensor_without_what_is_implausible() {
        let measurement = |sensor: &str, celsius| Measurement { sensor: sensor.to_owned(), celsius };
        let batch =
            [measurement("a", 3.0), measurement("b", 5.0), measurement("a", -7.0), measurement("a", 500.0)];
        let properties = EtlProperties { min_celsius: -50.0, max_celsius: 60.0 };
        let (summaries, rejected) = transform(batch.iter(), "measurements-0@0..3", &properties);
        let found: Vec<_> = summaries.iter().map(|s| (s.sensor.as_str(), s.count, s.min, s.max)).collect();
        assert_eq!(found, [("a", 2, -7.0, 3.0), ("b", 1, 5.0, 5.0)]);
        assert_eq!(rejected, 1);
    }
}
