//! Consuming in transactions: what handlers send, and the offset of what they handled, are committed together.
//!
//! Each lane has a producer of its own, named after its group and partition. So lanes do not wait for each other's
//! transactions; no instance needs a name of its own; and who takes a partition over ends at once what a killed owner has
//! left open, instead of after the transaction's timeout. On top of that the offsets carry the consumer's membership (KIP-447),
//! so that who has lost the partition is refused even before a new owner has come.
//!
//! Records of a chunk share a transaction for as long as nothing fails. An attempt that failed after it had sent something
//! aborts it; what precedes it is repeated and committed, and only then the policy decides about it, and its next attempt comes.
//!
//! # Invariants
//! 1. A partition's producer has taken its name over before anything of the partition is handled, and each time after it
//!    was lost.
//! 2. Offsets are sent only under a membership that the poll thread told while the partition was the consumer's.
//! 3. Records are settled only after their transaction is committed. The consumer itself commits nothing of them.
//! 4. Nothing that a failed attempt has sent is ever committed.
//! 5. A transaction of which nobody knows whether it was committed is never repeated: the consumer starts again, from the
//!    offset that the group has once it is decided.

mod batches;
mod letters;
mod records;
mod session;
mod todo;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kafka_boot_client::{ClientConfig, ClientError};

pub(super) use batches::run_batches;
pub(super) use records::run_records;

use super::requests::RequestBox;
use crate::beans::{KafkaTemplate, TemplateOptions, transactional};

/// What the application's own records may be sent with, and these are not.
const UNWANTED: [&str; 5] = [
    "request.required.acks",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
];

/// What the broker is left to decide about, since dead letters may be larger than what a template sends.
const MESSAGE_BYTES_MAX: &str = "1000000000";

const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";

/// What a listener's transactional producers are made of.
#[derive(Clone)]
pub(crate) struct TransactionSpec {
    config: ClientConfig,
    options: TemplateOptions,
    /// How long the broker lets one be open.
    timeout: Duration,
}

impl TransactionSpec {
    /// Those of a listener whose cluster's producers have this configuration. What is not certain to be written is in no
    /// transaction.
    pub(crate) fn new(config: &ClientConfig, options: TemplateOptions) -> Self {
        let mut config = transactional(config);
        for name in UNWANTED {
            config.remove(name);
        }
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        config.set("message.max.bytes", MESSAGE_BYTES_MAX);
        let timeout = config.effective(TRANSACTION_TIMEOUT).and_then(|millis| millis.parse().ok());
        Self { config, options, timeout: timeout.map_or(Duration::MAX, Duration::from_millis) }
    }

    /// Whether librdkafka takes the settings. Connects to nothing that matters, and takes no name over.
    pub(crate) fn check(&self, group: &str) -> Result<(), ClientError> {
        self.template(group, "check").map(drop)
    }

    /// A template whose producer has the partition's name.
    fn template(&self, group: &str, partition: &str) -> Result<KafkaTemplate, ClientError> {
        let mut config = self.config.clone();
        config.set("transactional.id", transactional_id(group, partition));
        KafkaTemplate::new(&config, self.options.clone())
    }
}

impl fmt::Debug for TransactionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionSpec")
    }
}

/// What the lanes of one consumer share.
pub(crate) struct LaneTransactions {
    spec: TransactionSpec,
    group: String,
    /// Where the poll thread is asked who the consumer is in its group.
    requests: Arc<RequestBox>,
}

impl fmt::Debug for LaneTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneTransactions").field("group", &self.group).finish_non_exhaustive()
    }
}

impl LaneTransactions {
    pub(super) fn new(spec: TransactionSpec, group: &str, requests: Arc<RequestBox>) -> Self {
        Self { spec, group: group.to_owned(), requests }
    }

    /// A template whose producer has the partition's name.
    fn template(&self, partition: &str) -> Result<KafkaTemplate, ClientError> {
        self.spec.template(&self.group, partition)
    }
}

/// `<group>/<topic>-<partition>`: a topic's name has no slash, so no two partitions of any groups share one.
fn transactional_id(group: &str, partition: &str) -> String {
    format!("{group}/{partition}")
}
