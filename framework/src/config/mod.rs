//! Configuration: files, profiles, environment and command line, merged, checked and bound to types.
//!
//! From the weakest to the strongest: the defaults of [`model`], `application.yml`,
//! `application-<profile>.yml`, the same two in the `config` folder, environment variables
//! (`KAFKA_CONSUMER_GROUP_ID`), arguments (`--kafka.consumer.group-id=orders`). `${key:default}` stands for
//! another value, a variable or, as `${file:/path}`, a file. Every key is in [`REFERENCE`].
//!
//! [`Settings::load`] reports all faults at once, each with its place and its remedy.

mod check;
mod client;
mod de;
mod duration;
mod error;
mod files;
mod layers;
mod listener;
mod load;
pub mod model;
mod partitions;
mod pattern;
mod placeholder;
mod relaxed;
mod schema;
mod secret;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod yaml;

pub use client::{ClientSettings, RequiredFeature};
pub use duration::{ParseUnitError, TimeSpan};
pub use error::{ConfigError, ConfigErrorKind, ConfigErrors, EXIT_CODE};
pub use listener::{AttributeSetting, AttributeValue};
pub use load::LoadOptions;
pub use partitions::{ParsePartitionsError, PartitionList, StartAt};
pub use schema::json_schema;
pub use secret::{MASK, Secret};
pub use settings::{EffectiveValue, Settings};
pub use size::DataSize;
pub use tree::Origin;

/// The reference: every key with its default, as a file that can be copied from.
pub const REFERENCE: &str = include_str!("reference.yaml");
