//! From the typed configuration to librdkafka's settings.

mod features;
mod render;
pub(crate) mod security;
pub(crate) mod translate;

pub use features::RequiredFeature;
pub use render::ClientSettings;
