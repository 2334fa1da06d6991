//! What producers and admin clients tell beside answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka_sys as rdsys;

use crate::error::ClientError;
use crate::native::{Event, NativeClient};

/// Something that happened to a producer or admin client.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// Something went wrong; unless [`ClientError::is_fatal`], librdkafka goes on by itself.
    Error(ClientError),
    /// librdkafka's statistics as JSON, every `statistics.interval.ms`.
    Statistics(String),
    /// A new token is wanted: answer with the client's `set_oauth_token` or `set_oauth_failure`.
    TokenRefresh,
}

/// Hears of a client's events, on that client's thread.
pub(crate) type EventSink = Box<dyn FnMut(ClientEvent) + Send>;

impl ClientEvent {
    /// Logs and translates an event; `None` for one that is none of these.
    pub(crate) fn of(client: &NativeClient, event: &Event) -> Option<Self> {
        match event.kind() {
            rdsys::RD_KAFKA_EVENT_STATS => Some(Self::Statistics(event.statistics())),
            rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => Some(Self::TokenRefresh),
            rdsys::RD_KAFKA_EVENT_ERROR => {
                let error = event.error("client")?;
                client.context().log_error(&error);
                Some(Self::Error(error))
            }
            _ => None,
        }
    }
}

/// Runs code that is not ours: a panic ends that code, not the client's thread.
pub(crate) fn shield(run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        tracing::error!(target: "kafka_boot::client", "a client callback panicked");
    }
}
