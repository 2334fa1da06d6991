//! The service under test: a listener that writes each attempt to a ledger before it returns, and can be made slow,
//! failing and panicking. A job that produces, with a ledger of what was acknowledged, is off unless a test turns it on. So is
//! another listener, which copies the records to another topic in transactions.
//!
//! Its configuration is `service/application.yml` of this crate, with a test's own settings as arguments on top.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_boot::config::TimeSpan;
use kafka_boot::prelude::*;
use kafka_boot_tests::ledger::{Attempt, Ledger, Outcome, Produced, ProducerLedger, now_ns};
use kafka_boot_tests::produce::Stamp;

/// How many bytes the values of produced records have.
const VALUE_BYTES: usize = 100;

#[derive(Debug, serde::Deserialize, ConfigProperties)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[config(prefix = "ledger")]
struct LedgerProperties {
    /// The ledger of attempts.
    path: PathBuf,
    /// The ledger of what the job produced and the broker acknowledged.
    produced: PathBuf,
    run: String,
    instance: String,
    topic: String,
    #[serde(rename = "group")]
    _group: String,
    /// How long a record whose number is a multiple of `delay-every` takes.
    delay: TimeSpan,
    delay_every: u64,
    /// The first attempts of a record whose number is a multiple of this fail.
    error_every: u64,
    /// How many of them.
    error_attempts: u32,
    /// The first attempt of a record whose number is a multiple of this panics.
    panic_every: u64,
    /// Every attempt of a record whose number is a multiple of this fails.
    poison_every: u64,
    /// So does every attempt of a record of this key.
    poison_key: String,
    /// Whether they panic, in one way or another, rather than return an error.
    poison_panics: bool,
    /// Every attempt of a record whose number is a multiple of this never returns.
    hang_every: u64,
    /// Whether it holds its thread, as a deadlock does, rather than wait for what never comes.
    hang_blocks: bool,
    /// The number of the first record that the job produces.
    produce_from: u64,
    /// Where the records are copied to.
    output: String,
}

impl LedgerProperties {
    /// How an attempt of the record with this number is to end.
    fn outcome(&self, uid: u64, key: Option<&str>, attempt: u32) -> Outcome {
        let is_poison_key = !self.poison_key.is_empty() && key == Some(self.poison_key.as_str());
        if is_poison_key || is_chosen(uid, self.poison_every) {
            if self.poison_panics { Outcome::Panic } else { Outcome::Error }
        } else if attempt == 1 && is_chosen(uid, self.panic_every) {
            Outcome::Panic
        } else if attempt <= self.error_attempts && is_chosen(uid, self.error_every) {
            Outcome::Error
        } else {
            Outcome::Done
        }
    }
}

/// Whether `uid` is a multiple of `every`; 0 chooses none.
fn is_chosen(uid: u64, every: u64) -> bool {
    uid.checked_rem(every) == Some(0)
}

#[bean]
fn ledger(config: Config<LedgerProperties>) -> Result<Ledger> {
    Ok(Ledger::open(&config.path, &config.run, &config.instance)?)
}

#[bean]
fn producer_ledger(config: Config<LedgerProperties>) -> Result<ProducerLedger> {
    Ok(ProducerLedger::open(&config.produced)?)
}

#[kafka_listener(topic = "${ledger.topic}")]
async fn work(record: Record<String>, ledger: Bean<Ledger>, config: Config<LedgerProperties>) -> Result<()> {
    attempt(&record, &ledger, &config).await
}

/// Takes its time, writes the attempt down, and ends as it is to.
async fn attempt(record: &Record<String>, ledger: &Ledger, config: &LedgerProperties) -> Result<()> {
    let start_ns = now_ns();
    let stamp = Stamp::parse(record.value().as_bytes()).ok_or("the value carries no stamp")?;
    if !config.delay.get().is_zero() && is_chosen(stamp.uid, config.delay_every) {
        tokio::time::sleep(config.delay.get()).await;
    }
    if is_chosen(stamp.uid, config.hang_every) {
        if config.hang_blocks {
            loop {
                std::thread::park();
            }
        }
        std::future::pending::<()>().await;
    }
    let outcome = config.outcome(stamp.uid, record.key_str(), record.attempt());
    ledger.record(&Attempt {
        // A handler is not told of assignments; within one process a partition only ever moves forward.
        generation: 1,
        topic: record.topic(),
        partition: record.partition(),
        offset: record.offset(),
        key: record.key_str(),
        seq: stamp.seq,
        uid: stamp.uid,
        attempt: record.attempt(),
        start_ns,
        end_ns: now_ns(),
        outcome,
    })?;
    match outcome {
        Outcome::Done | Outcome::Skipped => Ok(()),
        Outcome::Error => Err("this record fails on purpose".into()),
        Outcome::Panic => panic_somehow(stamp.uid).await,
    }
}

/// Panics: at once, after a wait, with something that is no text, or while something is dropped.
async fn panic_somehow(uid: u64) -> Result<()> {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("this record panics in a drop, on purpose");
        }
    }
    match (uid / 100) % 4 {
        0 => panic!("this record panics on purpose"),
        1 => {
            tokio::task::yield_now().await;
            panic!("this record panics after a wait, on purpose");
        }
        2 => std::panic::panic_any(uid),
        _ => {
            drop(Bomb);
            Ok(())
        }
    }
}

/// Copies each record to the partition of its number: also what is to fail, and before anything else.
#[kafka_listener(topic = "${ledger.topic}", commit = "transaction", auto_startup = false)]
async fn copy(
    record: Record<String>,
    tx: Transaction,
    ledger: Bean<Ledger>,
    config: Config<LedgerProperties>,
) -> Result<()> {
    let mut copied = ProducerRecord::new(config.output.as_str()).payload(record.value().clone());
    copied = copied.partition(record.partition()).key(record.key_str().unwrap_or_default().to_owned());
    // The commit waits for it.
    drop(tx.enqueue(copied).await?);
    attempt(&record, &ledger, &config).await
}

#[scheduled(fixed_delay = "10ms")]
async fn produce(
    kafka: Bean<KafkaTemplate>,
    acknowledged: Bean<ProducerLedger>,
    config: Config<LedgerProperties>,
) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let uid = config.produce_from + NEXT.fetch_add(1, Ordering::Relaxed);
    let sent = kafka.send(&config.topic, Stamp { uid, seq: uid }.to_value(VALUE_BYTES)).await?;
    let offset = sent.offset().ok_or("an acknowledged record has an offset")?;
    let topic = sent.topic().to_owned();
    acknowledged.record(&Produced {
        uid,
        topic,
        partition: sent.partition(),
        offset,
        key: None,
        seq: uid,
    })?;
    Ok(())
}

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
