//! What most programs need: `use kafka_boot::prelude::*;`.

pub use kafka_boot_client::ProducerRecord;
pub use tracing::{debug, error, info, trace, warn};

pub use crate::app::App;
pub use crate::beans::{Admin, Bean, Config, KafkaTemplate};
pub use crate::error::Result;
pub use crate::handler::{Ack, Attempt, Batch, BatchError, Header};
pub use crate::record::{Headers, Json, Key, Payload, Record, RecordMeta};
pub use crate::test::TestApp;
pub use crate::{ConfigProperties, bean, dead_letter_listener, kafka_listener, scheduled, send_to};
