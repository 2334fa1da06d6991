//! What one record costs in a lane: from its queue through the handler to the box of settlements.
//!
//! `per-record <case> <chunks>` handles so many chunks and prints how often memory was allocated. Under valgrind's cachegrind,
//! which counts instructions, the difference of two runs of different length is what their records cost; the script `run`
//! beside this crate does that, and compares with `counts.txt`.

use std::process::ExitCode;

use kafka_boot::__private::ListenerDescriptor;
use kafka_boot::bench::{CHUNK_RECORDS, run};
use kafka_boot::config::model::Ordering;
use kafka_boot::prelude::*;
use kafka_boot::{Text, listeners};
use serde::Deserialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const DOCUMENT: &[u8] = br#"{"id":1000000007,"customer":"customer-000007","total":17.25,"paid":true}"#;

/// What services exchange.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoded, and not looked at")]
struct Order {
    id: u64,
    customer: String,
    total: f64,
    paid: bool,
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn bytes(record: Record<()>) {
    std::hint::black_box(record.payload());
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn text(text: Payload<Text>) -> Result<()> {
    std::hint::black_box(text.len());
    Ok(())
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn string(record: Record<String>) -> Result<()> {
    std::hint::black_box(record.value());
    Ok(())
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn json(order: Json<Order>) -> Result<()> {
    std::hint::black_box(&*order);
    Ok(())
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn waiting(record: Record<()>) -> Result<()> {
    tokio::task::yield_now().await;
    std::hint::black_box(record.payload());
    Ok(())
}

#[kafka_listener(topic = "bench", group = "bench")]
async fn batch(records: Batch<()>) -> Result<()> {
    std::hint::black_box(records.len());
    Ok(())
}

/// The cases, by name.
fn cases() -> [(&'static str, &'static [&'static ListenerDescriptor], Ordering); 8] {
    [
        ("bytes", listeners![bytes], Ordering::Partition),
        ("text", listeners![text], Ordering::Partition),
        ("string", listeners![string], Ordering::Partition),
        ("json", listeners![json], Ordering::Partition),
        ("batch", listeners![batch], Ordering::Partition),
        ("bytes-by-key", listeners![bytes], Ordering::Key),
        ("waiting-by-key", listeners![waiting], Ordering::Key),
        ("waiting-in-any-order", listeners![waiting], Ordering::None),
    ]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cases"] => {
            for (name, ..) in cases() {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        [case, chunks] => measure(case, chunks).unwrap_or_else(|message| {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }),
        _ => {
            eprintln!("usage: per-record cases | per-record <case> <chunks of {CHUNK_RECORDS} records>");
            ExitCode::FAILURE
        }
    }
}

fn measure(case: &str, chunks: &str) -> Result<ExitCode, String> {
    let chunks: u64 = chunks.parse().map_err(|_| format!("`{chunks}` is no number of chunks"))?;
    let found = cases().into_iter().find(|(name, ..)| *name == case);
    let (_, listeners, ordering) = found.ok_or_else(|| format!("there is no case `{case}`"))?;
    let listener = listeners.first().ok_or("a case has a listener")?;
    // One thread: the count is the same each time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let before = ALLOCATOR.stats().allocations;
    runtime
        .block_on(async { tokio::spawn(run(listener, ordering, DOCUMENT, chunks)).await })
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    println!("allocations {}", ALLOCATOR.stats().allocations - before);
    Ok(ExitCode::SUCCESS)
}
