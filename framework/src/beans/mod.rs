//! Beans: the typed registry that is built once at start, in the order of dependencies.

mod admin;
mod config;
mod graph;
mod registry;
mod replying;
mod template;
mod transaction;

pub use admin::Admin;
pub use config::{Config, ConfigProperties};
pub(crate) use graph::build;
pub use registry::{AnyBean, Bean, BeanKey, Beans, Primary, Qualifier};
pub use replying::{ReplyingTemplate, RequestError};
pub(crate) use template::TemplateOptions;
pub use template::{KafkaTemplate, PendingSend, ProducerListener, SendResult};
pub(crate) use transaction::{AttemptScope, transactional};
pub use transaction::{Transaction, TransactionError};
