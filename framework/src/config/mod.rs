//! Configuration: files, profiles, environment and command line, merged, checked and bound to types.

mod duration;
pub mod model;
mod secret;
mod size;

pub use duration::{ParseUnitError, TimeSpan};
pub use secret::{MASK, Secret};
pub use size::DataSize;
