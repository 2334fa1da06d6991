//! Records: what a handler is given, how payloads are decoded, and the views that arguments are extracted from.

mod chunk;
mod escape;
mod headers;
mod in_place;
mod payload;
mod received;
mod view;

#[cfg(any(test, feature = "bench", feature = "simulation"))]
pub(crate) use chunk::Made;
pub(crate) use chunk::{Chunk, Stored};
pub use escape::escaped;
pub use headers::Headers;
pub use in_place::{Raw, Text};
pub use kafka_boot_client::Timestamp;
pub use payload::{FromPayload, Json, Key, Payload, PayloadError, unknown_variant};
pub use received::{Record, RecordMeta};
pub(crate) use view::Delivery;
pub(crate) use view::Places;
pub use view::{BatchView, RecordView};
