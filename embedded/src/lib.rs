//! A Kafka broker in one process, in memory or in a directory, for development and tests.
//!
//! It speaks Kafka's protocol on a TCP port, so every client works with it as it is, and it starts in milliseconds, with
//! nothing to install. It is no replacement for Apache Kafka in production: all of its brokers are in one process, and what
//! they hold is gone with it, unless they are given a [data directory](EmbeddedBrokerBuilder::data_directory). [`control`]
//! has it do to clients what real clusters do: stop, move, fail, lag. What it answers, and in which versions, is listed in
//! the crate's README.
//!
//! ```
//! use kafka_boot_embedded::EmbeddedBroker;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = EmbeddedBroker::builder().topic("orders", 3).start().await?;
//! println!("bootstrap.servers={}", broker.bootstrap_servers());
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod api;
mod broker;
mod builder;
mod clock;
mod cluster;
pub mod control;
mod error;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod group;
mod log;
mod security;
mod server;
mod state;
mod storage;
mod txn;
mod wire;

pub use broker::EmbeddedBroker;
pub use builder::EmbeddedBrokerBuilder;
pub use error::{StartError, StartErrorKind};
