//! Records: what a handler is given, how payloads are decoded, and the views that arguments are extracted from.

mod chunk;
mod escape;
mod headers;
mod payload;
mod received;
mod view;

#[cfg(any(test, feature = "simulation"))]
pub(crate) use chunk::Made;
pub(crate) use chunk::{Chunk, Stored};
pub use escape::escaped;
pub use headers::Headers;
pub use kafka_boot_client::Timestamp;
pub use payload::{FromPayload, Json, Key, Payload, PayloadError};
pub use received::{Record, RecordMeta};
pub use view::{BatchView, RecordView};
