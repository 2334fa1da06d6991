//! A JSON document of 200 bytes a record: what the framework adds to the time that `serde_json` takes.

use kafka_boot::prelude::*;
use kafka_boot::{Json, listeners};
use serde::{Deserialize, Serialize};

use super::framework::app;
use super::progress::Progress;
use crate::measure::{Stopwatch, report};
use crate::task::Task;
use crate::{Result, settings};

static PROGRESS: Progress = Progress::new();

/// How long every document is.
const DOCUMENT_BYTES: usize = 200;

/// What services exchange: an id, some text, a number with a fraction, a list.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    items: Vec<Item>,
    total: f64,
    paid: bool,
    note: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    article: String,
    count: u32,
}

/// One order as text, padded by its note.
pub(crate) fn document(number: u64) -> Result<String> {
    let item = |article: &str, count| Item { article: article.to_owned(), count };
    let mut order = Order {
        id: 1_000_000_000 + number,
        customer: format!("customer-{:06}", number % 1_000_000),
        items: vec![item("pencil", 12), item("paper, white", 500)],
        total: 17.25,
        paid: true,
        note: String::new(),
    };
    let short = DOCUMENT_BYTES.saturating_sub(serde_json::to_string(&order)?.len());
    order.note = "x".repeat(short);
    Ok(serde_json::to_string(&order)?)
}

#[kafka_listener(id = "consume", topic = "bench")]
async fn ignore(record: Record<()>) {
    PROGRESS.begin();
    std::hint::black_box(record.payload());
    PROGRESS.end();
}

#[kafka_listener(id = "consume", topic = "bench")]
async fn decode(Json(order): Json<Order>) {
    PROGRESS.begin();
    std::hint::black_box(order);
    PROGRESS.end();
}

/// The records, without a look at the documents.
pub(super) fn ignored(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![ignore]))
}

/// The records, each document decoded.
pub(super) fn decoded(task: &Task) -> Result<()> {
    PROGRESS.run(task, app(settings::load_options(task)).listeners(listeners![decode]))
}

/// The documents alone: `serde_json` in a loop, no Kafka.
pub(super) fn serde_alone(task: &Task) -> Result<()> {
    // More than the caches of a processor hold, as with records that come from a broker.
    let documents = (0..100_000).map(document).collect::<Result<Vec<_>>>()?;
    let stopwatch = Stopwatch::start();
    let mut left = task.records;
    for text in documents.iter().cycle() {
        if left == 0 {
            break;
        }
        std::hint::black_box(serde_json::from_slice::<Order>(text.as_bytes())?);
        left -= 1;
    }
    report(stopwatch.stop(task.records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_as_long_as_it_is_told_to_be() {
        for number in [0, 7, 999_999, 4_000_000] {
            assert_eq!(document(number).map(|text| text.len()).ok(), Some(DOCUMENT_BYTES));
        }
    }
}
