//! Manual acknowledgement: the handler hands a payment to a writer and returns at once; the writer acknowledges it when it is
//! on disk, together with others.
//!
//! An offset is committed only up to the first payment that is not acknowledged, in whatever order the writer is done. A
//! write that fails is a `nack`: the payments come again, and no other partition waits for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_boot::config::TimeSpan;
use kafka_boot::prelude::*;
use serde::Deserialize;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// How many payments may wait for the writer; the handler waits beyond that, and the engine holds back the rest.
const WAITING_MAX: usize = 1000;

/// The section `ledger`.
#[derive(Debug, Deserialize, ConfigProperties)]
#[config(prefix = "ledger")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LedgerProperties {
    /// Where payments are written, a line each.
    pub file: PathBuf,
    /// How many are written at once, at most.
    pub max_batch: usize,
    /// After what time a payment whose write failed is delivered again.
    pub retry_after: TimeSpan,
}

/// The way to the writer.
#[derive(Debug)]
pub struct Ledger(mpsc::Sender<(String, Ack)>);

/// Starts the writer, which ends with the last sender.
#[bean]
fn ledger(properties: Config<LedgerProperties>) -> Ledger {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(write_all(receiver, properties));
    Ledger(sender)
}

/// Returns when the payment is in line. It is not done before its `Ack` says so.
#[kafka_listener(topic = "payments", ack_mode = "manual")]
async fn collect(payment: Record<String>, ack: Ack, ledger: Bean<Ledger>) -> Result<()> {
    let line = format!("{},{},{}", payment.partition(), payment.offset(), payment.value());
    ledger.0.send((line, ack)).await.map_err(|_| "the writer has ended")?;
    Ok(())
}

async fn write_all(mut receiver: mpsc::Receiver<(String, Ack)>, properties: Config<LedgerProperties>) {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, properties.max_batch).await > 0 {
        match append(&properties.file, &batch).await {
            Ok(()) => {
                info!(payments = batch.len(), "written");
                batch.drain(..).for_each(|(_, ack)| ack.acknowledge());
            }
            Err(error) => {
                warn!(payments = batch.len(), %error, "not written");
                let delay = Duration::from(properties.retry_after);
                batch.drain(..).for_each(|(_, ack)| ack.nack(delay));
            }
        }
    }
}

/// Appends the lines in one go, and waits until the disk has them.
async fn append(file: &Path, batch: &[(String, Ack)]) -> std::io::Result<()> {
    let mut text = String::new();
    for (line, _) in batch {
        text.push_str(line);
        text.push('\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(file).await?;
    file.write_all(text.as_bytes()).await?;
    file.sync_data().await
}

/// Something to look at: three payments a second.
#[scheduled(fixed_rate = "333ms")]
async fn pay(kafka: Bean<KafkaTemplate>) -> Result<()> {
    kafka.send("payments", "9.99 EUR").await?;
    Ok(())
}
