//! What most programs need: `use kafka_boot::prelude::*;`.

pub use kafka_boot_client::ProducerRecord;
pub use tracing::{debug, error, info, trace, warn};

pub use crate::app::App;
pub use crate::beans::{Admin, Bean, Config, KafkaTemplate, Qualifier, ReplyingTemplate, Transaction};
pub use crate::dead_letters::DeadLetters;
pub use crate::error::Result;
pub use crate::handler::{Ack, Attempt, Batch, BatchError, Header, OnFailure, Outcome, Reply, Retryable};
pub use crate::listener::ListenerRegistry;
pub use crate::manage::Health;
pub use crate::record::{Headers, Json, Key, Payload, Raw, Record, RecordMeta, Text};
pub use crate::schedule::Scheduler;
pub use crate::test::TestApp;
pub use crate::{
    ConfigProperties, FromPayload, bean, dead_letter_listener, kafka_listener, scheduled, send_to,
};
