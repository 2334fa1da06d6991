//! A Spring-Boot-like application framework for Kafka services.

pub mod config;
mod beans;
mod error;
mod handler;
mod listener;
mod manage;
mod observe;
mod policy;
mod record;
mod schedule;
mod supervise;

pub use beans::{Bean, Beans, Config, ConfigProperties, Primary, Qualifier};
pub use error::{BoxError, ExtractError, HandlerError, Result, StartError, StartErrorKind};
pub use handler::{Ack, BatchArg, Batch, BeanArg, Header, HeaderValue, ListenerArg, PlanContext, IntoOutcome, Location};
pub use listener::{ListenerInfo, ListenerRegistry, ListenerState};
pub use manage::{Health, HealthReport, HealthStatus, ListenerHealth};
pub use policy::Backoff;
pub use record::{BatchView, FromPayload, Headers, Json, Key, Payload, PayloadError, Record, RecordMeta, RecordView, Timestamp, escaped};
pub use schedule::{JobInfo, Scheduler};
