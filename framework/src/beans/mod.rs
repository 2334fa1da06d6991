//! Beans: the typed registry that is built once at start, in the order of dependencies.

mod config;
mod graph;
mod registry;

pub use config::{Config, ConfigProperties};
pub(crate) use graph::BeanSource;
pub(crate) use graph::build;
pub use registry::{AnyBean, Bean, BeanKey, Beans, Primary, Qualifier};
