//! What can be seen of a running application: log lines and metrics.

mod logging;
pub mod names;
pub(crate) mod panics;

pub(crate) use logging::{capturing, init};
