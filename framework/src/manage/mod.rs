//! What an operator asks of a running application: is it healthy, is it ready.

mod health;

pub(crate) use health::watch_health;
pub use health::{Health, HealthReport, HealthStatus, ListenerHealth};
