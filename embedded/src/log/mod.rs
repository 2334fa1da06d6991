//! Topics, and the logs of their partitions: record batches, kept as the bytes that arrived, in memory or in files.

pub(crate) mod batch;
pub(crate) mod broker_names;
pub(crate) mod budget;
mod codec;
pub(crate) mod compactor;
pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod partition;
pub(crate) mod producers;
mod recovery;
pub(crate) mod settings;
mod timestamps;
pub(crate) mod topics;
mod visibility;
