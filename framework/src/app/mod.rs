//! The application: built, started in order, run until something ends it, shut down in order.

mod builder;
mod clients;
mod dead_letters;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(not(feature = "embedded"))]
#[path = "without_embedded.rs"]
mod embedded;
mod entry;
mod outboxes;
mod plan;
mod report;
mod retry_topics;
mod running;
mod seams;
mod signals;
mod startup;
mod topics;

pub use builder::App;
pub(crate) use clients::Clients;
pub use entry::{IntoApp, run_main};
pub(crate) use running::Parts;
pub use running::{Ended, RunningApp};
pub(crate) use seams::{Prepared, Seams};
